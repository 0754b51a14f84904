"""What the command shows: tables, the training progress line, numbers a person can read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from airfast.config import Config
from airfast.data.source import EMBEDDED
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.report import Row, evaluate
from airfast.labels import LabelSet
from airfast.labels.backend import resolve
from airfast.run_folder import read_split

console = Console()


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


def describe_epoch(metrics: dict[str, Any]) -> str:
    """One line of an epoch's metrics."""
    line = f"loss {metrics['loss']:.2f}"
    if "test" in metrics:
        return f"{line}  accuracy {metrics['accuracy']:.0%} training, {metrics['test']['accuracy']:.0%} test"
    if "clusters" not in metrics:
        return f"{line}  alignment alone"
    noise, agreement = metrics["noise_share"], metrics["mean_agreement"]
    return f"{line}  {metrics['clusters']} clusters  noise {noise:.0%}  agreement {agreement:.2f}"


def show_evaluation(rows: Sequence[Row], title: str) -> None:
    """The table of an evaluation: accuracy, macro-F1 and balanced accuracy."""
    spread = ", mean ± sd over probes" if any(len(row.scores) > 1 for row in rows) else ""
    table = Table(title=f"{title}: percent{spread}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("features", "probe"):
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "macro-F1", "balanced"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        figures = [f"{each} ± {sd}" if len(row.scores) > 1 else each for each, sd in percentages(row)]
        table.add_row(row.features, row.probe, *figures)
    console.print(table)


def percentages(row: Row) -> list[tuple[str, str]]:
    """Mean and standard deviation of the three figures of a row, in percent."""
    figures = ("accuracy", "macro_f1", "balanced_accuracy")
    return [(f"{100 * row.mean(figure):.1f}", f"{100 * row.sd(figure):.1f}") for figure in figures]


def announce_compilation() -> None:
    """The first call on a machine takes long, and says why."""
    from airfast.labels.cpu import compiled

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


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for work that is told as (done, in all)."""
    columns = (TextColumn(what), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Every file that was passed over, with the reason."""
    for name, reason in skipped:
        console.print(f"[yellow]skipped[/] {name}: {reason}", highlight=False, soft_wrap=True)


def announce(config: Config, run: Path, device: str) -> None:
    """What is about to run, where, and which label backend was chosen and why."""
    place = pick_device(device)
    backend, reason = resolve(config.cluster.backend, place, config.cluster.dbscan)
    what = f"preset {config.preset}" if config.method == "air" else f"{config.method}, preset {config.preset}"
    console.print(f"{what}, {config.train.epochs} epochs on {place.type}, into {run}", highlight=False)
    labels = f"{backend.name} ({reason})" if config.amdl else "none, the views are aligned and nothing else"
    console.print(f"labels: {labels}", highlight=False)


def announce_supervised(config: Config, run: Path, device: str) -> None:
    """What is about to learn from labels, on which modalities, and where."""
    place = pick_device(device)
    what = f"{config.method} on {', '.join(config.modalities)}"
    console.print(f"{what}, with labels, {config.train.epochs} epochs on {place.type}, into {run}", highlight=False)


def show_quality(run: Path, device: str) -> None:
    """Both protocols on the run's own test clips; a set without labels is said to have none."""
    try:
        rows = evaluate(run, "linear", device=device) + evaluate(run, "knn", device=device)[1:]
    except InputError as error:
        console.print(f"not evaluated: {error}", highlight=False, soft_wrap=True)
        return
    synthetic = ", synthetic data" if read_split(run)["data"] == EMBEDDED else ""
    show_evaluation(rows, f"frozen features on the test clips of {run}{synthetic}")


def show_facts(facts: dict[str, str]) -> None:
    """Names and values, aligned."""
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"  {name:<{width}}  {value}", highlight=False, soft_wrap=True, markup=False)


def show_set(facts: dict[str, Any]) -> None:
    """What ``airfast data describe`` knows of a set, its warnings last."""
    lines: dict[str, str] = {}
    for name, value in facts.items():
        if name == "warnings" or value in ("", {}, []):
            continue
        lines[name.replace("_", " ")] = short(value)
    show_facts(lines)
    for warning in facts["warnings"]:
        console.print(f"[yellow]warning:[/] {warning}", highlight=False, soft_wrap=True)


def short(value: Any) -> str:
    """A value as a short text: counts as ``name 3, …``, lists joined."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each:g}" for key, each in value.items())
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value))}"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


@contextmanager
def stating() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, where the output is a terminal."""
    with console.status("counting") as status:
        yield status.update


def show_table1(record: dict[str, Any]) -> None:
    """The machine, then a table of sizes, one of speeds, or both."""
    from airfast.bench.machine import title
    from airfast.bench.table import tables

    console.print(title(record["machine"]), highlight=False, soft_wrap=True)
    for table in tables(record):
        console.print(table.on_screen())
    console.print("airfast bench --explain says what the columns mean", style="dim")
