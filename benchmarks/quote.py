"""Put what was measured into README.md and docs/methods.md: every figure there comes from a recorded run.

    python -m benchmarks.quote [--check]

Replaces what stands between ``<!-- name -->`` and ``<!-- /name -->``; --check only says whether one is behind.
"""

import json
import re
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from airfast.ablation.report import differences, mean_interval, mean_sd, shared_clips, values
from airfast.config import PRESETS, load_config
from airfast.evaluate.table import half_width
from benchmarks.quality import EARLIER, HARSHER, PLAIN, SPLITS, TOLD, TOLD_FOREST

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SETS = ("bandai1", "bandai2")
TITLES = {
    "majority": "majority class",
    PLAIN: "hand-made statistics, on the paper's inputs",
    "hand-made": "hand-made statistics, on AIR's inputs",
    "hand-made, forest": "the same statistics, random forest in the probe's place",
    TOLD: "the same statistics, told the action",
    TOLD_FOREST: "the same, told the action, random forest",
    "untrained": "AIR's encoder, untrained",
    "UmURL, its inputs": "UmURL, the paper's baseline, on the inputs it was published with",
    "UmURL": "UmURL on AIR's inputs",
    "UmURL, nuisance": "UmURL on AIR's inputs, told the action",
    "AIR − ASP": "AIR without part skeletons (`-o air.asp=none`), told the action",
    "AIR": "**AIR, pre-trained without labels**, told the action",
}
PAIRS = {  # ours, theirs
    "AIR − its untrained encoder": ("AIR", "untrained"),
    "AIR − UmURL, both told the action": ("AIR", "UmURL, nuisance"),
    "AIR − hand-made statistics, both told the action": ("AIR", TOLD),
    "AIR − hand-made statistics, forest, both told": ("AIR", TOLD_FOREST),
}


def presets() -> str:
    """A line a preset, under the head that stands in README."""
    lines = ["| preset | inputs | hidden, projection | epochs (warm-up) | batch |", "|---|---|---|---|---|"]
    for name in PRESETS:
        config = load_config(name)
        inputs = "paper's letter" if config.inputs.augmentation == "method" else "default"
        heads = "; three heads of 2,543 rows" if config.air.capacity != "auto" else ""
        lines.append(
            f"| `{name}` | {inputs}, T = {config.inputs.frames} "
            f"| {config.model.hidden}, {config.model.projection}{heads} "
            f"| {config.train.epochs} ({config.air.warmup}) | {config.train.batch_size} |"
        )
    return "\n".join(lines)


def first_table() -> str:
    """What the first screen shows: linear accuracy on unseen test clips of real motion capture."""
    records = [json.loads(file.read_text()) for file in recorded()]
    heads = [f"{record['set']}, {SPLITS[record['config']['split']['kind']]}" for record in records]
    rows = [f"| linear probe, accuracy % (mean ± sd) | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    rows += [
        f"| {title} | {' | '.join(accuracy(record, name) for record in records)} |" for name, title in TITLES.items()
    ]
    rows += ["", f"| AIR minus another, seed by seed (95 % interval) | {' | '.join(heads)} |"]
    rows += ["|---|" + "---|" * len(heads)]
    rows += [f"| {title} | {' | '.join(apart(record, *pair) for record in records)} |" for title, pair in PAIRS.items()]
    return "\n".join(rows) + (f"\n\n{HARSHER}" if any(harsher(record) for record in records) else "")


def apart(record: dict[str, Any], ours: str, theirs: str) -> str:
    """The mean difference with its interval, which is widened because splits overlap; one that holds 0 is none."""
    rows = {row["name"]: row["seeds"] for row in record["rows"]} | record["baselines"]
    found, shared = differences(rows[ours], rows[theirs]), shared_clips(record)
    half = half_width(found, shared)
    said = mean_interval(found, shared)
    return said if half is not None and abs(fmean(found)) > half else f"none: {said}"


def harsher(record: dict[str, Any]) -> bool:
    """Whether a record's rows on the paper's inputs were made before those followed the public code."""
    return any(EARLIER in note for note in record["notes"])


def recorded() -> list[Path]:
    """The quality records there are, set by set."""
    files = [RESULTS / f"quality-{name}-{split}.json" for name in SETS for split in SPLITS]
    return [file for file in files if file.exists()]


def accuracy(record: dict[str, Any], name: str) -> str:
    """Mean ± sd over seeds of a row or a baseline, by the linear probe."""
    rows = {row["name"]: row["seeds"] for row in record["rows"]} | record["baselines"]
    return mean_sd(values(rows[name], "linear accuracy"))


BLOCKS = {"README.md": ("first-table", first_table), "docs/methods.md": ("presets", presets)}


def main() -> None:
    """Replace every block; exit status 1 where --check finds one behind."""
    for file, (name, block) in BLOCKS.items():
        path = ROOT / file
        before = path.read_text()
        text = block()
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        after, places = pattern.subn(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", before)  # type: ignore[misc]
        if not places:
            sys.exit(f"{file} has no place for {name}")
        if "--check" not in sys.argv:
            path.write_text(after)
        elif before != after:
            sys.exit(f"{file} is behind benchmarks/results: run python -m benchmarks.quote")


if __name__ == "__main__":
    main()
