"""Queue, momentum and InfoNCE by hand (FAMILY 14)."""

import math

import pytest
import torch
from torch import nn

from airfast.config import Contrast, load_config
from airfast.methods.contrast import Embedding, Queue, follow, follower, info_nce, momentum, queue_size


@pytest.mark.parametrize("negatives", [4, 2048])
def test_equal_similarities_give_the_log_of_their_number(negatives):
    row = torch.tensor([[1.0, 0.0]])
    loss = info_nce(row, row, row.expand(negatives, 2), 0.07)
    assert loss.item() == pytest.approx(math.log(negatives + 1), rel=1e-6)  # 7.6251 at 2,048


def test_a_found_key_among_orthogonal_ones():
    rows = torch.eye(5)
    assert info_nce(rows[:1], rows[:1], rows[1:], 0.07).item() == pytest.approx(2.5e-6, rel=0.05)  # 4·exp(−1/0.07)


def test_info_nce_is_its_formula_and_only_queries_learn():
    query, key, negatives = (torch.randn(n, 6, requires_grad=True) for n in (3, 3, 7))
    loss = info_nce(query, key, negatives, 0.2)
    expected = 0.0
    for i in range(3):
        positive = math.exp((query[i] @ key[i]).item() / 0.2)
        others = sum(math.exp((query[i] @ row).item() / 0.2) for row in negatives)
        expected -= math.log(positive / (positive + others)) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert query.grad is not None
    assert key.grad is None
    assert negatives.grad is None


def test_hidden_negatives_do_not_count():
    query, negatives = torch.eye(4)[:2], torch.randn(3, 4)
    hidden = torch.tensor([[False, True, False]]).expand(2, 3)
    assert torch.allclose(info_nce(query, query, negatives, 0.1, hidden), info_nce(query, query, negatives[::2], 0.1))


def test_a_queue_overwrites_its_oldest_rows_in_turn():
    queue = Queue(5, 1, torch.Generator().manual_seed(0))
    assert torch.allclose(queue.rows.norm(dim=1), torch.ones(5))
    for step in range(3):
        clips = torch.tensor([2 * step, 2 * step + 1])
        queue.push(clips[:, None].float(), clips)
    assert queue.rows[:, 0].tolist() == [5, 1, 2, 3, 4]  # FAMILY 14: K=5, B=2, three steps
    assert queue.owners.tolist() == [5, 1, 2, 3, 4]
    assert queue.place.item() == 1


@pytest.mark.parametrize(("m", "share"), [(0.0, 1.0), (1.0, 0.0), (0.9, 0.1)])
def test_the_follower_moves_by_its_share_and_keeps_its_own_statistics(m, share):
    leader = Embedding(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), nn.Linear(4, 2))
    behind = follower(leader)
    before = leader.head.weight.detach().clone()
    with torch.no_grad():
        leader.head.weight.add_(1)
    leader(torch.randn(8, 2, 2))
    follow(behind, leader, m)
    assert torch.allclose(behind.head.weight, before + share)
    assert torch.equal(behind.network[1].running_mean, torch.zeros(4))
    assert not any(each.requires_grad for each in behind.parameters())


def test_sizes_left_to_themselves():
    assert queue_size(Contrast(), 64, 8_260, 2048) == 2048  # the longest
    assert queue_size(Contrast(), 64, 1_000, 2048) == 448  # seven batches: not more than half of the set
    assert queue_size(Contrast(), 64, 50, 2048) == 64
    assert queue_size(Contrast(queue=100), 64, 50, 2048) == 100
    config = load_config(method="cage")  # batches of 64
    assert momentum(config, 64 * 400) == 0.999
    assert momentum(config, 64 * 4) == pytest.approx(1 - 1 / 12)  # 0.92 at 4 steps (FAMILY 4)
