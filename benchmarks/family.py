"""AIR and its siblings on the same clips: what each learns, against its own untrained network, and what it costs.

    python -m benchmarks.family SET [--name bandai1] [--epochs 40] [--seeds 5] [--jobs 2] [--splits random group]
    python -m benchmarks.family --costs
    python -m benchmarks.family

SET is a prepared set with labels. A seed draws the split, weights and views, the same for every row. Each method runs
on AIR's ordinary views (equal) and on those it was published with (own); no row is told action or person. A finished
run goes into results/family.json at once, and is not made again: a recording may take several evenings. --costs times
what each method deploys, on a quiet machine. Without SET, or when the runs are made, writes family.md and family.png.
"""

import argparse
import json
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from airfast.ablation.ablate import STUDIES, Variant, base_config, job_of
from airfast.ablation.report import mean_interval, mean_sd
from airfast.ablation.sweep import EVALUATIONS, Job, SweepState, run_sweep
from airfast.bench.machine import machine
from airfast.config import Config
from airfast.evaluate.table import half_width
from airfast.methods.choose import build_deployed
from airfast.runs.folder import read_evaluation, read_metrics
from airfast.skeletons.layout import load_layout
from benchmarks.quality import SPLITS

RESULTS = Path(__file__).parent / "results"
RECORD = RESULTS / "family.json"
METHODS = {variant.name: variant for variant in STUDIES["family"].variants}
VIEWS = {"equal": "mild", "own": "method"}
HELD_OUT = 0.2  # share of the clips, or of the actions
OVERLAP = HELD_OUT / (1 - HELD_OUT)  # of the splits of two seeds
Record = dict[str, Any]


def config_of(variant: Variant, split: str, views: str, epochs: int, seed: int) -> Config:
    """The preset `small`, with bf16 products, half the time of graph networks on a processor that has it."""
    told = (
        "train.precision=bf16",
        f"split.kind={split}",
        f"split.test_fraction={HELD_OUT}",
        f"inputs.augmentation={VIEWS[views]}",
    )
    base = base_config("small", epochs, told, variant.method)
    return job_of(Path(), base, "small", told, variant, seed).config


def figures(job: Job) -> dict[str, list[float]]:
    """``features, probe`` to accuracy and macro-F1, means over the probes of one run."""
    found = {}
    for file in EVALUATIONS:
        for row in read_evaluation(job.folder / file)["rows"]:
            if row["probe"] != "linear, best":
                found[f"{row['features']}, {row['probe']}"] = [row[each]["mean"] for each in ("accuracy", "macro_f1")]
    return found


def record_runs(record: Record, data: Path, name: str, given: argparse.Namespace) -> None:
    """Make the runs that the record lacks, seed by seed, and note each as it ends."""
    told = {"set": name, "epochs": given.epochs}
    known = {tuple(run[key] for key in ("set", "split", "views", "method", "seed")) for run in record["runs"]}
    wanted = {}
    for seed, split, views, method in product(range(given.seeds), given.splits, given.views, METHODS):
        if (name, split, views, method, seed) not in known:
            job = Job(
                given.work / f"{name}-{given.epochs}-{split}-{views}-{method.replace(' ', '-').lower()}-{seed}",
                config_of(METHODS[method], split, views, given.epochs, seed),
            )
            wanted[job] = told | {"split": split, "views": views, "method": method, "seed": seed}

    def note(state: SweepState) -> None:
        for line in state.news:
            print(f"{state.runs} of {state.runs_in_all} runs, {line}", flush=True)
        for job in [job for job in wanted if job.finished()]:
            epochs = [sum(each["seconds"].values()) for each in read_metrics(job.folder)]
            record["runs"].append(
                wanted.pop(job) | {"epoch_seconds": statistics.median(epochs), "figures": figures(job)}
            )
            RECORD.write_text(json.dumps(record, indent=1) + "\n")

    if wanted:
        record["machine"], record["jobs"] = machine(torch.device("cpu")), given.jobs
        for line in run_sweep(data, tuple(wanted), given.jobs, "cpu", note):
            print(f"failed: {line}", flush=True)


def costs(repeats: int = 7, calls: int = 20) -> list[Record]:
    """Parameters and latency of what each method deploys at `small`: one clip of 21 joints a call, one thread.

    Methods are timed in turn, so that a busy moment falls on all alike; the median of the repeats' medians.
    """
    torch.set_num_threads(1)
    layout = load_layout("bandai")
    subjects = {}
    for name, variant in METHODS.items():
        config = config_of(variant, "random", "equal", 40, 0)
        network = build_deployed(config, layout).eval()
        readings = torch.randn(1, 3 * len(config.modalities), config.inputs.frames, len(layout.joints))
        subjects[name] = (network, readings)
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for name, (network, readings) in subjects.items():
                taken = []
                for _ in range(calls):
                    start = time.perf_counter()
                    network(readings)
                    taken.append(time.perf_counter() - start)
                seconds[name].append(statistics.median(taken))
    return [
        {
            "method": name,
            "parameters": sum(each.numel() for each in network.parameters()),
            "ms": 1000 * statistics.median(seconds[name][1:]),  # the first repeat is the warm-up
        }
        for name, (network, _) in subjects.items()
    ]


class Cell:
    """The runs of a set, a split and a kind of views."""

    def __init__(self, record: Record, name: str, split: str, views: str) -> None:
        self.runs: dict[tuple[str, int], Record] = {
            (run["method"], run["seed"]): run
            for run in record["runs"]
            if (run["set"], run["split"], run["views"]) == (name, split, views)
        }

    def seeds(self, method: str) -> list[int]:
        """Those that are recorded."""
        return sorted(seed for each, seed in self.runs if each == method)

    def values(self, method: str, features: str, figure: int = 0) -> list[float]:
        """A figure of every seed, in percent; ``features`` as in :func:`figures`."""
        return [100 * self.runs[method, seed]["figures"][features][figure] for seed in self.seeds(method)]

    def apart(self, method: str, features: str, baseline: str) -> list[float]:
        """What pre-training gains over a baseline on the same split, seed by seed."""
        pairs = zip(self.values(method, features), self.values(method, baseline), strict=True)
        return [ours - theirs for ours, theirs in pairs]

    def over(self, method: str, features: str, baseline: str) -> str:
        """The mean of what it gains, with its interval."""
        return mean_interval(self.apart(method, features, baseline), OVERLAP)


LINEAR, NEAREST = "pre-trained, linear", "pre-trained, 1-NN"
BASELINES = {
    "majority": ("majority, –", None),
    "hand-made": ("hand-made, linear", "hand-made, 1-NN"),
    "hand-made, forest": ("hand-made, forest", None),
}


def table(record: Record, name: str, split: str) -> list[str]:
    """A set and a split as Markdown."""
    equal, own = (Cell(record, name, split, views) for views in VIEWS)
    cost = {each["method"]: each for each in record["costs"]}
    epochs, seeds = (sorted({run[key] for run in equal.runs.values()}) for key in ("epochs", "seed"))
    head = "method|linear|over its untrained network|over hand-made|macro-F1|1-NN|own views: linear|1-NN|s/epoch"
    head += "|parameters|ms a clip"
    lines = [
        f"## {name}, {SPLITS[split]}",
        "",
        f"{epochs[0]} epochs; {len(seeds)} seeds, fewer where a row says so.",
        "",
        f"| {' | '.join(head.split('|'))} |",
        "|---|" + "--:|" * head.count("|"),
    ]
    for method in METHODS:
        seconds = [run["epoch_seconds"] for (each, _), run in equal.runs.items() if each == method]
        if not seconds:
            continue
        fewer = len(equal.seeds(method))
        cells = [
            method if fewer == len(seeds) else f"{method} ({fewer} seeds)",
            mean_sd(equal.values(method, LINEAR)),
            equal.over(method, LINEAR, "untrained, linear"),
            equal.over(method, LINEAR, "hand-made, linear"),
            mean_sd(equal.values(method, LINEAR, 1)),
            mean_sd(equal.values(method, NEAREST)),
            mean_sd(own.values(method, LINEAR)),
            mean_sd(own.values(method, NEAREST)),
            f"{min(seconds):.1f}",
            f"{cost[method]['parameters']:,}" if method in cost else "–",
            f"{cost[method]['ms']:.1f}" if method in cost else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for title, (linear, nearest) in BASELINES.items():
        if linear in next(iter(equal.runs.values()))["figures"]:
            near = mean_sd(equal.values("AIR", nearest)) if nearest else "–"
            cells = [title, mean_sd(equal.values("AIR", linear)), "", "", mean_sd(equal.values("AIR", linear, 1)), near]
            lines.append(f"| {' | '.join([*cells, *[''] * (head.count('|') + 1 - len(cells))])} |")
    return lines


def sentences(record: Record, name: str, split: str) -> list[str]:
    """What a set and a split say, in three sentences."""
    cell = Cell(record, name, split, "equal")
    there = [method for method in METHODS if cell.seeds(method)]
    mean = {method: statistics.fmean(cell.values(method, LINEAR)) for method in there}
    best = max(mean, key=mean.__getitem__)
    cost = {each["method"]: each["ms"] for each in record["costs"]}
    begun = statistics.fmean(cell.values(best, "untrained, linear"))
    return [
        f"- Beside their own untrained networks: {verdict(cell, there, 'untrained, linear')}.",
        f"- Beside hand-made statistics: {verdict(cell, there, 'hand-made, linear')}.",
        f"- The highest mean is {best}'s, {mean[best]:.1f} %, of which {begun:.1f} % stood there before training; it "
        f"takes {cost[best]:.1f} ms a clip, AIR with {mean['AIR']:.1f} % takes {cost['AIR']:.1f}.",
    ]


def verdict(cell: Cell, methods: list[str], baseline: str) -> str:
    """Who is above a baseline and who below by intervals that leave 0 out."""
    above, below = [], []
    for method in methods:
        found = cell.apart(method, LINEAR, baseline)
        half = half_width(found, OVERLAP)
        if half is not None and abs(statistics.fmean(found)) > half:
            (above if statistics.fmean(found) > 0 else below).append(method)
    rest = len(methods) - len(above) - len(below)
    return f"above {', '.join(above) or 'nobody'}; below {', '.join(below) or 'nobody'}; no difference: {rest} methods"


def markdown(record: Record) -> str:
    """The record as a page."""
    lines = [
        "# AIR and its siblings",
        "",
        "Accuracy of frozen features on test clips in percent, mean ± sd over seeds; a seed draws split, weights and "
        "views, the same for every row, and no row knows action or person. Preset small, equal epochs, batches and "
        "views; `own views` are those that each method was published with. `over`: seed by seed, with the 95 % "
        "interval of the mean, widened because the splits of the seeds overlap (Nadeau and Bengio); one that holds 0 "
        "is no difference. Seconds an epoch: the median epoch of the quickest seed (other work ran beside some), "
        "one thread a run, two runs at a time, bf16 products. Parameters "
        "and milliseconds are of what is deployed, one clip at a time, one thread, fp32. "
        f"{record['machine']['cpu']}, torch {record['machine']['versions']['torch']}. The recording goes on; here "
        "stands what is finished. At so few steps (three an epoch on bandai1) nobody has converged.",
        "",
    ]
    for name, split in dict.fromkeys((run["set"], run["split"]) for run in record["runs"]):
        lines += [*table(record, name, split), "", *sentences(record, name, split), ""]
    return "\n".join(lines).rstrip() + "\n"


def figure(record: Record) -> Figure:
    """A panel a set and split: linear accuracy of the features against milliseconds a clip."""
    panels = list(dict.fromkeys((run["set"], run["split"]) for run in record["runs"]))
    page = Figure(figsize=(6.0 * len(panels), 5.0), layout="constrained")
    for axes, (name, split) in zip(page.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, record, name, split)
    return page


def draw(axes: Axes, record: Record, name: str, split: str) -> None:
    """One panel: a disc is a method on equal views, a ring on its own; a cross its untrained network."""
    for views, fill in (("equal", "black"), ("own", "none")):
        cell = Cell(record, name, split, views)
        for cost in record["costs"]:
            method = cost["method"]
            found = cell.values(method, LINEAR)
            if not found:
                continue
            axes.plot(cost["ms"], statistics.fmean(found), "o", color="black", markerfacecolor=fill, markersize=7)
            if views == "equal":
                untrained = statistics.fmean(cell.values(method, "untrained, linear"))
                axes.plot(cost["ms"], untrained, "x", color="0.5", markersize=6)
                place = (cost["ms"], statistics.fmean(found))
                axes.annotate(method, place, xytext=(7, 3), textcoords="offset points", fontsize=8)
    cell = Cell(record, name, split, "equal")
    level = statistics.fmean(cell.values("AIR", "hand-made, linear"))
    axes.axhline(level, color="0.5", linestyle="--", linewidth=1)
    axes.annotate("hand-made", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axes.set_xscale("log")
    axes.set(xlabel="ms a clip, deployed", ylabel="linear accuracy (%)", title=f"{name}, {SPLITS[split]}")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Run what is missing, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, nargs="?")
    parser.add_argument("--name", help="of the set in the record; the folder's own if not given")
    parser.add_argument("--splits", nargs="+", default=["random", "group"], choices=tuple(SPLITS))
    parser.add_argument("--views", nargs="+", default=[*VIEWS], choices=tuple(VIEWS))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "airfast-family")
    parser.add_argument("--costs", action="store_true")
    given = parser.parse_args()
    record: Record = json.loads(RECORD.read_text()) if RECORD.exists() else {"runs": [], "costs": []}
    if given.costs:
        record["costs"] = costs()
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    if given.set is not None:
        record_runs(record, given.set, given.name or given.set.name, given)
    if record["runs"]:
        (RESULTS / "family.md").write_text(markdown(record))
        figure(record).savefig(RESULTS / "family.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
