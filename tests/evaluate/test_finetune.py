import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from airfast.data.dataset import DeviceClips
from airfast.evaluate import finetune
from airfast.evaluate.finetune import FEWEST_STEPS, LARGEST_BATCH, batches, fine_tune
from airfast.evaluate.linear import standardise
from airfast.models.deployed import DeployedEncoder

CPU = torch.device("cpu")


@pytest.fixture
def task(walkers, tiny):
    """A tiny encoder, the walkers' clips, two thirds of them to train on."""
    config = tiny()
    torch.manual_seed(0)
    encoder = DeployedEncoder(config, walkers.layout).eval()
    clips = DeviceClips.from_motion(walkers, config.inputs, CPU)
    labels = torch.from_numpy(walkers.labels)
    train, test = torch.arange(0, 40), torch.arange(40, 60)
    return encoder, clips, train, labels[train], test, labels[test]


def test_settings_are_those_that_the_docs_name():
    assert (finetune.ENCODER_RATE, finetune.CLASSIFIER_RATE, finetune.WEIGHT_DECAY) == (2e-4, 2e-3, 5e-4)
    assert (finetune.EPOCHS, finetune.DROP, FEWEST_STEPS) == (30, 24, 10)
    assert (finetune.SMALLEST_BATCH, LARGEST_BATCH) == (16, 64)


def test_the_classifier_begins_as_the_probe(task):
    encoder, clips, train, labels, test, _ = task
    features = finetune.features_of(encoder, clips, train)
    scaled, asked = (standardise(features, each) for each in (features, finetune.features_of(encoder, clips, test)))
    sd = features.shape[1] ** 0.5 / 8
    model = LogisticRegression(max_iter=5000).fit(scaled[0] * sd, labels)
    begun = finetune.Classifier(features, labels, 5)
    logits = begun(finetune.features_of(encoder, clips, test)).detach()
    np.testing.assert_allclose(logits[:, model.classes_], model.decision_function(asked[1] * sd), atol=1e-3)


def test_learns_what_it_is_shown_and_leaves_the_encoder_alone(task):
    encoder, clips, train, labels, _, _ = task
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    tuned = fine_tune(encoder, clips, train, labels, train, labels, len(labels.unique()), seed=0)
    assert (tuned.last == labels).float().mean() > 0.7  # chance is a fifth
    after = encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(each.grad is not None for each in encoder.parameters())


def test_same_seed_same_answer_whatever_the_test_labels(task, monkeypatch):
    monkeypatch.setattr(finetune, "EPOCHS", 3)
    encoder, clips, train, labels, test, answers = task
    one = fine_tune(encoder, clips, train, labels, test, answers, 5, seed=1)
    two = fine_tune(encoder, clips, train, labels, test, torch.zeros_like(answers), 5, seed=1)
    assert torch.equal(one.last, two.last)
    assert (one.best == answers).sum() >= (one.last == answers).sum()
    assert 1 <= one.best_epoch <= 3


@pytest.mark.parametrize("count", [1, 7, 139, 639, 20 * LARGEST_BATCH])
def test_an_epoch_sees_every_clip(count):
    found = list(batches(count, torch.Generator().manual_seed(0)))
    assert len(found) >= FEWEST_STEPS
    assert len({len(each) for each in found}) == 1
    assert len(found[0]) <= LARGEST_BATCH
    seen = np.bincount(torch.cat(found), minlength=count)
    assert seen.min() >= 1
    assert np.ptp(seen) <= 1
