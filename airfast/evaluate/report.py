"""`airfast evaluate`: the protocols of a run beside the baselines they must beat, as rows of one table (METHOD 7)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from airfast.atomic import alone_in
from airfast.data.dataset import DeviceClips
from airfast.data.source import Source
from airfast.data.splits import Drawn
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.baselines import hand_made, logistic
from airfast.evaluate.finetune import fine_tune
from airfast.evaluate.frozen import (
    Nuisance,
    few_rows,
    frozen_features,
    hand_made_rows,
    knn_rows,
    linear_rows,
    majority_row,
    told,
    untrained_like,
)
from airfast.evaluate.semi import draw_labelled
from airfast.evaluate.table import Progress, Row, over_seeds, save_table
from airfast.evaluate.task import Task, draw_tasks, open_task
from airfast.models.deployed import Deployed
from airfast.runs.checkpoint import load_encoder

Protocol = Literal["linear", "knn", "few", "finetune", "semi", "transfer"]
FROZEN = ("linear", "knn", "few")
FRACTIONS = (0.01, 0.05, 0.1, 0.5)  # Table III
FEW = (1, 2, 3, 5, 10)  # labelled clips a class
FEWEST = (1, 5)  # of them, when training has just ended
SEEDS, DRAWS = 5, 20  # draws of a few clips differ much, and cost little

VARIES = {
    "linear": "probe weights and batches",
    "knn": "",
    "few": "the labelled clips",
    "finetune": "batches and views",
    "semi": "the labelled clips, batches and views",
    "transfer": "batches and views",
}


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found.

    Attributes:
        rows: the table.
        classes: names of the classes.
        notes: lines to be read with every figure: joints that a set lacks, test clips that pre-training has seen,
            what a fraction really was.
        varies: what differs between the seeds of a row; empty where nothing does.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    varies: str


def evaluate(
    run: Path | str,
    protocol: Protocol,
    data: Source = None,
    seeds: int | None = None,
    device: str = "auto",
    split: Drawn | None = None,
    fractions: Sequence[float] = FRACTIONS,
    progress: Progress | None = None,
    nuisance: Nuisance = "none",
    each: Sequence[int] = FEW,
) -> Evaluation:
    """Evaluate a run's encoder by one protocol; the table is saved in the run folder as JSON too.

    On the run's own data the split is the run's: no test clip was seen in pre-training, and no label was used there.
    On other data the split is drawn again, of the same kind. Encoder and split are then the same for all seeds, and
    the spread is that of the probe alone; with ``split`` every seed draws its own split as well.

    Args:
        run: a run folder.
        protocol: linear, knn and few leave the encoder frozen, in eval mode, few with a few labels of every class;
            finetune trains it too; semi does so with a share of the labels; transfer fine-tunes on another set.
        data: a prepared folder or a set in memory; the run's own by default. The target of a transfer.
        seeds: repetitions of what is random; None for 5, or for the 20 draws of few.
        device: auto, cpu or cuda.
        split: random, subject, group or family; None for the run's own.
        fractions: shares of the labels for semi.
        progress: called as (done, in all) while encoders are fine-tuned.
        nuisance: group or subject: take from every row's features, where they are frozen, what tells the training
            clips' actions or people apart; for a fair comparison with a run that was told them (``air.nuisance``).
        each: labelled clips a class for few; all there are of a smaller class.

    Raises:
        InputError: not a run, a set of another layout or without labels, nothing to test on, a wrong option.

    Source: METHOD 7, Section IV-B.
    """
    run = Path(run)
    seeds = (DRAWS if protocol == "few" else SEEDS) if seeds is None else seeds
    check_options(protocol, data, seeds, split, fractions, nuisance, each)
    encoder = load_encoder(run)
    with alone_in(run):
        place = pick_device(device)
        tasks = draw_tasks(run, encoder, data, split, seeds) if split else [open_task(run, encoder, data)]
        if protocol in FROZEN:
            sources = frozen_features(encoder, tasks[0].motion, place)
            given = [told(sources, task.motion, nuisance, task.train) for task in tasks]
            rows = frozen_table(protocol, given, tasks, seeds, sorted(set(each)))
            if protocol == "linear":
                rows[1:1] = hand_made_table(given, tasks, seeds)
        else:
            shares = tuple(sorted(set(fractions))) if protocol == "semi" else (1.0,)
            rows = tuned_table(encoder, tasks, seeds, shares, place, progress)
        notes = tasks[0].notes + (fraction_notes(rows, tasks[0]) if protocol == "semi" else ())
        notes += few_notes(tasks[0], each) if protocol == "few" else ()
        if nuisance != "none":
            notes += (f"every row: directions between the means of the training clips' {nuisance}s are projected out",)
        found = Evaluation(tuple(rows), tasks[0].motion.classes, notes, varies(protocol, split))
        save(run, protocol, split, tasks, data, found, nuisance)
    return found


def evaluate_frozen(run: Path | str, device: str = "auto", seeds: int = 5) -> Evaluation:
    """Linear, kNN and a few labels of a run on its own data, from one encoding; saved as by evaluate."""
    run = Path(run)
    encoder = load_encoder(run)
    with alone_in(run):
        tasks = [open_task(run, encoder)]
        sources = frozen_features(encoder, tasks[0].motion, pick_device(device))
        rows: list[Row] = []
        for protocol in FROZEN:
            draws = DRAWS if protocol == "few" else seeds
            table = frozen_table(protocol, [sources], tasks, draws, FEWEST)
            found = Evaluation(tuple(table), tasks[0].motion.classes, tasks[0].notes, varies(protocol, None))
            save(run, protocol, None, tasks, None, found)
            rows += table[1:] if rows else table
    return replace(found, rows=tuple(rows), varies=f"{VARIES['linear']}; of few labels {VARIES['few']}")


def check_options(
    protocol: str,
    data: Source,
    seeds: int,
    split: str | None,
    fractions: Sequence[float],
    nuisance: str,
    each: Sequence[int],
) -> None:
    """Raise InputError for an option that is wrong, before anything is read."""
    known = get_args(Protocol)
    if protocol not in known:
        raise InputError(f"--protocol {protocol}: expected {', '.join(known[:-1])} or {known[-1]}")
    if protocol == "transfer" and data is None:
        raise InputError("--protocol transfer: say with --to which prepared set to fine-tune on")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: expected at least 1")
    if split not in (None, *get_args(Drawn)):
        raise InputError(f"--split {split}: expected {', '.join(get_args(Drawn)[:-1])} or {get_args(Drawn)[-1]}")
    if nuisance not in get_args(Nuisance):
        raise InputError(f"--nuisance {nuisance}: expected none, group or subject")
    if nuisance != "none" and protocol not in FROZEN:
        raise InputError(f"--nuisance {nuisance}: of linear, knn and few, which leave the features as they are")
    if not fractions or not all(0 < share <= 1 for share in fractions):
        raise InputError(
            f"--fraction {','.join(f'{share:g}' for share in fractions)}: expected shares above 0, at most 1"
        )
    if not each or min(each) < 1:
        raise InputError(f"--each {','.join(map(str, each))}: expected numbers of clips, 1 or more")


def parse_fractions(text: str) -> tuple[float, ...]:
    """``0.01,0.5`` to numbers; InputError where it is none."""
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError:
        raise InputError(f"--fraction {text}: expected numbers with commas between, e.g. 0.01,0.1") from None


def parse_each(text: str) -> tuple[int, ...]:
    """``1,3`` to numbers; InputError where it is none."""
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise InputError(f"--each {text}: expected whole numbers with commas between, e.g. 1,3") from None


def target(protocol: str, data: Path | None, to: Path | None) -> Path | None:
    """The set to evaluate on; ``--to`` is a transfer's alone, and is what ``--data`` is to the others."""
    if to is not None and protocol != "transfer":
        raise InputError(f"--to {to}: goes with --protocol transfer; other protocols take --data")
    if data is not None and protocol == "transfer":
        raise InputError(f"--data {data}: a transfer takes --to, the set to fine-tune on")
    return to if protocol == "transfer" else data


def repeats(tasks: list[Task], seeds: int) -> Iterator[tuple[int, Task]]:
    """(seed, task): one split for all seeds, or each its own."""
    return ((seed, tasks[seed % len(tasks)]) for seed in range(seeds))


def shared(tasks: list[Task]) -> float:
    """Test clips over training clips, the mean over tasks; 0 for a single one, of which all seeds are."""
    return sum(len(task.test) / len(task.train) for task in tasks) / len(tasks) if len(tasks) > 1 else 0


def frozen_table(
    protocol: str, given: list[dict[str, Tensor]], tasks: list[Task], seeds: int, each: Sequence[int]
) -> list[Row]:
    """The rows of linear, knn or few over seeds; each task is given the features of every source."""
    if protocol == "knn":
        return over_seeds([knn_rows(*both) for both in zip(given, tasks, strict=True)], shared(tasks))
    if protocol == "few":
        if len(tasks) == 1:
            return few_rows(given[0], tasks[0], each, seeds)
        found = [few_rows(given[seed], task, each, 1, seed) for seed, task in repeats(tasks, seeds)]
        return over_seeds(found, shared(tasks))
    if len(tasks) == 1:
        return linear_rows(given[0], tasks[0], seeds)
    found = [linear_rows(given[seed], task, 1, seed) for seed, task in repeats(tasks, seeds)]
    return over_seeds(found, shared(tasks))


def hand_made_table(given: list[dict[str, Tensor]], tasks: list[Task], seeds: int) -> list[Row]:
    """Hand-made statistics, of each task, under logistic regression and a random forest."""
    features = [each["hand-made"] for each in given]
    if len(tasks) == 1:
        return hand_made_rows(features[0], tasks[0], seeds)
    found = [hand_made_rows(features[seed], task, 1, seed) for seed, task in repeats(tasks, seeds)]
    return over_seeds(found, shared(tasks))


def tuned_table(
    encoder: Deployed,
    tasks: list[Task],
    seeds: int,
    fractions: Sequence[float],
    device: torch.device,
    progress: Progress | None,
) -> list[Row]:
    """The rows of finetune, semi and transfer over seeds; fractions of 1 use all labels."""
    motion = tasks[0].motion
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, device)
    statistics = hand_made(motion)
    encoders = {"untrained": untrained_like(encoder), "pre-trained": encoder}
    done, total = 0, len(fractions) * seeds * len(encoders)
    known: dict[tuple[str, int, int], list[Row]] = {}  # small fractions often are the same clips: one a class
    table: list[Row] = []
    for fraction in fractions:
        repetitions = []
        for seed, task in repeats(tasks, seeds):
            labelled = task
            if fraction < 1:
                kept = draw_labelled(task.motion.labels[task.train], fraction, seed)
                labelled = replace(task, train=task.train[kept])
            rows = [majority_row(labelled), logistic_row(statistics, labelled)]
            for name, each in encoders.items():
                key = name, seed, len(labelled.train)  # a smaller draw lies within a larger one: equal in size, equal
                known[key] = known.get(key) or tuned_rows(name, each, clips, labelled, seed)
                rows += known[key]
                done += 1
                if progress:
                    progress(done, total)
            repetitions.append([replace(row, fraction=fraction, clips=len(labelled.train)) for row in rows])
        table += over_seeds(repetitions, shared(tasks))
    return table


def tuned_rows(name: str, encoder: Deployed, clips: DeviceClips, task: Task, seed: int) -> list[Row]:
    """One fine-tuning: the last epoch, and the best test epoch beside it, labelled."""
    train, test = torch.from_numpy(task.train), torch.from_numpy(task.test)
    labels, answers = task.labels(task.train), task.labels(task.test)
    tuned = fine_tune(encoder, clips, train, labels, test, answers, task.classes, seed)
    return [
        Row(name, "fine-tuned", (task.score(tuned.last),)),
        Row(name, "fine-tuned, best", (task.score(tuned.best),)),
    ]


def logistic_row(statistics: Tensor, task: Task) -> Row:
    """Hand-made statistics and logistic regression from the same labels: what fine-tuning must beat."""
    labels = task.motion.labels[task.train]
    predicted = logistic(statistics[task.train].numpy(), labels, statistics[task.test].numpy())
    return Row("hand-made", "logistic", (task.score(predicted),))


def fraction_notes(rows: Sequence[Row], task: Task) -> tuple[str, ...]:
    """How many clips each share of the labels really was."""
    drawn = {row.fraction: row.clips for row in rows if row.fraction is not None and row.clips is not None}
    present = len(set(task.motion.labels[task.train].tolist()))
    return tuple(
        f"{100 * fraction:g} % of {len(task.train)} labels: {clips:g} clips, {100 * clips / len(task.train):.1f} %"
        + (f" (one of each of the {present} classes at least)" if clips > 1.5 * fraction * len(task.train) else "")
        for fraction, clips in drawn.items()
    )


def few_notes(task: Task, each: Sequence[int]) -> tuple[str, ...]:
    """Classes that have fewer clips than were asked for."""
    labels = task.motion.labels[task.train]
    small = [name for label, name in enumerate(task.motion.classes) if 0 < (labels == label).sum() < max(each)]
    return (f"fewer than {max(each)} training clips of {', '.join(small)}: all of them",) if small else ()


def varies(protocol: str, split: str | None) -> str:
    """What differs between seeds, in words."""
    return ", ".join(filter(None, ["the split" if split else "", VARIES[protocol]]))


def save(
    run: Path,
    protocol: str,
    split: str | None,
    tasks: list[Task],
    data: Source,
    found: Evaluation,
    nuisance: Nuisance = "none",
) -> None:
    """``evaluate-PROTOCOL.json``; a drawn split, another set and a known nuisance are in its name."""
    motion = tasks[0].motion
    drawn = f"-{split}" if split else ""
    other = f"-{Path(data).resolve().name}" if isinstance(data, Path | str) else ""
    without = "" if nuisance == "none" else f"-without-{nuisance}"
    about = {
        "protocol": protocol,
        "set": motion.info.get("name"),
        "synthetic": motion.info.get("synthetic", False),
        "split": split or "the run's",
        "train_clips": len(tasks[0].train),
        "test_clips": len(tasks[0].test),
        "classes": list(found.classes),
        "varies_over_seeds": found.varies,
        "notes": list(found.notes),
    }
    save_table(run / f"evaluate-{protocol}{drawn}{other}{without}.json", about, found.rows)
