"""The linear protocol: one linear layer on frozen features (METHOD 7)."""

from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from torch import Generator, Tensor
from torch.nn import functional as F

from airfast.deploy.head import Linear
from airfast.evaluate.metrics import Integers

EPOCHS, DROPS, RATE, BATCH = 150, (120, 140), 0.03, 128
ABSENT = -30.0  # logit of a class that a side has no clip of


@dataclass(frozen=True)
class LinearProbe:
    """What the probes of several seeds predict for the test features.

    Attributes:
        last: (seeds, m) int64 predictions after the last epoch: the figure to report.
        best: (seeds, m) predictions of the epoch with the best test accuracy, which peeks at the test set; shown
            beside, because the family of the paper reports it.
        best_epoch: (seeds,) that epoch, counted from 1.
    """

    last: Tensor
    best: Tensor
    best_epoch: Tensor


def linear_probe(
    train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, classes: int, seeds: int, first: int = 0
) -> LinearProbe:
    """Train a linear classifier a seed, all seeds at once, on features standardised by the training side.

    SGD, learning rate 0.03, momentum 0.9, 150 epochs, ×0.1 at 120 and 140, batches of 128. The features are
    standardised and scaled to unit mean square norm times 8, so that one rate is stable for every encoder and width
    and a probe measures the features, not their units.

    Args:
        train: (n, D) features; labels: (n,) int64.
        test: (m, D) features; test_labels: (m,) int64, read for the best epoch alone.
        classes: number of classes.
        seeds: how many probes.
        first: seed that all of them draw from, in turn.
    """
    train, test = standardise(train, test)
    generator = Generator(device=train.device).manual_seed(first)
    weight = torch.randn(seeds, train.shape[1], classes, generator=generator, device=train.device) * 0.01
    bias = torch.zeros(seeds, 1, classes, device=train.device)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(DROPS))
    best = last = torch.zeros(seeds, len(test), dtype=torch.long, device=train.device)
    best_hits = torch.full((seeds,), -1, device=train.device)
    best_epoch = torch.zeros_like(best_hits)
    for epoch in range(EPOCHS):
        order = torch.rand(seeds, len(train), generator=generator, device=train.device).argsort(dim=1)
        for index in torch.split(order, BATCH, dim=1):
            logits = torch.baddbmm(bias, train[index], weight)  # (seeds, B, classes)
            # The sum over seeds of each seed's mean: seeds share the optimiser and nothing else.
            loss = F.cross_entropy(logits.flatten(0, 1), labels[index].flatten()) * seeds
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
        last = (test @ weight.detach() + bias.detach()).argmax(dim=2)
        hits = (last == test_labels).sum(dim=1)
        better = hits > best_hits
        best = torch.where(better[:, None], last, best)
        best_epoch = torch.where(better, epoch + 1, best_epoch)
        best_hits = torch.maximum(best_hits, hits)
    return LinearProbe(last, best, best_epoch)


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides centred and scaled by the training side: sd 1 a column, then mean square norm 64 a row."""
    mean, scale = standardisation(train)
    return (train - mean) * scale, (test - mean) * scale


def standardisation(train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale (D,) of features (n, D); a column that does not vary is scaled to 0."""
    deviation, mean = torch.std_mean(train, dim=0, correction=0)
    return mean, torch.where(deviation > 1e-6, 1 / deviation.clamp(min=1e-6), 0.0) * (8 / train.shape[1] ** 0.5)


def fitted_logistic(features: Tensor, labels: Integers, classes: int) -> Linear:
    """Logistic regression (scikit-learn, C = 1) on features (n, D) of sd 1, on the CPU."""
    mean, scale = standardisation(features)
    scale = scale * features.shape[1] ** 0.5 / 8  # sd 1, as the regularisation of the baselines has it
    learnt = LogisticRegression(C=1.0, max_iter=5000).fit(((features - mean) * scale).numpy(), labels)
    coefficients, intercepts = (torch.from_numpy(each).float() for each in (learnt.coef_, learnt.intercept_))
    if len(learnt.classes_) == 2:  # one logit, of the second
        coefficients, intercepts = (torch.cat([-each, each]) / 2 for each in (coefficients, intercepts))
    weight, bias = torch.zeros(classes, features.shape[1]), torch.full((classes,), ABSENT)
    weight[learnt.classes_], bias[learnt.classes_] = coefficients, intercepts
    return Linear(mean, scale, weight, bias)
