"""What `airfast ablate` writes of a study: a table (Markdown and JSON) and a plot (PNG)."""

import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from airfast._version import __version__
from airfast.atomic import replacing, write_text
from airfast.evaluate.table import half_width
from airfast.runs.older import as_recorded

PROBES = ("linear", "1-NN", "20-NN")
MARKS = {"linear": ("o", "-", "black"), "1-NN": ("s", "--", "0.35"), "20-NN": ("^", ":", "0.55")}
LINES = {"majority": (0, (1, 3)), "hand-made": (0, (6, 2)), "untrained": (0, (3, 1, 1, 1))}
LABEL_FIGURES = {"clusters": ("clusters", 1, 0), "noise_share": ("noise %", 100, 0), "ami_class": ("AMI", 1, 2)}

Record = dict[str, Any]
Seeds = Sequence[dict[str, float] | None]


def write_study(record: Record, out: Path) -> None:
    """``FILE.md``, ``FILE.json`` and ``FILE.png`` in a folder; InputError where they cannot be written."""
    text = json.dumps({"airfast": __version__, **record}, indent=1, allow_nan=False)
    write_text(out / f"{record['file']}.json", text + "\n")
    write_text(out / f"{record['file']}.md", markdown(record))
    with replacing(out / f"{record['file']}.png") as part:
        figure(record).savefig(part, format="png", dpi=150, metadata={"Software": None})


def values(seeds: Seeds, figure: str, scale: float = 100) -> list[float]:
    """A figure of the seeds that have it."""
    return [scale * each[figure] for each in seeds if each is not None and figure in each]


def differences(ours: Seeds, theirs: Seeds) -> list[float]:
    """Linear accuracy, ours − theirs, seed by seed: what the seeds share (split, weights, views) falls out."""
    both = [(one, other) for one, other in zip(ours, theirs, strict=True) if one and other]
    return [100 * (one["linear accuracy"] - other["linear accuracy"]) for one, other in both]


def mean_sd(found: Sequence[float], digits: int = 1) -> str:
    """``mean ± sd``; a single value has no spread, none at all is a dash."""
    if not found:
        return "–"
    spread = f" ± {np.std(found, ddof=1):.{digits}f}" if len(found) > 1 else ""
    return f"{np.mean(found):.{digits}f}{spread}"


def mean_interval(found: Sequence[float], shared: float = 0) -> str:
    """``mean [95 % interval]`` with signs; ``shared`` as of :func:`airfast.evaluate.table.half_width`."""
    half = half_width(found, shared)
    if not found:
        return "–"
    mean = float(np.mean(found))
    return f"{mean:+.1f}" + ("" if half is None else f" [{mean - half:+.1f}, {mean + half:+.1f}]")


def table(record: Record) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a study's table; the baselines are its last rows."""
    reference = next(row for row in record["rows"] if row["name"] == record["reference"])
    shared = shared_clips(record)
    printed = any(row["paper"] is not None for row in record["rows"])
    labels = [key for key in LABEL_FIGURES if any(values(row["seeds"], key) for row in record["rows"])]
    head = [record["axis"], "linear", f"over {record['reference']}", "macro-F1", *PROBES[1:]]
    head += [LABEL_FIGURES[key][0] for key in labels] + (["paper, EGBM"] if printed else [])
    rows = []
    for row in record["rows"]:
        seeds = row["seeds"]
        over = "" if row is reference else mean_interval(differences(seeds, reference["seeds"]), shared)
        cells = [row["name"], mean_sd(values(seeds, "linear accuracy")), over, *others(seeds)]
        for key in labels:
            _, scale, digits = LABEL_FIGURES[key]
            cells.append(mean_sd(values(seeds, key, scale), digits))
        rows.append(cells + ([f"{row['paper']:.2f}" if row["paper"] else ""] if printed else []))
    for name, seeds in record["baselines"].items():
        cells = [name, mean_sd(values(seeds, "linear accuracy")), "", *others(seeds)]
        rows.append(cells + [""] * (len(head) - len(cells)))
    return head, rows


def shared_clips(record: Record) -> float:
    """Test clips over training clips of the splits that the seeds draw."""
    fraction: float = as_recorded(record["config"]).split.test_fraction
    return fraction / (1 - fraction)


def others(seeds: Seeds) -> list[str]:
    """The figures beside linear accuracy."""
    return [mean_sd(values(seeds, key)) for key in ("linear macro_f1", "1-NN accuracy", "20-NN accuracy")]


def markdown(record: Record) -> str:
    """The study as a page."""
    config, (head, rows) = as_recorded(record["config"]), table(record)
    count = len(record["rows"][0]["seeds"])
    made = (
        f"Accuracy on test clips in percent (linear, 1-NN, 20-NN), mean ± sd over seeds 0 to {count - 1}: each draws "
        f"split ({config.split.kind}), weights and views, the same for every row. `over` is the difference of "
        "linear accuracy seed by seed, with the 95 % interval of its mean, widened because the splits of the seeds "
        "overlap (Nadeau and Bengio 2003); one that holds 0 is no difference. A linear figure is "
        "the mean of 5 probes, last epoch. Clusters, noise and AMI (of clusters with classes) are of the last epoch."
    )
    settings = (
        f"Preset {config.preset}, hidden {config.model.hidden}, {config.train.epochs} epochs of which "
        f"{config.air.warmup} warm-up, air.nuisance={config.air.nuisance}."
    )
    lines = [f"# {record['title']} ({record['set']})", "", made, "", settings, ""]
    lines += [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", *(f"- {note}" for note in record["notes"]), *(f"- failed: {line}" for line in record["failed"])]
    return "\n".join(lines).rstrip() + "\n"


def figure(record: Record) -> Figure:
    """Accuracy of every row: means with sd, every seed as a small mark, baselines as lines across."""
    page = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = page.subplots()
    names = [row["name"] for row in record["rows"]]
    places = [float(name) for name in names] if record["numeric"] else [float(index) for index in range(len(names))]
    step = min(np.diff(places), default=1.0)
    for index, probe in enumerate(PROBES):
        shifted = [place + (index - 1) * 0.12 * step for place in places]
        draw_probe(axes, record, probe, shifted)
    for name, seeds in record["baselines"].items():
        level = values(seeds, "linear accuracy")
        if level and name in LINES:
            label = name if name == "majority" else f"{name}, linear"
            axes.axhline(float(np.mean(level)), color="0.5", linewidth=1.1, linestyle=LINES[name], label=label)
    axes.set_xticks(places, [textwrap.fill(name, max(8, 80 // len(names))) for name in names])
    axes.set_xlim(min(places) - 0.5 * step, max(places) + 0.5 * step)
    axes.set_xlabel(record["axis"])
    axes.set_ylabel("accuracy on test clips (%)")
    axes.set_title(f"{record['title']} ({record['set']})", fontsize=11)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    page.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return page


def draw_probe(axes: Axes, record: Record, probe: str, places: Sequence[float]) -> None:
    """One line of the plot; rows without a finished run leave a gap."""
    marker, line, colour = MARKS[probe]
    found = [values(row["seeds"], f"{probe} accuracy") for row in record["rows"]]
    means = [float(np.mean(each)) if each else math.nan for each in found]
    repeated = any(len(each) > 1 for each in found)
    spread = [float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in found]
    axes.errorbar(
        places,
        means,
        yerr=spread if repeated else None,
        marker=marker,
        linestyle=line if record["numeric"] else "",
        color=colour,
        markersize=6,
        linewidth=1.3,
        elinewidth=0.9,
        capsize=3,
        label=f"{probe} (mean ± sd)" if repeated else probe,
    )
    for place, each in zip(places, found, strict=True):
        axes.plot([place] * len(each), each, marker, color=colour, markersize=3, markerfacecolor="none", linestyle="")
