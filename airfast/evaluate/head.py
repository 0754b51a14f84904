"""Fitting a head on a run's encoder: a classifier of its training clips, calibrated on some that it did not see."""

import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.covariance import LedoitWolf
from torch import Tensor
from torch.nn import functional as F

from airfast.atomic import alone_in, replace_folder
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.readers.labels import Columns, match_rows, read_labels
from airfast.data.source import Source
from airfast.data.splits import split
from airfast.deploy.embed import encode
from airfast.deploy.head import FOLDER, REPORT, Head, Linear, save_head
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.finetune import fine_tune
from airfast.evaluate.linear import fitted_logistic
from airfast.evaluate.metrics import Integers, calibration_error
from airfast.evaluate.task import open_for
from airfast.models.deployed import Deployed
from airfast.record import Schema, read_record, write_record
from airfast.runs.checkpoint import ENCODER, load_encoder, save_encoder
from airfast.runs.folder import read_split

MODELS = ("logistic", "finetuned")
HELD_OUT = 0.2  # of the labelled training clips, for the temperature
FARTHEST = 0.99  # of the held-out clips are nearer to the others than what is called unlike them
TEMPERATURES = (0.05, 20.0)


class ReportSchema(Schema):
    """A head's ``head.json``."""

    model: str
    classes: list[str]
    train: int
    held_out: int
    test: int
    temperature: float
    accuracy: float | None
    calibration_error: list[float] | None
    held_out_calibration_error: list[float]


@dataclass(frozen=True)
class HeadReport:
    """What is known of a fitted head.

    Attributes:
        model: logistic or finetuned.
        classes: its class names.
        train, held_out, test: clips that it learnt from, that its temperature was set on, and that the run had put
            aside.
        temperature: of the softmax.
        accuracy: on the test clips; None where there are none.
        calibration_error: expected calibration error on the test clips, before and after the temperature.
        held_out_calibration_error: the same on the held-out clips, by the classifier that did not see them.
    """

    model: str
    classes: tuple[str, ...]
    train: int
    held_out: int
    test: int
    temperature: float
    accuracy: float | None
    calibration_error: tuple[float, float] | None
    held_out_calibration_error: tuple[float, float]


def fit_head(
    run: Path | str,
    labels: Path | None = None,
    model: str = "logistic",
    data: Source = None,
    seed: int = 0,
    device: str = "auto",
    label_column: str = "label",
) -> HeadReport:
    """Fit a calibrated classifier on a run's encoder and leave it in the run, for ``airfast predict``.

    A fifth of the labelled training clips, drawn as the run's own split was (whole subjects where it holds out
    subjects), is set aside; a classifier of the rest gives the temperature that makes their log-likelihood largest
    (Guo et al., ICML 2017). The head is then fitted on all training clips and keeps that temperature. The run's test
    clips are used for nothing but the figures of the report.

    Args:
        run: the run folder.
        labels: CSV of labels for the run's clips, in place of those of its set.
        model: logistic (scikit-learn, C = 1, on standardised features) or finetuned (the encoder too, as the
            fine-tuning protocol trains it; it is kept beside the head, and the run's own stays as it is).
        data: the run's set, if it has moved.
        seed: of the held-out clips and of fine-tuning.
        device: auto, cpu or cuda.
        label_column: of the CSV.

    Raises:
        InputError: no such run or set, no labels, a class with a single clip only, fewer than two classes.
    """
    run, place = Path(run), pick_device(device)
    if model not in MODELS:
        raise InputError(f"--model {model}: expected {' or '.join(MODELS)}")
    encoder, known = load_encoder(run), read_split(run)
    with alone_in(run):
        motion = open_for(run, encoder, known, data)
        if labels is not None:
            motion = labelled(motion, labels, label_column)
        at = {name: index for index, name in enumerate(motion.names)}
        train, test = (
            np.array([at[name] for name in known[side] if name in at], np.int64) for side in ("train", "test")
        )
        train, test = (side[motion.labels[side] >= 0] for side in (train, test))
        if len(set(motion.labels[train].tolist())) < 2:
            raise InputError(
                f"{run}: {len(train)} labelled training clips; expected at least two classes; --labels names them"
            )
        fitting, held = held_out(motion, train, encoder.config.split.kind, seed)
        answers = torch.from_numpy(motion.labels)
        _, linear, features = fitted(model, encoder, motion, fitting, seed, place)
        logits = linear.logits(features[held])
        temperature = best_temperature(logits, answers[held])
        held_error = errors(logits, answers[held], temperature)
        encoder, linear, features = fitted(model, encoder, motion, train, seed, place)
        whitening, limit = spread(*(linear.standardised(features[side]) for side in (fitting, held)))
        head = Head(**vars(linear), classes=motion.classes, temperature=temperature, whitening=whitening, limit=limit)
        accuracy = error = None
        if len(test):
            logits = head.logits(features[test])
            accuracy = float((logits.argmax(dim=1) == answers[test]).float().mean())
            error = errors(logits, answers[test], temperature)
        counts = len(train), len(held), len(test)
        report = HeadReport(model, motion.classes, *counts, temperature, accuracy, error, held_error)
        write_head(run, head, report, encoder if model == "finetuned" else None)
    return report


def write_head(run: Path, head: Head, report: HeadReport, encoder: Deployed | None) -> None:
    """A head, what it is worth, and the encoder that was trained with it, in the place of those that were there."""
    try:
        for left in run.glob(f".{FOLDER}.*"):  # of a process that was killed: this one is alone in the run
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=f".{FOLDER}.", dir=run) as staging:
            folder = Path(staging) / FOLDER
            folder.mkdir()
            if encoder is not None:
                save_encoder(folder, encoder, 0)
            save_head(folder, head, (run if encoder is None else folder) / ENCODER)
            write_record(folder / REPORT, asdict(report))
            replace_folder(folder, run / FOLDER)
    except OSError as error:
        raise InputError(f"{run / FOLDER}: cannot be written ({error.strerror or error})") from None


def read_report(path: Path) -> dict[str, Any]:
    """What :func:`fit_head` wrote; InputError where it is damaged."""
    return read_record(path, ReportSchema)


def labelled(motion: MotionSet, path: Path, column: str) -> MotionSet:
    """The set with the labels of a CSV; clips without a row are unlabelled, a row without a clip is an InputError."""
    rows, unmatched = match_rows(read_labels(path, Columns(column)), motion.names, path)
    if unmatched:
        raise InputError(f"{path}:{unmatched[0].line}: no clip {unmatched[0].file!r}")
    said = [rows[name].label if name in rows else "" for name in motion.names]
    classes = tuple(sorted({*said} - {""}))
    return replace(motion, classes=classes, labels=np.array([classes.index(s) if s else -1 for s in said], np.int64))


def held_out(motion: MotionSet, train: Integers, kind: str, seed: int) -> tuple[Integers, Integers]:
    """Training clips to fit on, and those to set the temperature on: by the run's kind of split where it can be."""
    some = motion.select(train)
    try:
        fitting, held = split(some, kind if kind in ("subject", "group") else "random", seed, HELD_OUT)  # type: ignore[arg-type]
    except InputError:  # of a single subject, say
        fitting, held = split(some, "random", seed, HELD_OUT)
    seen = np.isin(some.labels[held], some.labels[fitting])
    if not seen.any() or len(set(some.labels[fitting].tolist())) < 2:
        fitting, held = split(some, "random", seed, HELD_OUT)
        seen = np.isin(some.labels[held], some.labels[fitting])
    return train[fitting], train[held[seen]]


def fitted(
    model: str, encoder: Deployed, motion: MotionSet, train: Integers, seed: int, place: torch.device
) -> tuple[Deployed, Linear, Tensor]:
    """A classifier of the training clips, the encoder under it, and that encoder's features (N, D) of the whole set."""
    if model == "logistic":
        features = encode(encoder, motion, place)
        return encoder, fitted_logistic(features[train], motion.labels[train], len(motion.classes)), features
    answers = torch.from_numpy(motion.labels)
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, place)
    # Only what is left after the last epoch is used: the clip to test on need not be another.
    sides = torch.from_numpy(train), answers[train], torch.from_numpy(train[:1]), answers[train[:1]]
    tuned = fine_tune(encoder, clips, *sides, len(motion.classes), seed)
    behind = tuned.classifier.cpu()
    weight, bias = behind.linear.weight.detach(), behind.linear.bias.detach()
    linear = Linear(behind.get_buffer("mean"), behind.get_buffer("scale"), weight, bias)
    return tuned.encoder, linear, encode(tuned.encoder, motion, place)


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of the largest log-likelihood, within TEMPERATURES."""
    loss = lambda log: float(F.cross_entropy(logits.double() / np.exp(log), labels))  # noqa: E731
    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def errors(logits: Tensor, labels: Tensor, temperature: float) -> tuple[float, float]:
    """Expected calibration error before and after the temperature."""
    before, after = (
        calibration_error(torch.softmax(logits / each, dim=1).numpy(), labels.numpy()) for each in (1.0, temperature)
    )
    return before, after


def spread(near: Tensor, far: Tensor) -> tuple[Tensor, float]:
    """What whitens standardised features (n, D), and the length of other whitened ones that few of them exceed.

    The covariance is shrunk (Ledoit and Wolf, 2004): there are often fewer clips than features.
    """
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(near.numpy()).covariance_)
    whitening = torch.from_numpy(vectors / np.sqrt(np.maximum(values, 1e-6))).float()
    length = torch.linalg.vector_norm(far @ whitening, dim=1)
    return whitening, float(length.quantile(FARTHEST))
