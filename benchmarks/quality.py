"""Is pre-training worth its electricity? AIR beside the untrained encoder, hand-made statistics and the majority.

    python -m benchmarks.quality SET [--splits group random] [--seeds 3] [-o key=value ...]

SET is a prepared set. A seed draws the split, the initial weights and the views; every figure is the mean ± sd over
seeds of one probe each, on test clips that pre-training never saw. Writes quality-NAME.json and .md into results/.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airfast import MotionSet, evaluate, load_config, pretrain
from airfast.bench.labels import machine

RESULTS = Path(__file__).parent / "results"
SOURCES = ("majority", "hand-made", "untrained", "pre-trained")
PROBES = ("linear", "1-NN", "20-NN")


def one_run(data: Path, kind: str, seed: int, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Pre-train once; accuracies by (features, probe), and what the epochs logged."""
    config = load_config("small", overrides=(f"split.kind={kind}", *overrides), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run = pretrain(data, config, Path(folder) / "run")
        rows = evaluate(run, "linear", seeds=1) + evaluate(run, "knn")
        epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = {f"{row.features}, {row.probe}": vars(row.scores[0]) for row in rows}
    print(kind, seed, {name: round(100 * each["accuracy"], 1) for name, each in scores.items()}, flush=True)
    return {"split": kind, "seed": seed, "scores": scores, "epochs": epochs, "config": config.model_dump(mode="json")}


def stage_seconds(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Median seconds of an epoch by stage, over the epochs that have labels (all of them where a method has none)."""
    epochs = [epoch for run in runs for epoch in run["epochs"]]
    labelled = [each["seconds"] for each in [each for each in epochs if "clusters" in each] or epochs]
    return {stage: round(statistics.median(each[stage] for each in labelled), 3) for stage in labelled[0]}


def accuracy_table(record: dict[str, Any]) -> list[str]:
    """Accuracy by features and probe, a column a split."""
    splits = list(dict.fromkeys(run["split"] for run in record["runs"]))
    lines = [
        f"| features | probe | {' | '.join(f'{kind} split' for kind in splits)} |",
        "|---|---|" + "---|" * len(splits),
    ]
    for name in record["runs"][0]["scores"]:
        features, _, probe = name.partition(", ")
        cells = []
        for kind in splits:
            values = [100 * run["scores"][name]["accuracy"] for run in record["runs"] if run["split"] == kind]
            cells.append(mean_sd(values))
        if "best" not in probe:
            lines.append(f"| {features} | {probe} | {' | '.join(cells)} |")
    return lines


def mean_sd(values: list[float]) -> str:
    """Mean ± sd over seeds; a single seed has no spread to show."""
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def label_table(run: dict[str, Any]) -> list[str]:
    """Label quality of one run, every tenth epoch that has labels."""
    columns = ("clusters", "noise_share", "mean_agreement", "ami_class", "ami_group")
    labelled = [epoch for epoch in run["epochs"] if "clusters" in epoch]
    if not labelled:
        return ["None: the method has no discrete labels."]
    lines = [f"| epoch | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for epoch in [*labelled[::10], labelled[-1]]:
        lines.append(
            f"| {epoch['epoch']} | " + " | ".join(f"{epoch.get(column, float('nan')):.3g}" for column in columns) + " |"
        )
    return lines


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    first = record["runs"][0]
    train = first["config"]["train"]
    lines = [
        f"# Quality on {record['set']}",
        "",
        f"{record['clips']} clips, {record['classes']} classes; {record['note']}".rstrip("; "),
        "",
        f"Preset small, hidden {first['config']['model']['hidden']}, T = {first['config']['inputs']['frames']}, "
        f"{train['epochs']} epochs of which {train['warmup']} warm-up; accuracy in percent, seeds "
        f"{', '.join(str(seed) for seed in sorted({run['seed'] for run in record['runs']}))} "
        "(each draws split, weights and views). "
        f"Overrides: {', '.join(record['overrides']) or 'none'}.",
        f"{record['machine']['cpu']}, torch {record['machine']['versions']['torch']}, {record['threads']} threads; "
        "an epoch takes "
        + ", ".join(f"{seconds:.2f} s {stage}" for stage, seconds in record["epoch_seconds"].items())
        + f" (median); peak memory {record['peak_memory_mb']} MB; load average at the end {record['load']:.1f}.",
        "",
        *accuracy_table(record),
        "",
        f"Label quality, {first['split']} split, seed {first['seed']} (ami: adjusted mutual information):",
        "",
        *label_table(first),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--splits", nargs="+", default=["group", "random"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    parser.add_argument("--name", help="of the result files; the set's if not given")
    given = parser.parse_args()
    motion = MotionSet.load(given.set)
    name = given.name or motion.info["name"]
    overrides = tuple(given.overrides)
    runs: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        for kind in given.splits:
            runs.append(one_run(given.set, kind, seed, overrides))
            record(name, motion, overrides, runs)  # after every run: hours of work are not lost with the last one


def record(name: str, motion: MotionSet, overrides: tuple[str, ...], runs: list[dict[str, Any]]) -> None:
    """Write what has been measured so far."""
    found = {
        "set": name,
        "clips": len(motion),
        "classes": len(motion.classes),
        "note": motion.info.get("note", ""),
        "overrides": list(overrides),
        "machine": machine("cpu"),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "epoch_seconds": stage_seconds(runs),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "runs": runs,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"quality-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / f"quality-{name}.md").write_text(markdown(found))


if __name__ == "__main__":
    main()
