"""Fine-tuning: encoder and linear classifier trained together on labelled clips (METHOD 7, Tables II and III)."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from airfast.data.dataset import FEATURE_BATCH, DeviceClips
from airfast.evaluate.linear import fitted_logistic, standardisation
from airfast.models.deployed import Deployed

ENCODER_RATE, CLASSIFIER_RATE, WEIGHT_DECAY = 2e-4, 2e-3, 5e-4
SMALLEST_BATCH, LARGEST_BATCH = 16, 64
EPOCHS, DROP, FEWEST_STEPS = 30, 24, 10


@dataclass(frozen=True)
class FineTuned:
    """What one fine-tuned encoder predicts for the test clips.

    Attributes:
        last: (m,) int64 predictions after the last epoch: the figure to report.
        best: (m,) those of the epoch with the best test accuracy, which peeks at the test set.
        best_epoch: that epoch, counted from 1.
        encoder, classifier: what was trained, after the last epoch, on the device it was trained on.
    """

    last: Tensor
    best: Tensor
    best_epoch: int
    encoder: Deployed
    classifier: "Classifier"


class Classifier(nn.Module):
    """A linear layer behind a fixed standardisation, so that one learning rate suits every encoder and width.

    It begins as the logistic regression of the features that it is given.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int) -> None:
        super().__init__()
        mean, scale = standardisation(features)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        begun = fitted_logistic(features.cpu(), labels.cpu().numpy(), classes)  # reads features of sd 1, this one less
        self.linear = nn.Linear(features.shape[1], classes, device=features.device)
        with torch.no_grad():
            self.linear.weight.copy_(begun.weight * (features.shape[1] ** 0.5 / 8))
            self.linear.bias.copy_(begun.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D) to logits (B, classes)."""
        logits: Tensor = self.linear((features - self.get_buffer("mean")) * self.get_buffer("scale"))
        return logits


def fine_tune(
    encoder: Deployed,
    clips: DeviceClips,
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    classes: int,
    seed: int,
) -> FineTuned:
    """Train a copy of an encoder and a linear classifier on labelled clips; the encoder given is left as it is.

    The classifier begins as the logistic regression of the features: begun at random it first moves the encoder to
    where no class is (Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022). The paper names no
    settings. Its optimiser is kept (Adam, weight decay 5e-4): the plain SGD of its family diverges where an encoder's
    features hardly vary. Rates are 2e-4 for the encoder, below pre-training's, and 2e-3 for the classifier; 30 epochs,
    both ×0.1 after 24. An epoch has at least 10 steps, in batches of 16 to 64; where the clips are too few for that it
    goes over them again. Views are the default augmentation's (crop of 0.5–1, mirror, small turn, jitter), also for
    encoders pre-trained on harsher ones.

    Args:
        encoder: pre-trained or not.
        clips: the set, on the device to train on.
        train, labels: (n,) int64 indices into the set, and their classes.
        test, test_labels: (m,) likewise; the labels are read for the best epoch alone.
        classes: number of classes.
        seed: of the batches and the views.
    """
    place = clips.device
    views = replace(clips, inputs=clips.inputs.model_copy(update={"augmentation": "mild"}))
    drawn, generator = Generator().manual_seed(seed), Generator(device=place).manual_seed(seed)
    train, test, labels, test_labels = (each.to(place) for each in (train, test, labels, test_labels))
    encoder = copy.deepcopy(encoder).to(place)
    classifier = Classifier(features_of(encoder, clips, train), labels, classes).to(place)
    groups = [
        {"params": list(encoder.parameters()), "lr": ENCODER_RATE},
        {"params": list(classifier.parameters()), "lr": CLASSIFIER_RATE},
    ]
    optimiser = torch.optim.Adam(groups, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [DROP])
    best_hits, best, best_epoch, last = -1, test_labels, 0, test_labels
    for epoch in range(EPOCHS):
        encoder.train()
        for index in batches(len(train), drawn):
            logits = classifier(encoder(views.view(train[index], generator)))
            loss = F.cross_entropy(logits, labels[index])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
        with torch.no_grad():
            last = classifier(features_of(encoder, clips, test)).argmax(dim=1)
        hits = int((last == test_labels).sum())
        if hits > best_hits:
            best_hits, best, best_epoch = hits, last, epoch + 1
    return FineTuned(last.cpu(), best.cpu(), best_epoch, encoder.eval(), classifier)


def batches(count: int, generator: Generator) -> Iterator[Tensor]:
    """Index batches (B,) of one epoch: every clip once, and again where there are too few for the steps of an epoch."""
    size = min(count, max(SMALLEST_BATCH, min(LARGEST_BATCH, count // FEWEST_STEPS)))
    steps = max(FEWEST_STEPS, -(-count // size))
    rounds = -(-steps * size // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    yield from torch.split(order[: steps * size], size)


@torch.no_grad()
def features_of(encoder: Deployed, clips: DeviceClips, index: Tensor) -> Tensor:
    """Features (n, D) of whole clips, in eval mode."""
    encoder.eval()
    return torch.cat([encoder(clips.whole(part)) for part in torch.split(index, FEATURE_BATCH)])
