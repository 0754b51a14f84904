"""Table I, measured, as a picture: FLOPs by convention, and sequences a second at the smallest batch."""

from pathlib import Path
from typing import Any

from airfast.bench.machine import title

Record = dict[str, Any]
COLOURS = {"paper": "tab:grey", "true": "tab:red", "deployed": "tab:blue", "folded": "tab:green"}
NAMES = {"paper": "paper's convention", "true": "true", "deployed": "deployed", "folded": "deployed, folded"}


def plot(record: Record, path: Path) -> None:
    """Draw what the record holds, one panel or two, into a file of the kind that its suffix names."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    panels = [draw for draw, asked in ((draw_flops, "models"), (draw_speeds, "speeds")) if record[asked]]
    tall = max(4.5, 0.26 * len(record["speeds"]) / 2 + 2)
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(6.5 * len(panels), tall), layout="constrained", squeeze=False
    )
    for axis, draw in zip(axes[0], panels, strict=True):
        draw(axis, record)
        axis.invert_yaxis()
        axis.grid(True, axis="x", alpha=0.2)
        axis.set_axisbelow(True)
    machine = title(record["machine"])
    figure.suptitle(machine if len(machine) < 90 else machine.partition("; airfast")[0], fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw_flops(axis: Any, record: Record) -> None:
    """A bar a convention for each model, and the reported figure as a diamond."""
    reported = {row["title"]: row["flops"] for row in record["reported"]}
    for place, model in enumerate(record["models"]):
        for shift, (kind, colour) in enumerate(COLOURS.items()):
            if kind in model["counts"]:
                label = NAMES[kind] if place == 0 else None
                axis.barh(
                    place + 0.19 * shift - 0.3, model["counts"][kind]["flops"] / 1e9, 0.18, color=colour, label=label
                )
        if model["title"] in reported:
            label = "reported (Table I)" if place == 0 else None
            axis.plot(
                reported[model["title"]], place - 0.3, "D", color="black", markersize=5, label=label, linestyle="none"
            )
    axis.set_yticks(range(len(record["models"])), [model["title"] for model in record["models"]])
    axis.set(xlabel="GFLOP of one clip")
    axis.legend(fontsize=8, loc="lower right")


def draw_speeds(axis: Any, record: Record) -> None:
    """A bar a row at the first batch, with its latency; the paper's reported figures as diamonds."""
    batch = record["speeds"][0]["batch"]
    rows = [each for each in record["speeds"] if each["batch"] == batch]
    reported = {row["title"]: row["fps"] for row in record["reported"]}
    colours = {"fp32": "tab:blue", "bf16": "tab:orange", "fp16": "tab:purple"}
    for place, each in enumerate(rows):
        new = each["precision"] not in [row["precision"] for row in rows[:place]]
        label = each["precision"] if new else None
        axis.barh(place, each["fps"], color=colours[each["precision"]], height=0.7, label=label)
        text = f" {each['fps']:,.0f}/s, p50 {each['p50_ms']:.1f}, p99 {each['p99_ms']:.1f} ms"
        printed = reported.get(each["title"])
        axis.text(max(each["fps"], printed or 0) * 1.03, place, text, va="center", fontsize=7)
        if printed:
            label = "reported (Table I, RTX 4090)" if place == 0 else None
            axis.plot(printed, place, "D", color="black", markersize=4, label=label, linestyle="none")
    axis.set_yticks(range(len(rows)), [f"{each['title']}, {each['form']}, {each['way']}" for each in rows], fontsize=7)
    axis.set(xlabel=f"sequences a second, batch {batch}")
    axis.set_xlim(0, 1.5 * max([each["fps"] for each in rows] + [reported.get(each["title"], 0) for each in rows]))
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4)
