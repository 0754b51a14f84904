"""The label stage measured beside the ways it replaces: seconds by step, peak memory, labels compared."""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.bench import label_baselines
from airfast.bench.label_report import markdown, plot
from airfast.bench.machine import machine, peak, start_peak
from airfast.labels import generate_labels

Record = dict[str, Any]
HOST = torch.device("cpu")  # whose memory is measured: what the other ways fill
STEPS = ("knn", "encode", "edges", "cluster")
DENSE_LIMIT = 8_500  # rows: the dense way takes minutes beyond
LONG = 20.0  # seconds: a way that takes longer is measured once
PACKAGES = ("numpy", "numba", "scipy", "sklearn", "faiss")
OPTIONS: dict[str, Any] = {"k1": 30, "k2": 6, "eps": 0.6, "min_samples": 4}


@dataclass(frozen=True)
class Case:
    """One set of synthetic features: n rows of d columns, centres clear (clustered) or not (weak, hubs)."""

    kind: str
    n: int
    d: int

    def features(self, seed: int = 0) -> torch.Tensor:
        """(n, d) float32 unit rows: unit centres, one for 40 rows, plus noise of length 1 (clustered) or 5 (weak).

        With hubs, rows share a direction, as of an untrained encoder, and those with little noise are everyone's
        neighbours: at n=12,936, d=128, 99 % of the pairs have d < 1 (79 % of weak ones).
        """
        generator = torch.Generator().manual_seed(seed)
        centres = torch.nn.functional.normalize(torch.randn(max(1, self.n // 40), self.d, generator=generator))
        noise = torch.randn(self.n, self.d, generator=generator) * self.d**-0.5
        noise *= 1 if self.kind == "clustered" else 5
        if self.kind == "hubs":
            noise *= torch.exp(0.12 * torch.randn(self.n, 1, generator=generator))
        chosen = torch.randint(len(centres), (self.n,), generator=generator)
        common = torch.nn.functional.normalize(torch.randn(1, self.d, generator=generator))
        return torch.nn.functional.normalize(centres[chosen] + noise + (200 * common if self.kind == "hubs" else 0))


@dataclass(frozen=True)
class Rows:
    """Features that are there already: (n, d) float32 unit rows."""

    kind: str
    rows: torch.Tensor

    @property
    def n(self) -> int:
        """How many."""
        return len(self.rows)

    @property
    def d(self) -> int:
        """Of how many columns."""
        return self.rows.shape[1]

    def features(self) -> torch.Tensor:
        """The rows."""
        return self.rows


QUICK = tuple(Case(kind, n, 128) for kind in ("clustered", "weak") for n in (1_000, 2_000, 4_000))
SIZES = (
    (1_000, 128),
    (2_000, 128),
    (4_000, 128),
    (8_260, 128),
    (8_260, 2_048),
    (12_936, 128),
    (30_000, 128),
    (60_000, 128),
)
FULL = (*(Case(kind, n, d) for n, d in SIZES for kind in ("clustered", "weak")), Case("hubs", 12_936, 128))


def run_label_bench(
    out: Path,
    cases: Iterable[Case | Rows] = QUICK,
    device: str = "cpu",
    repeats: int = 3,
    say: Callable[[str], None] = print,
) -> Record:
    """Measure every case and write labels.json, labels.md and labels.png (two plots on log axes) into `out`.

    Ways are measured in turn, `repeats` times, in one process, and seconds are medians; what takes longer than LONG
    seconds is measured once. Returns what the JSON holds.
    """
    stem = out / ("labels" if device == "cpu" else f"labels-{device}")
    report = {}
    for report in _measured(cases, device, repeats, say):
        _write(report, stem)
        plot(report, stem.with_suffix(".png"))
    return report


def run_real_bench(
    out: Path, cases: Iterable[Case | Rows], repeats: int = 3, say: Callable[[str], None] = print
) -> Record:
    """As :func:`run_label_bench`, by one thread on the CPU, in processor seconds; writes labels-real.json and .md.

    What is measured takes the place of its like in a labels-real.json that is there.
    """
    torch.set_num_threads(1)
    label_baselines.one_thread()
    report: Record = {}
    path = out / "labels-real.json"
    earlier = json.loads(path.read_text())["results"] if path.exists() else []
    for measured in _measured(cases, "cpu", repeats, say):
        results = {(each["n"], each["kind"], each["d"]): each for each in [*earlier, *measured["results"]]}
        report = measured | {"clock": "processor", "results": [results[key] for key in sorted(results)]}
        _write(report, out / "labels-real")
    return report


def _measured(cases: Iterable[Case | Rows], device: str, repeats: int, say: Callable[[str], None]) -> Iterator[Record]:
    """The report after every case: a long bench may be cut short."""
    described = machine(torch.device(device), PACKAGES)
    report: Record = {"machine": described, "options": OPTIONS, "repeats": repeats, "results": []}
    for case in cases:
        report["results"].append(measure(case, device, repeats))
        say(summary(report["results"][-1]))
        yield report


def _write(report: Record, stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))


def measure(case: Case | Rows, device: str, repeats: int) -> Record:
    """One case: for each way its seconds by step, peak memory above the start in MB, and labels unlike ours."""
    record: Record = {"kind": case.kind, "n": case.n, "d": case.d, "load": os.getloadavg()[0], "ways": {}}
    _compile(device)
    runs, answers = _take_turns(_ways(case.features(), device), repeats)
    for way, took in runs.items():
        record["ways"][way] = {key: statistics.median(run[key] for run in took) for key in took[0]}
        record["ways"][way]["runs"] = len(took)
        if way != "search":
            record["ways"][way]["different_labels"] = int((answers[way] != answers["ours"]).sum())
    record["clusters"] = int(answers["ours"].max()) + 1
    record["noise_share"] = float((answers["ours"] < 0).mean())
    return record


def _ways(features: torch.Tensor, device: str) -> dict[str, Callable[[], label_baselines.Timed]]:
    unit, there = features.numpy(), features.to(device)
    options = tuple(OPTIONS.values())
    ways: dict[str, Callable[[], label_baselines.Timed]] = {
        "ours": lambda: _ours(there),
        "search": lambda: _search_only(there),
        "sparse": lambda: label_baselines.sparse(unit, *options),
    }
    if len(unit) <= DENSE_LIMIT:
        ways["dense"] = lambda: label_baselines.dense(unit, *options)
    return ways


def _take_turns(
    ways: dict[str, Callable[[], label_baselines.Timed]], repeats: int
) -> tuple[dict[str, list[dict[str, float]]], dict[str, NDArray[np.int64]]]:
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    answers = {}
    for _ in range(repeats):
        for way, work in ways.items():
            if runs[way] and runs[way][0]["total"] > LONG:
                continue
            before = start_peak(HOST)
            started, used = time.perf_counter(), time.process_time()
            answers[way], seconds = work()
            took = {"total": time.perf_counter() - started, "processor": time.process_time() - used}
            runs[way].append(seconds | took | {"peak_mb": (peak(HOST) - before) / 2**20})
    return runs, answers


def summary(record: Record) -> str:
    """One line: the whole stage against the search alone, and against the other ways."""
    ways = record["ways"]
    parts = [f"{way} {took['total']:.2f} s" for way, took in ways.items()]
    return f"{record['kind']:9} N={record['n']:<6} D={record['d']:<4}  " + "  ".join(parts)


def _ours(features: torch.Tensor) -> label_baselines.Timed:
    result = generate_labels(features, **OPTIONS)
    return result.labels.cpu().numpy(), {step: result.seconds[step] for step in STEPS}


def _search_only(features: torch.Tensor) -> label_baselines.Timed:
    """Exact neighbours and nothing else: FAISS on the CPU, products and top-k of torch on a device."""
    started = time.perf_counter()
    if features.is_cuda:
        for part in torch.split(features, max(1, (1 << 28) // len(features))):
            (part @ features.T).topk(min(OPTIONS["k1"], len(features)))
        torch.cuda.synchronize()
    else:
        label_baselines.faiss_neighbours(features.numpy(), OPTIONS["k1"])
    return np.empty(0, np.int64), {"knn": time.perf_counter() - started}


def _compile(device: str) -> None:
    """Everything once on a small set, so that no compilation is measured."""
    small = Case("clustered", 600, 16).features()
    options = tuple(OPTIONS.values())
    _ours(small.to(device))
    label_baselines.sparse(small.numpy(), *options)
    _search_only(small.to(device))
