"""Does more data help? Pre-train on one set without its labels, probe on another.

    python -m benchmarks.transfer SOURCE TARGET [--names bandai2 bandai1] [--epochs 20] [--seeds 5]

SOURCE and TARGET are prepared sets of one skeleton. The encoders stay frozen; a seed draws the split of TARGET, the
same for every row. The runs are kept in --work, and one that was interrupted goes on from there. Writes
transfer-SOURCE-TARGET.json and .md into results/.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from airfast import MotionSet, evaluate, load_config, pretrain
from airfast.ablation.report import mean_sd
from airfast.bench.machine import machine
from airfast.evaluate.task import SplitKind
from benchmarks.quality import SPLITS

RESULTS = Path(__file__).parent / "results"
METHODS = {
    "UmURL": ("air.asp=none", "air.amdl=false"),
    "UmURL, nuisance": ("air.asp=none", "air.amdl=false", "air.nuisance=group"),
    "AIR without labels": ("air.amdl=false", "air.nuisance=group"),
    "AIR": ("air.nuisance=group",),
}
KINDS: tuple[SplitKind, ...] = ("group", "random")
PROBES = ("linear", "1-NN", "20-NN")


def measure(source: Path, target: Path, work: Path, epochs: int, seeds: int) -> list[dict[str, Any]]:
    """A row a split, features and probe: the accuracy of every seed."""
    rows = []
    for method, overrides in METHODS.items():
        length = (f"train.epochs={epochs}", f"air.warmup={epochs // 2}", "split.kind=none")
        run = pretrain(source, load_config("small", overrides=(*length, *overrides)), work / method, "cpu")
        for split in KINDS:
            for found in (evaluate(run, each, target, seeds, "cpu", split) for each in ("linear", "knn")):
                for row in found.rows:
                    first = method == "UmURL" or row.features == "pre-trained"  # baselines are those of every method
                    if first and row.probe in ("–", "logistic", "forest", *PROBES):
                        name = f"{method}, pre-trained on source" if row.features == "pre-trained" else row.features
                        scores = [score.accuracy for score in row.scores]
                        rows.append({"split": split, "features": name, "probe": row.probe, "accuracy": scores})
        print(f"{method}: pre-trained and probed", flush=True)
    return rows


def markdown(record: dict[str, Any]) -> str:
    """The record as a page: a line a source of features and probe, a column a split."""
    source, target = record["names"]
    lines = [
        f"# Pre-trained on {source}, probed on {target}",
        "",
        f"Preset small, {record['epochs']} epochs on all of {source} (labels never read; its actions known where a row "
        f"says nuisance, and to AIR), one pre-training seed; accuracy on test clips of {target} in percent, mean ± sd "
        f"over {record['seeds']} splits. {record['machine']['cpu']}, torch {record['machine']['versions']['torch']}.",
        "",
        f"| features | probe | {' | '.join(SPLITS[kind] for kind in KINDS)} |",
        "|---|---|--:|--:|",
    ]
    keys = dict.fromkeys((row["features"], row["probe"]) for row in record["rows"])
    for features, probe in sorted(keys, key=lambda key: ("–", "logistic", "forest", *PROBES).index(key[1])):
        cells = []
        for split in KINDS:
            chosen = [row for row in record["rows"] if row["split"] == split]
            found = [row["accuracy"] for row in chosen if (row["features"], row["probe"]) == (features, probe)]
            cells.append(mean_sd([100 * each for each in found[0]]))
        lines.append(f"| {features} | {probe} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--names", nargs=2, help="of the two sets in the result files; their own if not given")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "airfast-transfer")
    given = parser.parse_args()
    names = given.names or [MotionSet.load(each).info["name"] for each in (given.source, given.target)]
    record = {
        "names": names,
        "epochs": given.epochs,
        "seeds": given.seeds,
        "machine": machine(torch.device("cpu")),
        "rows": measure(given.source, given.target, given.work, given.epochs, given.seeds),
    }
    stem = f"transfer-{names[0]}-{names[1]}"
    (RESULTS / f"{stem}.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / f"{stem}.md").write_text(markdown(record))


if __name__ == "__main__":
    main()
