"""What every command shows with: the console, progress, facts; imports nothing that needs torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

if TYPE_CHECKING:
    from airfast.data.draft import FileDraft

console = Console()


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for work that is told as (done, in all)."""
    columns = (TextColumn(what), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, visible=False)  # until there is something to count
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


def show_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Every file that was passed over, with the reason."""
    for name, reason in skipped:
        console.print(f"[yellow]skipped[/] {escape(name)}: {escape(reason)}", highlight=False, soft_wrap=True)


def show_findings(held: Sequence[dict[str, Any]]) -> None:
    """A line for each kind of thing that is odd about clips."""
    from airfast.data.gate import summary

    for line in summary(list(held)):
        console.print(f"[yellow]odd:[/] {escape(line)}", highlight=False, soft_wrap=True)


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
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)


def short(value: Any) -> str:
    """A value as a short text: counts as ``name 3, …``, lists joined."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each:g}" for key, each in value.items())
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value))}"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def show_draft(found: "FileDraft") -> None:
    """The tree of a file, the canonical joint of each, what is left out, and what could not be told."""
    kept = {joint["name"] for joint in found.draft.record["joints"]}
    for name, depth in zip(found.names, found.depths, strict=True):
        left_out = name not in kept and not name.endswith("_end")
        matched = found.draft.matched.get(name, "left out" if left_out else "")
        console.print(f"{'  ' * depth}{escape(name)}  [dim]{escape(matched)}[/]", highlight=False, soft_wrap=True)
    console.print(f"unit: {found.draft.record['unit']}")
    for doubt in found.draft.doubts:
        console.print(f"[yellow]could not be told:[/] {escape(doubt)}", highlight=False, soft_wrap=True)


def show_predictions(found: Any) -> None:
    """A row a clip or window: class, probability, runner-up, and what to make of it."""
    name = Column("clip", overflow="fold")  # a name that is cut short names nothing
    table = Table(name, "seconds", "class", "probability", "runner-up", "note", box=None)
    for each in found.itertuples():
        notes = ["unsure"] * each.unsure + ["unlike the training clips"] * each.unlike
        second = f"{each.second} {each.second_probability:.2f}"
        cells = each.name, f"{each.start:.2f}–{each.end:.2f}", each.label, f"{each.probability:.2f}", second
        table.add_row(*map(escape, cells), ", ".join(notes))
    console.print(table)


@contextmanager
def stating(speaks: bool = True) -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, where the output is a terminal; of several processes one speaks."""
    if not speaks:
        yield lambda line: None
        return
    with console.status("…") as status:
        yield status.update
