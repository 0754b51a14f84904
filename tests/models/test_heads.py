import pytest
import torch

from airfast.errors import InputError
from airfast.models.heads import ClusterHead, Projector

FEATURES = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)) * 4 + 2
LABELS = torch.tensor([0, 0, 1, 1, 1, -1, 2, 2, 0, -1, 1, 2])


def test_rows_become_unit_norm_centroids_of_the_necks_output():
    head = ClusterHead(6, 8)
    head.restart(FEATURES, LABELS, 3)
    head.eval()
    normed = head.neck(FEATURES)
    for cluster in range(3):
        centroid = torch.stack([row for row, label in zip(normed, LABELS, strict=True) if label == cluster]).mean(0)
        torch.testing.assert_close(head.weight[cluster], centroid / centroid.norm(), atol=1e-5, rtol=0)
    logits = head(FEATURES, 3)
    torch.testing.assert_close(logits[:, :3], normed @ head.weight[:3].T)
    assert logits.shape == (12, 8)
    assert logits[:, 3:].isneginf().all()
    assert torch.equal(head(FEATURES, torch.tensor(3)), logits)


def test_rows_of_an_epoch_with_more_clusters_are_cleared():
    head = ClusterHead(6, 8)
    head.restart(FEATURES, torch.arange(12) % 5, 5)
    head.restart(FEATURES, LABELS, 3)
    assert head.weight[:3].any(dim=1).all()
    assert not head.weight[3:].any()


def test_automatic_capacity_grows_by_128_and_a_fixed_one_does_not():
    head = ClusterHead(6, "auto")
    assert head.weight.shape[0] == 128
    head.resize(129)
    assert head.weight.shape[0] == 256
    with pytest.raises(InputError, match=r"model\.capacity: 2 rows cannot hold 3 clusters"):
        ClusterHead(6, 2).resize(3)


def test_projecting_together_is_projecting_one_by_one():
    torch.manual_seed(0)
    together, alone = Projector(6, 4), Projector(6, 4)
    alone.load_state_dict(together.state_dict())
    groups = FEATURES.unflatten(0, (3, 4))  # three batches with statistics of their own
    torch.testing.assert_close(together(groups), torch.stack([alone(each) for each in groups]))
    for ours, theirs in zip(together.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_necks_bias_is_frozen():
    assert not ClusterHead(6, 8).neck.bias.requires_grad
