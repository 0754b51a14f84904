"""What stands on an encoder's features to say a class: the head that ``airfast fit-head`` leaves in a run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from airfast.data.motion import file_sha256
from airfast.errors import InputError
from airfast.runs.checkpoint import ENCODER, read, write

FOLDER, HEAD, REPORT = "head", "head.safetensors", "head.json"
TENSORS = ("mean", "scale", "weight", "bias", "whitening")


@dataclass(frozen=True)
class Linear:
    """A linear classifier of standardised features.

    Attributes:
        mean, scale: (D,) float32, what features are standardised by.
        weight, bias: (C, D) and (C,) float32, of standardised features.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def standardised(self, features: Tensor) -> Tensor:
        """Features (N, D) as the classifier reads them."""
        return (features - self.mean) * self.scale

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, D) to logits (N, C)."""
        return self.standardised(features) @ self.weight.T + self.bias


@dataclass(frozen=True)
class Head(Linear):
    """A calibrated linear classifier of features, and the spread of the training features that new ones are held to.

    Attributes:
        classes: C names.
        temperature: what logits are divided by (Guo et al., ICML 2017).
        whitening: (D, D) float32; standardised training features times it have a covariance of one.
        limit: length of a whitened feature (its Mahalanobis distance, Lee et al., NeurIPS 2018) beyond which a clip is
            unlike what was trained on.
    """

    classes: tuple[str, ...]
    temperature: float
    whitening: Tensor
    limit: float

    def probability(self, features: Tensor) -> Tensor:
        """Features (N, D) to calibrated probabilities (N, C)."""
        return torch.softmax(self.logits(features) / self.temperature, dim=1)

    def distance(self, features: Tensor) -> Tensor:
        """(N,) Mahalanobis distance to the training features as a multiple of ``limit``: above 1 is unlike them."""
        length: Tensor = torch.linalg.vector_norm(self.standardised(features) @ self.whitening, dim=1)
        return length / self.limit


def encoder_path(run: Path) -> Path:
    """The encoder that a run's head stands on: one that was fine-tuned with it, or the run's own."""
    tuned = run / FOLDER / ENCODER
    return tuned if tuned.is_file() else run / ENCODER


def save_head(folder: Path, head: Head, encoder: Path) -> None:
    """Write a head into a folder, sealed with the encoder that it stands on."""
    about = {
        "classes": list(head.classes),
        "temperature": head.temperature,
        "limit": head.limit,
        "encoder": file_sha256(encoder),
    }
    write(folder / HEAD, {name: getattr(head, name) for name in TENSORS}, about)


def load_head(run: Path) -> Head:
    """The head of a run.

    Raises:
        InputError: none was fitted, a damaged file, or one that was fitted on another encoder.
    """
    path = run / FOLDER / HEAD
    if not path.is_file():
        raise InputError(f"{run}: no head to predict with; fit one with: airfast fit-head {run}")
    tensors, about = read(path, "classes", "temperature", "limit", "encoder")
    if tensors.keys() != set(TENSORS):
        raise InputError(f"{path}: a file of another kind, expected {', '.join(TENSORS)}")
    if about["encoder"] != file_sha256(encoder_path(run)):
        raise InputError(f"{path}: fitted on another encoder; fit it again with: airfast fit-head {run}")
    classes = tuple(about["classes"])
    return Head(**tensors, classes=classes, temperature=about["temperature"], limit=about["limit"])
