"""Put what was measured into README.md: every figure there comes from a recorded run.

    python -m benchmarks.quote [--check]

Replaces what stands between ``<!-- name -->`` and ``<!-- /name -->``; --check only says whether README is behind.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from airfast.config import PRESETS, load_config
from benchmarks.quality import mean_sd

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SETS = ("bandai1", "bandai2")
TITLES = {
    "majority": "majority class",
    "hand-made": "hand-made statistics",
    "untrained": "the same encoder, untrained",
    "pre-trained": "**AIR, pre-trained without labels**",
}


def presets() -> str:
    """A line a preset, under the head that stands in README."""
    lines = ["| preset | inputs | hidden, projection | epochs (warm-up) | batch |", "|---|---|---|---|---|"]
    for name in PRESETS:
        config = load_config(name)
        inputs = "paper's letter" if config.inputs.augmentation == "family" else "default"
        heads = "; three heads of 2,543 rows" if config.model.capacity != "auto" else ""
        lines.append(
            f"| `{name}` | {inputs}, T = {config.inputs.frames} "
            f"| {config.model.hidden}, {config.model.projection}{heads} "
            f"| {config.train.epochs} ({config.train.warmup}) | {config.train.batch_size} |"
        )
    return "\n".join(lines)


def quality() -> str:
    """The generated page of every data set that was measured, one heading deeper."""
    pages = [RESULTS / f"quality-{name}.md" for name in SETS]
    return "\n".join("##" + page.read_text().rstrip() + "\n" for page in pages if page.exists())


def labels() -> str:
    """The generated pages of the label bench: its first table, and the large runs."""
    first, large = RESULTS / "labels.md", RESULTS / "labels-large.md"
    pages = [first.read_text().rpartition("\n\n")[0]] if first.exists() else []
    pages += [large.read_text()] if large.exists() else []
    return "\n\n".join(page.strip() for page in pages)


def table1() -> str:
    """The generated page of Table I, measured."""
    page = RESULTS / "table1.md"
    return page.read_text().strip() if page.exists() else ""


def deployed() -> str:
    """The generated page of the deployed encoder's speed and precision."""
    page = RESULTS / "deployed.md"
    return page.read_text().strip() if page.exists() else ""


def first_table() -> str:
    """What the first screen shows: linear accuracy on unseen test clips of real motion capture."""
    rows = ["| linear probe, accuracy % (mean ± sd) | " + " | ".join(heads()) + " |"]
    rows.append("|---|" + "---|" * len(heads()))
    for features in ("majority", "hand-made", "untrained", "pre-trained"):
        name = f"{features}, {'–' if features == 'majority' else 'linear'}"
        cells = [accuracy(record, kind, name) for record in records() for kind in splits(record)]
        rows.append(f"| {TITLES[features]} | {' | '.join(cells)} |")
    cells = [beside(record, kind, "umurl") for record in records() for kind in splits(record)]
    rows.append(f"| UmURL, the paper's baseline, pre-trained alike | {' | '.join(cells)} |")
    return "\n".join(rows)


def beside(record: dict[str, Any], kind: str, method: str) -> str:
    """The linear accuracy of another method on the same set and splits; a dash where it was not recorded."""
    file = RESULTS / f"quality-{record['set']}-{method}.json"
    return accuracy(json.loads(file.read_text()), kind, "pre-trained, linear") if file.exists() else "–"


def records() -> list[dict[str, Any]]:
    """The quality records there are."""
    files = [RESULTS / f"quality-{name}.json" for name in SETS]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def splits(record: dict[str, Any]) -> list[str]:
    """The splits of a record, in order."""
    return list(dict.fromkeys(run["split"] for run in record["runs"]))


def heads() -> list[str]:
    """A column a set and split."""
    explained = {"group": "unseen actions", "random": "random 4:1", "subject": "unseen people"}
    return [f"{record['set']}, {explained[kind]}" for record in records() for kind in splits(record)]


def accuracy(record: dict[str, Any], kind: str, name: str) -> str:
    """Mean ± sd over the runs of one split."""
    values = [100 * run["scores"][name]["accuracy"] for run in record["runs"] if run["split"] == kind]
    return mean_sd(values)


BLOCKS = {
    "first-table": first_table,
    "presets": presets,
    "quality": quality,
    "labels": labels,
    "table1": table1,
    "deployed": deployed,
}


def main() -> None:
    """Replace every block; exit status 1 where --check finds README behind."""
    path = ROOT / "README.md"
    before = after = path.read_text()
    for name, block in BLOCKS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = block()
        after = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", after)  # type: ignore[misc]
    if "--check" not in sys.argv:
        path.write_text(after)
    elif before != after:
        sys.exit("README.md is behind benchmarks/results: run python -m benchmarks.quote")


if __name__ == "__main__":
    main()
