"""Neighbours within and across groups: what they find, and what they take beside the dense way of the public code.

    python -m benchmarks.groups [SET --name NAME]

Synthetic: identities seen by six cameras, each of which moves every feature by a step of its own. SET, a prepared set
with classes and groups, adds real features: those of an encoder after a few epochs, the groups being the actions. The
ways run in turn in one process, one thread; adjusted mutual information (AMI) is with identities or classes. Writes
groups.json and groups.md into results/.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_mutual_info_score

from airfast import MotionSet, generate_labels
from airfast.bench.machine import machine
from airfast.bench.real_features import trained
from airfast.methods.air.air import all_features
from airfast.methods.air.amdl import clustered

RESULTS = Path(__file__).parent / "results"
CAMERAS = 6
SHIFT = 1.0  # of cameras, which is as large as what identities differ by
EPS = 0.6
PLAIN: dict[str, Any] = {"k1": 30, "k2": 6}
GROUPED: dict[str, Any] = {"k1": (6, 21), "k2": (3, 3)}  # the defaults of CA-Jaccard's code, the row itself counted
Values = NDArray[Any]


def shifted(n: int, d: int = 256, seed: int = 0) -> tuple[Values, Values, Values]:
    """Features (n, d), identities and cameras (n,)."""
    random = np.random.default_rng(seed)
    identity, camera = random.integers(n // 20, size=n), random.integers(CAMERAS, size=n)
    centres, steps = random.normal(size=(n // 20, d)), random.normal(size=(CAMERAS, d))
    x = centres[identity] + SHIFT * steps[camera] + random.normal(size=(n, d))
    return x.astype(np.float32), identity, camera


def dense(x: Values, groups: Values) -> Values:
    """The labels by N×N matrices and loops over rows, as the paper's public code goes about it."""
    k1, k2 = GROUPED["k1"], GROUPED["k2"]
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    n = len(x)
    distance = 2 - 2 * x @ x.T
    same = groups[:, None] == groups
    ranks = [
        np.argpartition(distance + 999 * away, range(k + 1), axis=1)[:, :k]
        for away, k in zip((~same, same), k1, strict=True)
    ]
    v = np.zeros((n, n), np.float32)
    for i in range(n):
        members = np.concatenate([rank[i][(rank[rank[i]] == i).any(1)] for rank in ranks])
        soft = np.exp(-distance[i, members])
        v[i, members] = soft / soft.sum()
    heads = np.concatenate([rank[:, :k] for rank, k in zip(ranks, k2, strict=True)], axis=1)
    v = np.stack([v[each].mean(0) for each in heads])
    having = [np.flatnonzero(column) for column in v.T]
    jaccard = np.empty((n, n), np.float32)
    for i in range(n):
        shared = np.zeros(n, np.float32)
        for column in np.flatnonzero(v[i]):
            rows = having[column]
            shared[rows] += np.minimum(v[i, column], v[rows, column])
        jaccard[i] = 1 - shared / (2 - shared)
    found: Values = DBSCAN(eps=EPS, min_samples=4, metric="precomputed").fit_predict(jaccard.clip(0))
    return found


def measure(name: str, x: Values, truth: Values, groups: Values, repeats: int, beside: bool) -> dict[str, Any]:
    """The ways in turn: processor seconds (median) and what each found."""
    ways: dict[str, Callable[[], Values]] = {
        "plain": lambda: generate_labels(x, eps=EPS, **PLAIN).labels.numpy(),
        "within and across": lambda: generate_labels(x, eps=EPS, groups=groups, **GROUPED).labels.numpy(),
    }
    if beside:
        ways["dense"] = lambda: dense(x, groups)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found = {}
    for _ in range(repeats):
        for way, work in ways.items():
            started = time.process_time()
            found[way] = work()
            seconds[way].append(time.process_time() - started)
    record: dict[str, Any] = {"features": name, "n": len(x), "d": x.shape[1], "groups": len(np.unique(groups))}
    record["ways"] = {
        way: {
            "cpu_seconds": statistics.median(seconds[way]),
            "clusters": int(labels.max()) + 1,
            "noise_share": float((labels < 0).mean()),
            "ami": float(adjusted_mutual_info_score(truth, labels)),
        }
        for way, labels in found.items()
    }
    if beside:
        record["different_labels"] = int((found["dense"] != found["within and across"]).sum())
    return record


def real(folder: Path) -> tuple[Values, Values, Values]:
    """Features of every clip of a set, its classes and its actions."""
    motion = MotionSet.load(folder)
    method, clips = trained(motion, "small", (), torch.device("cpu"))
    found = clustered(method.config.air, all_features(method, clips))
    return found.numpy(), motion.labels, np.array(motion.groups)


def markdown(record: dict[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "<!-- generated by `python -m benchmarks.groups`; do not edit -->",
        f"{record['machine']['cpu']}, one thread, processor seconds, median of {record['repeats']} in turn; eps {EPS}, "
        "k1=30, k2=6, or within and across k1=(6, 21), k2=(3, 3); dense: CA-Jaccard as its public code goes about it. "
        f"Labels that differ from the dense way's: {sum(each['different_labels'] for each in record['results'])}.",
        "",
        "| features | N | D | groups | way | seconds | clusters | noise | AMI |",
        "|---|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for each in record["results"]:
        for way, found in each["ways"].items():
            lines.append(
                f"| {each['features']} | {each['n']:,} | {each['d']:,} | {each['groups']} | {way} "
                f"| {found['cpu_seconds']:.2f} | {found['clusters']} | {found['noise_share']:.0%} "
                f"| {found['ami']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, nargs="?")
    parser.add_argument("--name", help="of the set in the record; the folder's own if not given")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    generate_labels(shifted(400)[0])  # compiled
    results = []
    for n in (3_000, 12_936):
        results.append(measure("camera shifts", *shifted(n), given.repeats if n < 10_000 else 1, beside=True))
        print(results[-1], flush=True)
    if given.set is not None:
        results.append(
            measure(f"clips of {given.name or given.set.name}", *real(given.set), given.repeats, beside=True)
        )
        print(results[-1], flush=True)
    record = {"results": results, "repeats": given.repeats, "load": os.getloadavg()[0]}
    record["machine"] = machine(torch.device("cpu"))
    (RESULTS / "groups.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "groups.md").write_text(markdown(record))


if __name__ == "__main__":
    main()
