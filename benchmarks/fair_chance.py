"""What labels could give: none, shuffled, found and true ones, passed on in three ways, all else equal.

    python -m benchmarks.fair_chance SET --name bandai1 [--split random] [--seeds 10] [--labels ...] [--ways ...]
    python -m benchmarks.fair_chance

X alone is trained (parts reach X through labels only), told the action, by the preset small. Labels: none; the training
clips' classes, shuffled; clusters by the label stage; a cluster to eight clips by k-means; the true classes. Ways: as
shipped (weight 0.1, behind a hidden layer), on the feature itself (weight 1), or on a reserved quarter of the feature
with alignment on the rest. The runs of a seed share weights, views, split and the epochs before there are labels;
--split family holds out each family in turn. A finished run goes into results/fair-chance.json at once and is not made
again. Without SET, or when the runs are made, writes fair-chance.md.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Generator, Tensor, nn

from airfast import MotionSet
from airfast.bench.machine import machine
from airfast.config import Config, load_config
from airfast.data.dataset import DeviceClips
from airfast.data.splits import split
from airfast.deploy.embed import encode
from airfast.evaluate.frozen import few_rows, knn_rows, linear_rows
from airfast.evaluate.table import half_width
from airfast.evaluate.task import Task
from airfast.methods.air.air import Air
from airfast.methods.air.amdl import EpochLabels, clustered
from airfast.models.heads import ClusterHead
from airfast.runs.checkpoint import TrainingState
from airfast.training.optimiser import set_learning_rate
from airfast.training.pretrain import train_epoch
from airfast.training.step import TrainingStep
from benchmarks.unseen import families

RESULTS = Path(__file__).parent / "results"
RECORD = RESULTS / "fair-chance.json"
LABELS = ("none", "shuffled", "clusters", "k-means", "true")
WAYS = {
    "shipped": (),
    "feature": ("air.cluster.weight=1", "air.head=linear"),
    "reserved": ("air.cluster.weight=1", "air.head=linear"),
}
RESERVED = 4  # every fourth entry
PROBES, DRAWS = 5, 20
FEW = (1, 3)
MEASURES = ("linear", "1 label", "3 labels", "1-NN", "20-NN")
Record = dict[str, Any]


class Kept(nn.Module):
    """Some entries of features (…, D); zeros in place of the others."""

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept.float())
        self.kept: Tensor

    def forward(self, features: Tensor) -> Tensor:
        return features * self.kept


class Told(Air):
    """AIR whose labels come from where the experiment says.

    Args:
        config: of the run.
        motion: the training clips, whose classes are looked at.
        source: one of LABELS.
        reserved: whether the class head reads every fourth entry of y_X and alignment the others.
    """

    def __init__(self, config: Config, motion: MotionSet, source: str, reserved: bool) -> None:
        super().__init__(config, motion.layout)
        self.source = source
        classes = torch.from_numpy(np.unique(motion.labels, return_inverse=True)[1])
        shuffled = classes[torch.randperm(len(classes), generator=Generator().manual_seed(config.seed))]
        self.given = {"true": classes, "shuffled": shuffled}.get(source)
        if reserved:
            mine = torch.arange(self.encoder.width) % RESERVED == 0
            for name, projector in self.projectors.items():
                self.projectors[name] = nn.Sequential(Kept(~mine), projector)
            for head in self.heads.values():
                assert isinstance(head, ClusterHead)
                head.hidden = nn.Sequential(Kept(mine))

    def relabel(self, features: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> EpochLabels:
        """The label stage's own agreement and log, with labels of another source where that is asked for."""
        labels = super().relabel(features, optimiser)
        if self.source == "none":
            self.stage = 0
        given = self.given
        if self.source == "k-means":
            rows = clustered(self.settings, features, self.nuisance).numpy()
            found = KMeans(max(2, len(rows) // 8), n_init=3, random_state=self.config.seed).fit_predict(rows)
            given = torch.from_numpy(found.astype(np.int64))
        if given is None:
            return labels
        labels = EpochLabels(given, labels.agreement, int(given.max()) + 1, labels.found)
        self.take(labels, features, optimiser)
        return labels


def settings(way: str, kind: str, epochs: int) -> tuple[str, ...]:
    """The configuration of a run, beside its preset."""
    told = ("air.asp=none", "air.nuisance=group", f"split.kind={kind}", "train.precision=fp32")
    return (*told, f"train.epochs={epochs}", f"air.warmup={epochs // 2}", *WAYS[way])


def begun(config: Config, motion: MotionSet, clips: DeviceClips, source: str, reserved: bool) -> TrainingState:
    """A run before its first epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        method = Told(config, motion, source, reserved)
    method.meet(motion, clips)
    return TrainingState(method, method.optimiser(), Generator().manual_seed(config.seed))


def trained(state: TrainingState, clips: DeviceClips, epochs: range) -> Record:
    """Some epochs of a run; what its log says of the last labels."""
    step, facts = TrainingStep(state, clips), {}
    for epoch in epochs:
        set_learning_rate(state.optimiser, state.method.rate(epoch))
        decided = state.method.begin_epoch(epoch, clips, state.optimiser)
        facts = {key: decided.facts[key] for key in ("ami_class", "noise_share", "clusters") if key in decided.facts}
        train_epoch(step, decided, epoch)
    return facts


def taken_over(state: TrainingState, before: TrainingState) -> None:
    """Go on from the weights, moments and generator of a run that had no labels yet; heads are as they were drawn."""
    shared = {name: value for name, value in before.method.state_dict().items() if not name.startswith("heads.")}
    missing = state.method.load_state_dict(shared, strict=False)
    assert all(name.startswith("heads.") for name in missing.missing_keys)
    assert not missing.unexpected_keys
    old = dict(before.method.named_parameters())
    for name, parameter in state.method.named_parameters():
        moments = before.optimiser.state.get(old[name], {}) if name in old else {}
        if moments:
            state.optimiser.state[parameter] = {key: value.clone() for key, value in moments.items()}
    state.generator.set_state(before.generator.get_state())


def measured(method: Told, task: Task) -> dict[str, float]:
    """Accuracies of the probes on the test clips."""
    features = {"y": encode(method.deployed.eval(), task.motion, torch.device("cpu"))}
    rows = linear_rows(features, task, PROBES) + knn_rows(features, task) + few_rows(features, task, FEW, DRAWS)
    named = {None: "", 1: "1 label", 3: "3 labels"}
    mine = [row for row in rows if row.features == "y" and "best" not in row.probe]
    return {named[row.each] or row.probe: row.mean("accuracy") for row in mine}


def tasks(motion: MotionSet, kind: str, config: Config, seeds: int) -> list[tuple[int, str, Task]]:
    """(seed, family or nothing, task) of every split."""
    if kind == "family":
        return [
            (seed, name, Task(motion, *split(motion, kind, seed, held_out=name)))
            for seed in range(seeds)
            for name in families(motion)
        ]
    return [(seed, "", Task(motion, *split(motion, kind, seed, config.split.test_fraction))) for seed in range(seeds)]


def record_runs(record: Record, given: argparse.Namespace) -> None:
    """Make the runs that the record lacks, and note each as it ends; epochs before there are labels are shared."""
    motion, name = MotionSet.load(given.set), given.name or given.set.name
    known = {tuple(each[key] for key in ("set", "split", "seed", "family", "way", "labels")) for each in record["runs"]}
    half = given.epochs // 2
    for seed, family, task in tasks(motion, given.split, load_config("small"), given.seeds):
        learnt = motion.select(task.train)
        before: dict[bool, TrainingState] = {}
        for way, source in product(given.ways, given.labels):
            if (way, source) == ("feature", "none"):  # the run of "shipped, none"
                continue
            if (name, given.split, seed, family, way, source) in known:
                continue
            config = load_config("small", overrides=(*settings(way, given.split, given.epochs), f"seed={seed}"))
            clips, reserved = DeviceClips.from_motion(learnt, config.inputs, "cpu"), way == "reserved"
            if reserved not in before:
                before[reserved] = begun(config, learnt, clips, "none", reserved)
                trained(before[reserved], clips, range(half))
            state = begun(config, learnt, clips, source, reserved)
            taken_over(state, before[reserved])
            facts = trained(state, clips, range(half, given.epochs))
            about = {"set": name, "split": given.split, "seed": seed, "family": family, "way": way, "labels": source}
            about |= {"train": len(task.train), "test": len(task.test), "epochs": given.epochs}
            about |= {"found": facts if source == "clusters" else {}, "figures": measured(state.method, task)}
            fresh = json.loads(RECORD.read_text()) if RECORD.exists() else record
            fresh |= {"runs": [*fresh["runs"], about], "machine": machine(torch.device("cpu"))}
            RECORD.write_text(json.dumps(fresh, indent=1) + "\n")
            print(about, flush=True)


def paired(runs: Sequence[Record], way: str, source: str, measure: str) -> str:
    """Percent of a cell, and its gain over no labels with the 95 % interval over seeds (or families)."""
    cells = {(each["way"], each["labels"], each["seed"], each["family"]): each for each in runs}
    keys = [key[2:] for key in cells if key[:2] == (way, source)]
    if not keys:
        return "–"
    mean = statistics.fmean(100 * cells[way, source, *key]["figures"][measure] for key in keys)
    gains = [
        100 * (cells[way, source, *key]["figures"][measure] - cells["shipped", "none", *key]["figures"][measure])
        for key in keys
        if ("shipped", "none", *key) in cells
    ]
    if (way, source) == ("shipped", "none") or not gains:
        return f"{mean:.1f}"
    held_out = bool(keys[0][1])
    shared = 0.0 if held_out else statistics.fmean(each["test"] / each["train"] for each in runs)
    if held_out:  # families of one seed share nothing: seeds are averaged within a family
        by_family: dict[str, list[float]] = {}
        for key, gain in zip(keys, gains, strict=True):
            by_family.setdefault(key[1], []).append(gain)
        gains = [statistics.fmean(each) for each in by_family.values()]
    half = half_width(gains, shared)
    gain = statistics.fmean(gains)
    if half is None:
        return f"{mean:.1f} ({gain:+.1f})"
    interval = f"{gain:+.1f} [{gain - half:+.1f}, {gain + half:+.1f}]"
    return f"{mean:.1f} ({interval})" if abs(gain) <= half else f"{mean:.1f} (**{interval}**)"


def markdown(record: Record) -> str:
    """A table a set and split."""
    about = record["machine"]
    lines = [
        "# What labels could give",
        "",
        "Accuracy in percent of probes on the frozen y_X, on test clips: linear with all labels of the training clips, "
        f"logistic regression with 1 and 3 labelled clips a class (mean over {DRAWS} draws), 1-NN and 20-NN. In "
        "brackets the gain over alignment alone of the same seed – the same weights, views and split –, its mean and "
        "95 % interval (widened as the splits of seeds overlap; over families where families are left out); bold where "
        "it holds no 0. X alone, told the action. *shipped*: weight 0.1, a head behind a hidden layer; *feature*: "
        f"weight 1, on the feature itself; *reserved*: weight 1, on every {RESERVED}th entry, alignment on the others. "
        "shuffled: the training clips' own classes in random order; k-means: a cluster to eight clips; true: what "
        "nobody has who pre-trains without labels. "
        f"{about['cpu']}, torch {about['versions']['torch']}.",
    ]
    for name, kind in dict.fromkeys((each["set"], each["split"]) for each in record["runs"]):
        runs = [each for each in record["runs"] if (each["set"], each["split"]) == (name, kind)]
        seeds = {each["seed"] for each in runs}
        epochs = sorted({each["epochs"] for each in runs})
        what = {"random": "random 4:1", "group": "unseen actions", "family": "whole families left out"}[kind]
        lines += ["", f"## {name}, {what}", "", f"{len(seeds)} seeds, {', '.join(map(str, epochs))} epochs.", ""]
        lines += [f"| way | labels | {' | '.join(MEASURES)} |", "|---|---|" + "--:|" * len(MEASURES)]
        for way in WAYS:
            for source in LABELS:
                if any((each["way"], each["labels"]) == (way, source) for each in runs):
                    cells = [paired(runs, way, source, measure) for measure in MEASURES]
                    lines.append(f"| {way} | {source} | {' | '.join(cells)} |")
        stage = [each["found"] for each in runs if each["labels"] == "clusters"]
        amis = [each["ami_class"] for each in stage if "ami_class" in each]
        if amis:
            lines += ["", f"Clusters of the last epoch: AMI with the class {statistics.fmean(amis):.2f}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, nargs="?")
    parser.add_argument("--name", help="of the set in the record; the folder's own if not given")
    parser.add_argument("--split", default="random", choices=("random", "group", "family"))
    parser.add_argument("--labels", nargs="+", default=LABELS, choices=LABELS)
    parser.add_argument("--ways", nargs="+", default=tuple(WAYS), choices=tuple(WAYS))
    parser.add_argument("--epochs", type=int, default=60, help="of which the first half has no labels")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record: Record = json.loads(RECORD.read_text()) if RECORD.exists() else {"runs": []}
    if given.set:
        record_runs(record, given)
        record = json.loads(RECORD.read_text())
    RECORD.with_suffix(".md").write_text(markdown(record))


if __name__ == "__main__":
    main()
