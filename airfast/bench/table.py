"""Table I, measured, as tables: the same cells for the screen and for Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

Record = dict[str, Any]
KINDS = ("paper", "true", "deployed", "folded")


@dataclass(frozen=True)
class Cells:
    """A table: what it is, its heads, its rows."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def on_screen(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for head in self.heads:
            table.add_column(
                head,
                justify="left" if head in ("model", "run") else "right",
                no_wrap=head not in ("model", "paper's way"),
            )
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a page."""
        lines = [f"{self.title}.", "", line(self.heads), "|" + "|".join(map(ruler, self.heads)) + "|"]
        return "\n".join(lines + [line(row) for row in self.rows])


def ruler(head: str) -> str:
    """Words to the left, figures to the right."""
    return "---" if head in ("model", "run") else "--:"


def line(cells: Iterable[str]) -> str:
    """One row of Markdown."""
    return f"| {' | '.join(cells)} |"


def tables(record: Record) -> list[Cells]:
    """Sizes and speeds, whichever were asked for."""
    return [make(record) for make, asked in ((sizes, "models"), (speeds, "speeds")) if record[asked]]


def sizes(record: Record) -> Cells:
    """Parameters and FLOPs by convention; the rows that were not measured stand at the end."""
    reported = {row["title"]: row for row in record["reported"]}
    rows: list[tuple[str, ...]] = []
    for model in record["models"]:
        figures = [size(model["counts"].get(kind)) for kind in KINDS]
        if not model.get("reproduced", True):
            figures[0] += " (not reproduced)"
        printed = reported.pop(model["title"], None)
        rows.append((model["title"], as_printed(printed) if printed else "–", *figures))
    rows += [(name, as_printed(row), "", "", "", "") for name, row in reported.items()]
    title = "Millions of parameters / GFLOP of one clip (T = 64, J = 25); † printed in Table I of the paper"
    return Cells(title, ("model", "reported†", "paper's way", "true", "deployed", "folded"), rows)


def size(count: Record | None) -> str:
    """Millions of parameters and GFLOP."""
    return f"{count['parameters'] / 1e6:.2f}/{count['flops'] / 1e9:.2f}" if count else "–"


def as_printed(row: Record) -> str:
    """Parameters and FLOPs of a reported row."""
    return f"{row['parameters']:.2f}/{row['flops']:.2f}"


def speeds(record: Record) -> Cells:
    """A row a model, form, way and precision, the paper's row after them; ratios before what they are ratios of."""
    reported = {row["title"]: row["fps"] for row in record["reported"]}
    groups = by_runner(record["speeds"])
    first = next(iter(groups))[0]
    bases = {key[1:]: group[0]["fps"] for key, group in groups.items() if key[0] == first}
    rows: list[tuple[str, ...]] = []
    for title in dict.fromkeys([*(key[0] for key in groups), *reported]):
        for (_, form, way, precision), group in ((key, group) for key, group in groups.items() if key[0] == title):
            # A network of one form is set beside the form to run.
            base = bases.get((form, way, precision), bases.get(("folded", way, precision), 0))
            rows.append((title, f"{form}, {way}, {precision}", *speed(group, base)))
        if title not in reported:
            continue
        printed = reported[title]
        ratio = f"{printed / reported[first]:.2f}" if first in reported else "–"
        rows.append((title, "reported†", ratio, f"{printed:.2f}", "", "", "", "", ""))
    title = (
        f"Speed of what is deployed at batch {record['speeds'][0]['batch']}, ms; ×: of {first} run alike; "
        "limit: share of it reached; best: seq/s at which batch; † printed in Table I, for an RTX 4090"
    )
    return Cells(title, ("model", "run", "×", "seq/s", "p50", "p99", "limit", "best", "MB"), rows)


def by_runner(speeds: list[Record]) -> dict[tuple[str, ...], list[Record]]:
    """The records of every (title, form, way, precision), a batch each."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for each in speeds:
        groups.setdefault((each["title"], each["form"], each["way"], each["precision"]), []).append(each)
    return groups


def speed(group: list[Record], base: float) -> tuple[str, ...]:
    """The cells of one runner: at its first batch, and the best."""
    one, best = group[0], max(group, key=lambda each: float(each["fps"]))
    return (
        f"{one['fps'] / base:.2f}" if base else "–",
        f"{one['fps']:,.1f}",
        f"{one['p50_ms']:.2f}",
        f"{one['p99_ms']:.2f}",
        f"{one['fps'] / one['limit_fps']:.0%}",
        f"{best['fps']:,.0f}@{best['batch']}",
        f"{one['memory_mb']:,.0f}",
    )
