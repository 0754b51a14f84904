import numpy as np
import pytest
import torch

from airfast.methods.air import losses
from tests.reference import losses as reference

K = 5  # clusters, so few that a wrong axis would show


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = np.array([0, 4, 2, -1, 1, -1, 3])  # two of seven are noise
    logits, appendage = rng.normal(size=(2, len(labels), K)) * 3
    return logits, appendage, labels, rng.uniform(size=len(labels))


ALIKE = torch.zeros(6, dtype=torch.long)  # one nuisance for all


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(each)) for each in arrays]


def test_appendage_loss_is_equation_2(batch):
    logits, _, labels, agreement = batch
    ours = losses.appendage_loss(*tensors(logits, labels, agreement))
    assert ours.item() == pytest.approx(reference.appendage_loss(logits, labels, agreement), rel=1e-12)


def test_refined_loss_is_equation_3(batch):
    logits, appendage, labels, agreement = batch
    ours = losses.refined_loss(*tensors(logits, appendage, labels, agreement))
    assert ours.item() == pytest.approx(reference.refined_loss(logits, appendage, labels, agreement), rel=1e-12)


def test_no_gradient_reaches_the_appendage_through_equation_3(batch):
    logits, appendage, labels, agreement = tensors(*batch)
    appendage.requires_grad_()
    logits.requires_grad_()
    losses.refined_loss(logits, appendage, labels, agreement).backward()
    assert appendage.grad is None
    assert logits.grad is not None


def test_noise_counts_for_nothing(batch):
    logits, appendage, labels, agreement = tensors(*batch)
    keep = labels >= 0
    for loss in (losses.appendage_loss, losses.hard_label_loss):
        arguments = (labels, agreement) if loss is losses.appendage_loss else (labels,)
        kept = [each[keep] for each in arguments]
        assert loss(logits, *arguments).item() == pytest.approx(loss(logits[keep], *kept).item())
    spoilt = torch.where(keep[:, None], logits, torch.inf)
    assert torch.isfinite(losses.refined_loss(logits, appendage, torch.full_like(labels, -1), agreement))
    assert torch.isfinite(losses.masked_mean(spoilt[:, 0], keep))


@pytest.mark.parametrize("loss", [losses.appendage_loss, losses.refined_loss, losses.hard_label_loss])
def test_columns_of_no_cluster_change_neither_loss_nor_gradient(batch, loss):
    logits, appendage, labels, agreement = tensors(*batch)
    rest = {losses.appendage_loss: (labels, agreement), losses.hard_label_loss: (labels,)}

    def value_and_gradient(width):
        wide, wide_appendage = (
            torch.nn.functional.pad(each, (0, width - K), value=-torch.inf) for each in (logits, appendage)
        )
        wide.requires_grad_()
        value = loss(wide, *rest.get(loss, (wide_appendage, labels, agreement)))
        value.backward()
        return value.detach(), wide.grad

    (sliced, gradient), (masked, wide_gradient) = value_and_gradient(K), value_and_gradient(128)
    torch.testing.assert_close(masked, sliced, rtol=1e-12, atol=0)  # float64: another order of summation
    torch.testing.assert_close(wide_gradient[:, :K], gradient, rtol=1e-12, atol=1e-15)
    assert not wide_gradient[:, K:].any()


def test_full_agreement_makes_equation_2_the_cross_entropy(batch):
    logits, _, labels, _ = tensors(*batch)
    ones = torch.ones(len(labels), dtype=logits.dtype)
    assert losses.appendage_loss(logits, labels, ones).item() == pytest.approx(
        losses.hard_label_loss(logits, labels).item()
    )


@pytest.fixture
def projections():
    rng = np.random.default_rng(1)
    singles = list(rng.normal(size=(3, 6, 9)) * 0.5)  # 3 modalities, batch 6, Z = 9 > batch
    multis = list(rng.normal(size=(3, 6, 9)))
    return singles, multis


def test_alignment_is_equations_5_and_6(projections):
    singles, multis = projections
    ours = losses.intra_loss(tensors(*singles), tensors(*multis)).item()
    assert ours == pytest.approx(reference.intra_loss(singles, multis))
    assert losses.inter_loss(tensors(*singles)).item() == pytest.approx(reference.inter_loss(singles))
    assert losses.inter_loss(tensors(singles[0])).item() == 0


def test_gram_matrix_gives_the_covariance_terms(projections):
    singles, _ = projections
    ours = losses.variance_covariance(tensors(*[each.astype(np.float32) for each in singles]), ALIKE).item()
    assert ours == pytest.approx(reference.variance_covariance(singles), rel=1e-5)


def test_what_tells_a_nuisance_apart_is_no_variance(projections):
    singles, _ = projections
    nuisance = torch.tensor([0, 1, 0, 2, 1, 0])  # 2 is alone: nothing is left of it
    plain = tensors(*[each.astype(np.float32) for each in singles])
    shifted = [z + 10 * torch.randn(3, 9)[nuisance] for z in plain]
    ours = losses.variance_covariance(shifted, nuisance).item()
    assert ours == pytest.approx(reference.variance_covariance(singles, nuisance.tolist()), rel=1e-4)


def test_covariance_gradient_agrees_with_the_written_out_matrix():
    z = torch.randn(5, 8, dtype=torch.float32, generator=torch.Generator().manual_seed(0)) * 2  # var > 1: hinge is off
    ours, plain = z.clone().requires_grad_(), z.clone().requires_grad_()
    losses.variance_covariance([ours], ALIKE[:5]).backward()
    centred = plain - plain.mean(0)
    covariance = centred.T @ centred / 4
    hinge = 5 * torch.relu(1 - torch.sqrt(covariance.diagonal() + 1e-4)).mean()
    (hinge + (covariance - covariance.diagonal().diag()).square().sum() / 8).backward()
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-4, atol=1e-5)
