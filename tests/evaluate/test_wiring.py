"""What is standardised by whom, which weights are untrained, what fine-tuning trains: protocols beside plain loops."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from airfast.data.dataset import DeviceClips
from airfast.deploy.embed import encode
from airfast.evaluate import finetune, linear
from airfast.evaluate.finetune import Classifier, batches, fine_tune
from airfast.evaluate.frozen import frozen_features, knn_rows, linear_rows, untrained_like
from airfast.evaluate.linear import linear_probe
from airfast.evaluate.task import Task
from airfast.runs.checkpoint import load_encoder
from airfast.training.pretrain import initial

CPU = torch.device("cpu")


@pytest.fixture
def unlike():
    """Features whose columns differ in scale and whose test side is shifted and narrower: 50 and 200 rows."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 250)
    x = rng.normal(size=(3, 6))[labels] + rng.normal(size=(250, 6))
    x = x * 10.0 ** np.array([-2, -1, 0, 0, 1, 2])
    x[50:] = 0.5 * x[50:] + x.std(0)
    return x.astype(np.float32), labels


def standardised(train, rows):
    return (rows - train.mean(0)) / train.std(0)


def probe_in_loops(train, labels, test, seeds):
    """SGD of a linear layer, seed by seed, on features standardised by the training side (METHOD 7)."""
    random, width = torch.Generator().manual_seed(0), train.shape[1]
    x, y = (standardised(train, rows) * 8 / width**0.5 for rows in (train, test))
    weights = torch.randn(seeds, width, 3, generator=random).double().numpy() * 0.01
    biases, speed_w, speed_b = np.zeros((seeds, 3)), np.zeros((seeds, width, 3)), np.zeros((seeds, 3))
    for epoch in range(150):
        rate = 0.03 * 0.1 ** ((epoch >= 120) + (epoch >= 140))
        orders = torch.rand(seeds, len(x), generator=random).argsort(dim=1).numpy()
        for at in range(0, len(x), 128):
            for seed, order in enumerate(orders):
                index = order[at : at + 128]
                logits = x[index] @ weights[seed] + biases[seed]
                q = np.exp(logits - logits.max(1, keepdims=True))
                q /= q.sum(1, keepdims=True)
                q[np.arange(len(index)), labels[index]] -= 1
                speed_w[seed] = 0.9 * speed_w[seed] + x[index].T @ q / len(index)
                speed_b[seed] = 0.9 * speed_b[seed] + q.mean(0)
                weights[seed] -= rate * speed_w[seed]
                biases[seed] -= rate * speed_b[seed]
    return np.stack([(y @ w + b).argmax(1) for w, b in zip(weights, biases, strict=True)])


def test_the_linear_protocol_is_that_of_the_loops(unlike):
    x, labels = unlike
    expected = probe_in_loops(x[:50].astype(np.float64), labels[:50], x[50:].astype(np.float64), 3)
    train, test = torch.from_numpy(x[:50]), torch.from_numpy(x[50:])
    known, answers = torch.from_numpy(labels[:50]), torch.from_numpy(labels[50:])
    assert (linear.EPOCHS, linear.DROPS, linear.RATE) == (150, (120, 140), 0.03)  # METHOD 7
    found = linear_probe(train, known, test, answers, 3, seeds=3)
    assert (found.last.numpy() != expected).mean() < 0.01  # a test row on the border may fall to the other side
    both = x.astype(np.float64)
    leaked = probe_in_loops(both[:50] - both.mean(0) + both[:50].mean(0), labels[:50], both[50:], 3)
    assert (leaked != expected).mean() > 0.02  # else the shift would show nothing


def test_nearest_neighbours_are_of_features_standardised_by_the_training_side(walkers, unlike):
    x, labels = unlike
    motion = replace(walkers.select(np.arange(250) % len(walkers)), labels=labels, classes=("a", "b", "c"))
    task = Task(motion, np.arange(50), np.arange(50, 250))
    x, right = x.astype(np.float64), {1: 0, 20: 0}
    train, test = standardised(x[:50], x[:50]), standardised(x[:50], x[50:])
    for row, label in zip(test, labels[50:], strict=True):
        near = np.argsort(-(train @ row) / np.linalg.norm(train, axis=1) / np.linalg.norm(row), kind="stable")
        right[1] += labels[near[0]] == label
        votes = np.bincount(labels[near[:20]], minlength=3)
        tied = [c for c in range(3) if votes[c] == votes.max()]
        right[20] += label in tied if len(tied) == 1 else 0.5 * (label in tied)
    rows = {row.probe: row.mean("accuracy") for row in knn_rows({"it": torch.from_numpy(x).float()}, task)}
    assert rows["1-NN"] == pytest.approx(right[1] / 200)
    assert rows["20-NN"] == pytest.approx(right[20] / 200, abs=0.02)  # ties
    plain = [
        (labels[np.argsort(-(x[:50] @ r) / np.linalg.norm(x[:50], axis=1))[0]] == c)
        for r, c in zip(x[50:], labels[50:], strict=True)
    ]
    assert abs(np.mean(plain) - rows["1-NN"]) > 0.02  # else unlike scales would show nothing


def test_untrained_is_the_start_of_the_run_on_the_inputs_of_its_end(finished_run):
    encoder = load_encoder(finished_run)
    fresh = untrained_like(encoder)
    start = initial(encoder.config, encoder.layout).deployed.state_dict()
    for name, value in fresh.state_dict().items():
        if name.startswith("inputs."):
            assert torch.equal(value, encoder.state_dict()[name])
        else:
            assert torch.equal(value, start[name])
            assert value.ndim < 2 or not torch.equal(value, encoder.state_dict()[name])
    assert any(not torch.equal(value, start[name]) for name, value in fresh.state_dict().items())  # its inputs


def test_each_source_is_what_it_is_called(finished_run, walkers):
    encoder = load_encoder(finished_run)
    sources = frozen_features(encoder, walkers, CPU)
    assert torch.equal(sources["pre-trained"], encode(encoder, walkers, CPU))
    assert torch.equal(sources["untrained"], encode(untrained_like(encoder), walkers, CPU))
    task = Task(walkers, np.arange(0, 60, 2), np.arange(1, 60, 2))
    rows = {(row.features, row.probe): row.scores for row in linear_rows(sources, task, 2)}
    train, test = (sources["untrained"][side] for side in (task.train, task.test))
    probe = linear_probe(train, task.labels(task.train), test, task.labels(task.test), 5, 2)
    assert rows["untrained", "linear"] == tuple(map(task.score, probe.last.numpy()))
    assert rows["untrained", "linear, best"] == tuple(map(task.score, probe.best.numpy()))


def test_fine_tuning_trains_encoder_and_classifier_on_views(finished_run, walkers, monkeypatch):
    monkeypatch.setattr(finetune, "EPOCHS", 3)
    monkeypatch.setattr(finetune, "DROP", 2)
    made = []
    kept = SimpleNamespace(deepcopy=lambda network: made.append(copy.deepcopy(network)) or made[-1])
    monkeypatch.setattr(finetune, "copy", kept)
    encoder = load_encoder(finished_run)
    clips = DeviceClips.from_motion(walkers, encoder.config.inputs, CPU)
    train, test = torch.arange(0, 40), torch.arange(40, 60)
    labels = torch.from_numpy(walkers.labels)
    found = fine_tune(encoder, clips, train, labels[train], test, labels[test], 5, seed=2)
    ours = copy.deepcopy(encoder).eval()
    drawn, random = (torch.Generator().manual_seed(2) for _ in range(2))
    with torch.no_grad():
        head = Classifier(ours(clips.whole(train)), labels[train], 5)
    rates = {id(each): 2e-4 for each in ours.parameters()} | {id(each): 2e-3 for each in head.parameters()}
    moments = dict.fromkeys(rates, (0.0, 0.0))
    steps = 0
    for epoch in range(3):
        ours.train()
        for index in batches(40, drawn):
            steps += 1
            logits = head(ours(clips.view(train[index], random)))
            loss = -torch.log_softmax(logits, 1)[torch.arange(len(index)), labels[train][index]].mean()
            weights = [*ours.parameters(), *head.parameters()]
            for each, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                first, second = moments[id(each)]
                slope = slope + 5e-4 * each.detach()
                first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                moments[id(each)] = first, second
                rate = rates[id(each)] * (0.1 if epoch >= 2 else 1)
                with torch.no_grad():
                    each -= rate * first / (1 - 0.9**steps) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
    start = encoder.state_dict()
    for name, value in made[0].state_dict().items():
        if value.ndim == 2:
            moved = (value - start[name]).norm()
            assert moved > 0, name
            assert (value - ours.state_dict()[name]).norm() < 0.05 * moved, name
    with torch.no_grad():
        assert (head(ours.eval()(clips.whole(test))).argmax(1) == found.last).float().mean() > 0.9
