import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from airfast.evaluate.baselines import forest, hand_made, logistic, majority
from airfast.evaluate.knn import knn_predict
from airfast.evaluate.linear import linear_probe
from airfast.evaluate.metrics import score


@pytest.fixture
def blobs():
    """Three classes on unlike scales, as encoder features are: 60 to train on and 30 to test on."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(3, 8))[labels] * 2 + rng.normal(size=(90, 8))
    features = (features * 10.0 ** rng.uniform(-3, 3, size=8)).astype(np.float32)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    return x[:60], y[:60], x[60:], y[60:]


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, size=(2, 50))
    ours = score(true, predicted, 4)
    assert ours.accuracy == pytest.approx(sk.accuracy_score(true, predicted))
    assert ours.macro_f1 == pytest.approx(sk.f1_score(true, predicted, average="macro"))
    assert ours.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(true, predicted))
    np.testing.assert_array_equal(ours.confusion, sk.confusion_matrix(true, predicted))
    np.testing.assert_allclose(ours.recall, sk.recall_score(true, predicted, average=None))


def test_classes_without_test_clips_do_not_count():
    ours = score(np.array([0, 0, 1]), np.array([0, 2, 1]), 3)
    assert np.isnan(ours.recall[2])
    assert ours.balanced_accuracy == pytest.approx(0.75)


def test_linear_probe_learns_and_is_reproducible(blobs):
    first, again = (linear_probe(*blobs, classes=3, seeds=4) for _ in range(2))
    assert torch.equal(first.last, again.last)
    assert first.last.shape == (4, 30)
    accuracy = (first.last == blobs[3]).float().mean(1)
    best = (first.best == blobs[3]).float().mean(1)
    assert (accuracy > 0.8).all()  # the classes are 2 standard deviations apart in 8 dimensions
    assert (best >= accuracy).all()
    assert ((first.best_epoch >= 1) & (first.best_epoch <= 150)).all()


def test_linear_probe_does_not_read_the_test_labels(blobs):
    train, labels, test, answers = blobs
    assert torch.equal(
        linear_probe(train, labels, test, answers, 3, 2).last,
        linear_probe(train, labels, test, torch.zeros_like(answers), 3, 2).last,
    )


def test_knn_votes_and_breaks_ties_by_closeness():
    train = torch.tensor([[1.0, 0.0], [0.98, 0.2], [0.0, 1.0], [0.2, 0.98]])
    labels = torch.tensor([0, 0, 1, 1])
    test = torch.tensor([[1.0, 0.1], [0.1, 1.0], [0.6, 0.8]])
    assert knn_predict(train, labels, test, 1, 2).tolist() == [0, 1, 1]
    assert knn_predict(train, labels, test, 4, 2).tolist() == [0, 1, 1]
    assert knn_predict(train, labels, test, 99, 2).tolist() == [0, 1, 1]


def test_more_votes_beat_closer_ones():
    train = torch.tensor([[1.0, 0.0], [0.7, 0.7], [0.7, 0.71]])
    assert knn_predict(train, torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.0]]), 3, 2).tolist() == [1]


def test_majority():
    assert majority(np.array([2, 1, 2, 0]), 3).tolist() == [2, 2, 2]


def test_hand_made_statistics(walkers):
    features = hand_made(walkers.select([3]))[0].reshape(4, -1)  # mean, sd, range, speed
    clip = walkers.clip(3)
    height = clip[:, 5, 1] - clip[:, walkers.layout.root, 1]
    column = walkers.layout.joints.__len__() + 5  # coordinate y of joint 5
    expected = [height.mean(), height.std(), np.ptp(height)]
    np.testing.assert_allclose(features[:3, column], expected, atol=1e-5)
    fps = walkers.fps[3]
    assert features[3, column] == pytest.approx(np.abs(np.gradient(clip[:, 5, 1]) * fps).mean(), rel=1e-4)


def test_classifiers_of_hand_made_statistics(blobs):
    train, labels, test, answers = (each.numpy() for each in blobs)
    for predicted in (logistic(train, labels, test), forest(train, labels, test, seed=0)):
        assert (predicted == answers).mean() > 0.8  # as for the linear probe above
