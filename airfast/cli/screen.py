"""What the command shows: tables, the training progress line, numbers a person can read."""

import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from airfast.ablation.report import table as study_table
from airfast.ablation.sweep import SweepState
from airfast.cli.console import console, show_facts
from airfast.config import Config
from airfast.data.motion import read_info
from airfast.data.skeleton import canonical
from airfast.data.source import EMBEDDED, open_motion
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.conclusion import conclusion
from airfast.evaluate.head import HeadReport
from airfast.evaluate.report import Evaluation, evaluate_frozen
from airfast.evaluate.table import Row
from airfast.labels import LabelSet
from airfast.labels.choose import resolve
from airfast.runs.folder import read_split


class TrainingProgress:
    """A progress bar with epoch, loss, clusters, noise share, mean agreement and the time left.

    Where the output is not a terminal, a plain line every tenth epoch takes its place.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> "TrainingProgress":
        self.task = self.progress.add_task("first epoch", total=self.epochs)
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __call__(self, metrics: dict[str, Any]) -> None:
        """Show an epoch."""
        line = describe_epoch(metrics)
        self.progress.update(self.task, completed=metrics["epoch"], description=line)
        if not console.is_terminal and (metrics["epoch"] % 10 == 0 or metrics["epoch"] in (1, self.epochs)):
            console.print(f"epoch {metrics['epoch']}/{self.epochs}  {line}", highlight=False)


class SweepProgress:
    """A progress bar of a sweep's epochs with its runs and the time left; off a terminal, a line for every event."""

    def __init__(self) -> None:
        columns = (
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("epochs  {task.description}"),
            TextColumn("{task.fields[left]}"),
        )
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self.start: tuple[float, int] | None = None

    def __enter__(self) -> "SweepProgress":
        self.task = self.progress.add_task("starting", total=None, left="")
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __call__(self, state: SweepState) -> None:
        """Show how far the sweep is."""
        self.start = self.start or (time.monotonic(), state.epochs)
        left = self.left(state)
        for line in state.news:
            console.print(f"{state.runs}/{state.runs_in_all} runs  {line}{left}", highlight=False, soft_wrap=True)
        what = f"{state.runs}/{state.runs_in_all} runs"
        self.progress.update(self.task, completed=state.epochs, total=state.epochs_in_all, description=what, left=left)

    def left(self, state: SweepState) -> str:
        """The time left at the pace of the epochs since this sweep started; nothing before there is a pace."""
        assert self.start
        since, before = self.start
        done = state.epochs - before
        if not done or state.epochs == state.epochs_in_all:
            return ""
        seconds = (time.monotonic() - since) / done * (state.epochs_in_all - state.epochs)
        return f"  {timedelta(seconds=round(seconds))} left"


def show_study(record: dict[str, Any], out: Path) -> None:
    """The table of an ablation, and where it was written."""
    head, rows = study_table(record)
    table = Table(title=record["title"], title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown = [index for index, name in enumerate(head) if index < 3 or name == "1-NN"]  # the file has the rest
    for index in shown:
        table.add_column(head[index], justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console.print(table)
    for line in record["failed"]:
        console.print(f"[red]failed[/] {line}", highlight=False, soft_wrap=True)
    console.print(f"written to {out / record['file']}.md, .json, .png", highlight=False, soft_wrap=True)


def describe_epoch(metrics: dict[str, Any]) -> str:
    """One line of an epoch's metrics."""
    line = f"loss {metrics['loss']:.2f}"
    if "test" in metrics:
        return f"{line}  accuracy {metrics['accuracy']:.0%} training, {metrics['test']['accuracy']:.0%} test"
    if "clusters" not in metrics:
        return f"{line}  alignment alone" if "intra" in metrics else line
    noise, agreement = metrics["noise_share"], metrics["mean_agreement"]
    return f"{line}  {metrics['clusters']} clusters  noise {noise:.0%}  agreement {agreement:.2f}"


def show_evaluation(found: Evaluation, title: str) -> None:
    """The table of an evaluation: accuracy with its 95 % interval, macro-F1 and balanced accuracy; then its notes."""
    spread = f", mean ± sd over seeds ({found.varies})" if found.varies else ""
    console.print(f"{title}: percent{spread}", style="italic", highlight=False, soft_wrap=True)
    shares = len({row.labelled for row in found.rows}) > 1
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)  # the widest table just fits 80 characters
    for name in ("labels", "features", "probe")[0 if shares else 1 :]:
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "95 %", "macro-F1", "balanced"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        figures = [f"{each} ± {sd}" if len(row.scores) > 1 else each for each, sd in percentages(row)]
        if shares:
            figures[1:] = [each for each, _ in percentages(row)[1:]]
        named = [row.labelled or "all", row.features, row.probe]
        table.add_row(*named[0 if shares else 1 :], figures[0], interval(row), *figures[1:])
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def interval(row: Row) -> str:
    """The 95 % interval of the mean accuracy in percent, within 0 and 100; nothing for a single score."""
    half = row.half_width("accuracy")
    if half is None:
        return ""
    low, high = (min(max(100 * (row.mean("accuracy") + side * half), 0), 100) for side in (-1, 1))
    return f"({low:.1f}–{high:.1f})"


def show_classes(found: Evaluation) -> None:
    """What the last epoch of the pre-trained encoder makes of every class, and the classes it takes it for."""
    row = [each for each in found.rows if each.features == "pre-trained" and "best" not in each.probe][-1]
    share = f", labels: {row.labelled}" if row.labelled else ""
    console.print(f"pre-trained, {row.probe}{share}, by class", style="italic", highlight=False)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("class", no_wrap=True)
    for name in ("recall %", "right", "test clips"):
        table.add_column(name, justify="right")
    table.add_column("taken for")
    for index, (name, recall) in enumerate(zip(found.classes, row.recall(), strict=True)):
        said = row.confusion()[index]
        wrong = [other for other in said.argsort(kind="stable")[::-1] if other != index and said[other]][:2]
        taken = ", ".join(f"{found.classes[other]} {said[other]}" for other in wrong)
        table.add_row(name, f"{100 * recall:.1f}" if said.sum() else "–", str(said[index]), str(said.sum()), taken)
    console.print(table)


def percentages(row: Row) -> list[tuple[str, str]]:
    """Mean and standard deviation of the three figures of a row, in percent."""
    figures = ("accuracy", "macro_f1", "balanced_accuracy")
    return [(f"{100 * row.mean(figure):.1f}", f"{100 * row.sd(figure):.1f}") for figure in figures]


def announce_compilation() -> None:
    """The first call on a machine takes long, and says why."""
    from airfast.labels.cpu.backend import compiled

    if not compiled():
        console.print("compiling the label loops, once on this machine: this can take half a minute", highlight=False)


def show_labels(found: LabelSet, out: Path) -> None:
    """What the label stage found, and the seconds of its steps."""
    console.print(f"labels: {found.backend} ({found.reason})", highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False)
    facts = {
        "samples": str(len(found.labels)),
        "clusters": str(found.num_clusters),
        "noise": f"{found.noise_share:.1%}",
        "mean agreement": f"{found.mean_agreement:.3f}",
    }
    show_facts(facts | {f"{step}, seconds": f"{seconds:.3f}" for step, seconds in found.seconds.items()})
    console.print(f"written to {out}", highlight=False)


def announce(config: Config, run: Path, device: str, data: Path | None) -> None:
    """What is about to run, where, which label backend was chosen and why, and the joints that the set lacks."""
    place = pick_device(device)
    what = f"preset {config.preset}" if config.method == "air" else f"{config.method}, preset {config.preset}"
    console.print(f"{what}, {config.train.epochs} epochs on {place.type}, into {run}", highlight=False)
    if config.method == "air":
        console.print(f"labels: {label_backend(config, place)}", highlight=False)
    odd = read_info(data).get("findings", []) if data else []
    if odd:
        clips = len({each["clip"] for each in odd})
        console.print(f"odd: {len(odd)} findings in {clips} clips; see airfast data describe {data}", highlight=False)
    if config.inputs.joints == "canonical":
        lacking = canonical(open_motion(data)).info.get("lacking", [])
        filled = f"; {', '.join(lacking)} are lacking: placed between or on their neighbours" if lacking else ""
        console.print(f"joints: canonical{filled}", highlight=False, soft_wrap=True)


def label_backend(config: Config, place: torch.device) -> str:
    """Which backend makes the labels of a run of AIR, and why."""
    if not config.air.amdl:
        return "none, the views are aligned and nothing else"
    backend, reason = resolve(config.air.cluster.backend, place, config.air.cluster.dbscan)
    return f"{backend.name} ({reason})"


def announce_supervised(config: Config, run: Path, device: str) -> None:
    """What is about to learn from labels, on which modalities, and where."""
    place = pick_device(device)
    what = f"{config.method} on {', '.join(config.modalities)}"
    console.print(f"{what}, with labels, {config.train.epochs} epochs on {place.type}, into {run}", highlight=False)


def show_quality(run: Path, device: str) -> None:
    """Both protocols on the run's own test clips; a set without labels is said to have none."""
    try:
        found = evaluate_frozen(run, device)
    except InputError as error:
        console.print(f"not evaluated: {error}", highlight=False, soft_wrap=True)
        return
    synthetic = ", synthetic data" if read_split(run)["data"] == EMBEDDED else ""
    show_evaluation(found, f"frozen features on the test clips of {run}{synthetic}")
    if said := conclusion(found.rows):
        console.print(f"so: {said}", highlight=False, soft_wrap=True)


def show_table1(record: dict[str, Any]) -> None:
    """The machine, then a table of sizes, one of speeds, or both."""
    from airfast.bench.machine import title
    from airfast.bench.table import tables

    console.print(title(record["machine"]), highlight=False, soft_wrap=True)
    for table in tables(record):
        console.print(table.on_screen())
    console.print("airfast bench --explain says what the columns mean", style="dim")


def show_head(report: HeadReport, run: Path) -> None:
    """What a fitted head is worth, and how to use it."""

    def pair(error: tuple[float, float]) -> str:
        return f"{error[0]:.3f}, with temperature {report.temperature:.2f}: {error[1]:.3f}"

    facts = {
        "head": f"{report.model}, {len(report.classes)} classes, {report.train} training clips",
        f"calibration error, {report.held_out} held-out clips": pair(report.held_out_calibration_error),
    }
    if report.calibration_error is not None:
        facts[f"accuracy, {report.test} test clips"] = f"{report.accuracy:.3f}"
        facts[f"calibration error, {report.test} test clips"] = pair(report.calibration_error)
    show_facts(facts)
    console.print(f"predict with: airfast predict {run} CLIPS", highlight=False, soft_wrap=True)
