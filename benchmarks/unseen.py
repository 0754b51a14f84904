"""Whole families of actions left out: what is learnt of walking, waving and running, asked of bowing.

    python -m benchmarks.unseen SET [--name bandai1] [--methods AIR ...] [--epochs 120] [--seeds 1] [--jobs 2]

Splits by action put siblings and mirror twins (four ways to walk, waves of either hand) on both sides. Here every
family of at least FEWEST clips is held out in turn, in pre-training too. Statistics need no run; --methods makes the
runs of those methods, one a family and seed. Each row comes in two forms: as it is, and told the actions of the
training clips (``evaluate --nuisance group``). Adds to results/unseen-NAME.json what is missing, and writes its page.
"""

import argparse
import json
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from airfast import MotionSet, evaluate
from airfast.ablation.ablate import STUDIES, base_config, job_of
from airfast.ablation.report import mean_sd
from airfast.ablation.sweep import Job, run_sweep
from airfast.bench.machine import machine
from airfast.config import load_config
from airfast.data.splits import split
from airfast.evaluate.baselines import hand_made
from airfast.evaluate.frozen import Nuisance, hand_made_rows, knn_rows, linear_rows, told
from airfast.evaluate.table import Row
from airfast.evaluate.task import Task
from benchmarks.quality import INITIALISATIONS, print_news, untrained

RESULTS = Path(__file__).parent / "results"
FEWEST = 15  # clips of a family that is tested on
PROBES = 5
FORMS: tuple[Nuisance, ...] = ("none", "group")
METHODS = {variant.name: variant for variant in STUDIES["methods"].variants}
Record = dict[str, Any]


def families(motion: MotionSet) -> dict[str, int]:
    """The families that are tested on, and their clips."""
    return {name: count for name, count in sorted(Counter(motion.families).items()) if name and count >= FEWEST}


def found(rows: list[Row]) -> dict[str, float]:
    """``features, probe`` to accuracy, the mean over probes."""
    return {f"{row.features}, {row.probe}": row.mean("accuracy") for row in rows if "best" not in row.probe}


def of_statistics(motion: MotionSet) -> list[Record]:
    """Hand-made statistics, the untrained encoder and the commonest class, a record a family and form."""
    features, records = {"hand-made": hand_made(motion)}, []
    for family in families(motion):
        task = Task(motion, *split(motion, "family", seed=0, held_out=family))
        for nuisance in FORMS:
            given = told(features, motion, nuisance, task.train)
            rows = linear_rows(given, task, PROBES) + knn_rows(given, task)
            rows += hand_made_rows(given["hand-made"], task, PROBES)
            begun = untrained(load_config("small"), task, nuisance)
            figures = found(rows) | {f"untrained, {probe}": begun[f"{probe} accuracy"] for probe in ("linear", "1-NN")}
            records.append({"family": family, "told": nuisance != "none", "seed": 0, "figures": figures})
    return records


def of_runs(motion: MotionSet, record: Record, data: Path, given: argparse.Namespace) -> None:
    """Make the runs that the record lacks and evaluate each in both forms as all have ended."""
    known = {(run["method"], run["family"], run["seed"]) for run in record["runs"]}
    wanted: dict[Job, tuple[str, str, int]] = {}
    for seed in range(given.seeds):
        for family in families(motion):
            settings = ("train.precision=bf16", "split.kind=family", f"split.held_out={family}", "air.nuisance=group")
            base = base_config("small", given.epochs, settings)
            for method in given.methods:
                job = job_of(Path(), base, "small", settings, METHODS[method], seed)
                name = f"{record['set']}-{base.train.epochs}-{family}-{method.replace(' ', '-').lower()}-{seed}"
                if (method, family, seed) not in known:
                    wanted[Job(given.work / name, job.config)] = (method, family, seed)
    if not wanted:
        return
    for line in run_sweep(data, tuple(wanted), given.jobs, "cpu", print_news):
        print(f"failed: {line}", flush=True)
    for job, (method, family, seed) in wanted.items():
        if not job.finished():
            continue
        for nuisance in FORMS:
            rows = [
                row
                for protocol in ("linear", "knn")
                for row in evaluate(job.folder, protocol, device="cpu", nuisance=nuisance).rows  # type: ignore[arg-type]
            ]
            told_it = {"method": method, "family": family, "seed": seed, "told": nuisance != "none"}
            record["runs"].append(told_it | {"epochs": job.config.train.epochs, "figures": found(rows)})


ROWS = {  # title: whose record, and its figure there
    "majority class": ("", "majority, –"),
    "hand-made, linear": ("", "hand-made, linear"),
    "hand-made, forest": ("", "hand-made, forest"),
    "hand-made, 1-NN": ("", "hand-made, 1-NN"),
    "untrained, linear": ("", "untrained, linear"),
    "untrained, 1-NN": ("", "untrained, 1-NN"),
    "UmURL, linear": ("UmURL, nuisance", "pre-trained, linear"),
    "UmURL, 1-NN": ("UmURL, nuisance", "pre-trained, 1-NN"),
    "AIR, linear": ("AIR", "pre-trained, linear"),
    "AIR, 1-NN": ("AIR", "pre-trained, 1-NN"),
}


def values(record: Record, family: str, method: str, figure: str, knows: bool) -> list[float]:
    """A figure of every seed in percent."""
    source = record["runs"] if method else record["statistics"]
    return [
        100 * each["figures"][figure]
        for each in source
        if each["family"] == family and each["told"] == knows and each.get("method", "") == method
    ]


def markdown(record: Record) -> str:
    """The record as a page: a row for each method, probe and form, a column for each family."""
    clips = record["families"]
    lines = [
        f"# {record['set']}: whole families of actions left out",
        "",
        "Accuracy in percent on the clips of one family, whose motion nothing was trained on, with labels or without; "
        "mean ± sd over seeds where there are several; the last column is the mean over families. `told`: features are "
        "standardised and the directions between the means of the training clips' actions projected out. Untrained: "
        f"the mean over {INITIALISATIONS} initialisations. "
        f"{record['machine']['cpu']}, torch {record['machine']['versions']['torch']}.",
        "",
        f"| | {' | '.join(f'{name} ({count})' for name, count in clips.items())} | mean |",
        "|---|" + "--:|" * (len(clips) + 1),
    ]
    for title, (method, figure) in ROWS.items():
        for knows in (False, True):
            cells = [values(record, family, method, figure, knows) for family in clips]
            if not all(cells) or (title == "majority class" and knows):
                continue
            mean = statistics.fmean(statistics.fmean(cell) for cell in cells)
            name = f"{title}, told" if knows else title
            lines.append(f"| {name} | {' | '.join(mean_sd(cell) for cell in cells)} | {mean:.1f} |")
    if record["runs"]:
        epochs, seeds = (sorted({run[key] for run in record["runs"]}) for key in ("epochs", "seed"))
        lines += [
            "",
            f"Pre-training: preset small with the action known (`air.nuisance=group`), bf16 products, "
            f"{', '.join(map(str, epochs))} epochs, {len(seeds)} seed(s).",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--name", help="of the set in the record; the folder's own if not given")
    parser.add_argument("--methods", nargs="*", default=[], choices=tuple(METHODS))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "airfast-unseen")
    given = parser.parse_args()
    motion, name = MotionSet.load(given.set), given.name or given.set.name
    file = RESULTS / f"unseen-{name}.json"
    record: Record = json.loads(file.read_text()) if file.exists() else {"set": name, "runs": []}
    record |= {"families": families(motion), "machine": machine(torch.device("cpu"))}
    record["statistics"] = of_statistics(motion)
    of_runs(motion, record, given.set, given)
    file.write_text(json.dumps(record, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(record))


if __name__ == "__main__":
    main()
