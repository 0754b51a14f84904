"""What happened in training: label quality by epoch, losses, seconds by stage."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from airfast.config import Config
from airfast.plots.curves import TERMS, draw_clusters, draw_losses
from airfast.report.markup import Html, code, missing, paragraph, picture, section, table

Metrics = Sequence[dict[str, Any]]
COLUMNS = {
    "clusters": ("clusters", "{:.0f}", 1),
    "noise_share": ("noise %", "{:.1f}", 100),
    "mean_agreement": ("agreement", "{:.3f}", 1),
    "ami_class": ("AMI, class", "{:.3f}", 1),
    "ami_group": ("AMI, group", "{:.3f}", 1),
}
ROWS = 12


def labels(run: Path, metrics: Metrics, config: Config) -> Html:
    """Curves and a table of label quality."""
    title = "Labels by epoch"
    lines = [line for line in metrics if "clusters" in line]
    supervised = any("test" in line for line in metrics)  # only supervised runs log a test score
    if config.method != "air" or not config.air.amdl or supervised:
        return section("labels", title, missing("This run makes no discrete labels: it learns by other means."))
    if not lines:
        warmup = config.air.warmup
        why = f"Its {len(metrics)} epochs made no labels: they begin after {warmup} epochs of warm-up. "
        how = code(f"airfast pretrain … --out {run} --epochs {warmup + 20}")
        return section(
            "labels", title, missing(why, "Train for longer, or with a shorter ", code("air.warmup"), ": ", how)
        )
    last = lines[-1]
    keys = [key for key in COLUMNS if key in last]
    rows = [
        [line["epoch"], *(COLUMNS[key][1].format(COLUMNS[key][2] * line[key]) if key in line else "–" for key in keys)]
        for line in thinned(lines)
    ]
    alt = "Four curves over epochs. In the last epoch: " + ", ".join(
        f"{COLUMNS[key][0]} {COLUMNS[key][1].format(COLUMNS[key][2] * last[key])}" for key in keys
    )
    text = paragraph(
        "No true label is trained on; they only measure the clusters. Adjusted mutual information is 0 for chance and "
        "1 for the same partition. Clusters that share more with the group (the action) than with the class follow "
        "what is done, not how it is felt."
    )
    caption = "Clusters of each epoch, the share of clips in none, the agreement of Eq. 1, and what clusters share."
    head = ["epoch", *(COLUMNS[key][0] for key in keys)]
    figures = table("Label quality" + (", some of the epochs" if len(rows) < len(lines) else ""), head, rows)
    return section("labels", title, text, picture(draw_clusters(metrics), alt + ".", caption), figures)


def losses(metrics: Metrics) -> Html:
    """Curves of the loss and its terms."""
    title = "Losses"
    if not metrics:
        return section("losses", title, missing("The run has no finished epoch yet."))
    last = metrics[-1]
    ended = ", ".join(f"{TERMS[key]} {last[key]:.3g}" for key in TERMS if key in last)
    caption = "Each term as it is weighted in the sum. The sum rises where labels begin: terms are added, not lost."
    alt = f"Curves over {len(metrics)} epochs; in the last: {ended}."
    return section("losses", title, picture(draw_losses(metrics), alt, caption))


def timing(metrics: Metrics) -> Html:
    """Median and total seconds of each stage."""
    title = "Timing by stage"
    stages = list(dict.fromkeys(stage for line in metrics for stage in line.get("seconds", {})))
    if not stages:
        return section("timing", title, missing("The run has no finished epoch yet."))
    spent = {
        stage: [line["seconds"][stage] for line in metrics if stage in line.get("seconds", {})] for stage in stages
    }
    whole = sum(map(sum, spent.values()))
    rows = [
        [stage, len(took), f"{median(took):.3f}", f"{sum(took):.1f}", f"{100 * sum(took) / whole:.1f}"]
        for stage, took in spent.items()
    ]
    rows.append(["all", len(metrics), "", f"{whole:.1f}", "100.0"])
    head = ["stage", "epochs", "median s", "total s", "share %"]
    note = paragraph("The first labels on a machine compile their loops: see the median rather than the total.")
    return section("timing", title, table("Seconds of the wall clock", head, rows), note)


def thinned(lines: Metrics) -> list[dict[str, Any]]:
    """At most ROWS epochs, evenly spaced, the first and the last among them."""
    if len(lines) <= ROWS:
        return list(lines)
    return [lines[round(i * (len(lines) - 1) / (ROWS - 1))] for i in range(ROWS)]
