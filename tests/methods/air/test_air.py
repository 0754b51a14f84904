"""How the pieces of Eq. 2 to 7 are wired together."""

import pytest
import torch

from airfast.data.dataset import DeviceClips
from airfast.methods.air import amdl, losses
from airfast.methods.air.amdl import EpochLabels
from airfast.training.pretrain import begin

LABELS = torch.tensor([0, 1, 2, -1, 1, 0, 2, 2])
NUISANCE = torch.tensor([0, 1, 0, 1, 1, 0, 2, 2])
AGREEMENT = torch.linspace(0, 1, 8)
BATCH = torch.arange(8)


@pytest.fixture
def built(walkers, tiny):
    """A function from overrides to a method, with or without labels, and the views of eight clips."""

    def build(*overrides, labels=True):
        config = tiny(*overrides)
        clips = DeviceClips.from_motion(walkers, config.inputs, torch.device("cpu"))
        state = begin(config, walkers, clips)
        method, generator = state.method, torch.Generator().manual_seed(0)
        method.apart[:8] = NUISANCE
        if config.air.amdl and labels:
            rest = len(walkers) - 8
            found = EpochLabels(
                torch.cat([LABELS, torch.full((rest,), -1)]), torch.cat([AGREEMENT, torch.zeros(rest)]), 3, None
            )
            width = method.encoder.width
            features = {s: torch.randn(len(walkers), width, generator=generator) for s in ("x", "la", "ha")}
            method.take(found, features, state.optimiser)
        return method, [view(clips, BATCH, generator) for view in method.views]

    return build


def features_and_projections(method, views):
    multi = method.features(views[-1])
    singles, multis = [], {scale: [] for scale in ("x", "la", "ha")}
    for view, modality in zip(views, method.config.modalities, strict=False):
        of_x, of_parts = method.projectors[modality], (method.part_projectors or method.projectors)[modality]
        singles.append(of_x(method.encoder.single(method.inputs(view, "x")[modality], modality)))
        for scale, row in multis.items():
            row.append((of_x if scale == "x" else of_parts)(multi[scale]))
    return multi, singles, multis


@pytest.mark.parametrize("own", ["true", "false"])
def test_loss_is_equation_7(built, own):
    method, views = built(f"air.own_parts={own}")
    method.eval()  # so that BatchNorm gives the same in both computations
    named = method.losses(views, BATCH)
    multi, singles, multis = features_and_projections(method, views)
    logits = {scale: method.heads[scale](multi[scale], 3)[:, :3] for scale in ("x", "ha")}
    expected = {
        "intra": 5 * sum(losses.intra_loss(singles, row) for row in multis.values()),
        "inter": 5 * losses.inter_loss(singles),
        "vcreg": losses.variance_covariance([*singles, *[z for row in multis.values() for z in row]], NUISANCE),
        # 0.1 is the default weight of L_class
        "class_x": 0.1 * losses.refined_loss(logits["x"], logits["ha"], LABELS, AGREEMENT),
        "class_ha": 0.1 * losses.appendage_loss(logits["ha"], LABELS, AGREEMENT),
    }
    assert named.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(named[name], value, rtol=1e-4, atol=1e-5)


def test_letter_of_the_paper_has_no_regularisation_and_no_weight(built):
    method, views = built("air.mgaa.vcreg=false", "air.own_parts=false", labels=False)
    method.eval()
    named = method.losses(views, BATCH)
    _, singles, multis = features_and_projections(method, views)
    assert named.keys() == {"intra", "inter"}
    torch.testing.assert_close(named["intra"], sum(losses.intra_loss(singles, row) for row in multis.values()))


@pytest.mark.parametrize("own", [True, False])
def test_parts_with_a_network_of_their_own_pull_at_nothing_of_x(built, own):
    method, views = built(f"air.own_parts={own}", labels=False)
    gradients = []
    for _ in range(2):
        method.zero_grad()
        torch.stack(list(method.losses(views, BATCH).values())).sum().backward()
        gradients.append(method.encoder.backbone.temporal_layer.output.weight.grad.clone())
        with torch.no_grad():  # other parts, with other losses
            for each in method.encoder.embed_parts.parameters():
                each.mul_(2)
    assert torch.allclose(*gradients) == own


def test_without_refinement_both_heads_learn_the_hard_labels(built):
    method, views = built("air.alr.enabled=false", "air.cluster.weight=1")
    method.eval()
    named = method.losses(views, BATCH)
    multi = method.features(views[-1])
    for scale in ("x", "ha"):
        expected = losses.hard_label_loss(method.heads[scale](multi[scale], 3)[:, :3], LABELS)
        torch.testing.assert_close(named[f"class_{scale}"], expected)


def test_la_refines_where_it_is_the_only_part_skeleton(built):
    method, views = built("air.asp=la", "air.cluster.weight=1")
    method.eval()
    named = method.losses(views, BATCH)
    multi = method.features(views[-1])
    logits = {scale: method.heads[scale](multi[scale], 3) for scale in ("x", "la")}
    torch.testing.assert_close(named["class_x"], losses.refined_loss(logits["x"], logits["la"], LABELS, AGREEMENT))
    torch.testing.assert_close(named["class_la"], losses.appendage_loss(logits["la"], LABELS, AGREEMENT))


@pytest.mark.parametrize("own", ["true", "false"])
@pytest.mark.parametrize("asp", ["both", "la", "ha"])
def test_every_parameter_is_trained(built, asp, own):
    method, views = built(f"air.asp={asp}", f"air.own_parts={own}")
    torch.stack(list(method.losses(views, BATCH).values())).sum().backward()
    idle = [name for name, each in method.named_parameters() if each.requires_grad and each.grad is None]
    assert idle == []


def test_clustered_features_are_unit_rows(tiny):
    features = {scale: torch.randn(4, 6) * 9 for scale in ("x", "la", "ha")}
    clustered = amdl.clustered(tiny().air, features)
    assert clustered.shape == (4, 18)
    torch.testing.assert_close(clustered.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(
        clustered @ clustered.T,
        sum(torch.nn.functional.cosine_similarity(f[:, None], f[None], dim=2) for f in features.values()) / 3,
    )
