"""The label stage and an epoch measured on a GPU, each section a stream of records; benchmarks/gpu.py runs them."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.bench import label_baselines
from airfast.bench.copies import faults, growth_faults, record
from airfast.bench.machine import machine
from airfast.bench.real_features import features as real_features
from airfast.bench.real_features import trained
from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers
from airfast.device import Stopwatch
from airfast.labels import LabelSet, generate_labels
from airfast.labels.cuda import interop
from airfast.labels.cuda.backend import CudaBackend
from airfast.labels.cuda.blocks import by_rows
from airfast.labels.cuda.candidates import finder, searches
from airfast.labels.cuda.dbscan import graph_clusters
from airfast.labels.cuda.knn import attempt
from airfast.labels.features import unit_rows
from airfast.labels.seam import Edges
from airfast.methods.air.air import Air, all_features
from airfast.methods.method import Epoch
from airfast.training.pretrain import begin, train_epoch
from airfast.training.step import TrainingStep

Record = dict[str, Any]
EVERY_LIBRARY = 100_000  # samples: beyond, only the first library is measured
LONG = 2.0  # seconds: what takes longer is measured once
MEMORY_MB = 2048
OPTIONS: dict[str, Any] = {"k1": 30, "k2": 6, "eps": 0.6, "min_samples": 4}


@dataclass(frozen=True)
class Scale:
    """How much is measured: everything on a card, or hardly anything, to see that the code runs."""

    sizes: tuple[tuple[int, int], ...]  # samples, columns
    field: int  # the field's dense way up to here: it takes minutes beyond
    copies: int  # samples of the label stage whose copies are listed; and twice as many
    clips: int  # of the epoch
    epoch: tuple[str, ...]  # overrides of its configuration
    preset: str = "paper"
    repeats: int = 3  # after a run to warm up
    windows: tuple[tuple[int, bool], ...] = ()  # of real motion: how many, and whether features of parts stand beside


FULL = Scale(
    sizes=((1_000, 2048), (8_260, 2048), (30_000, 2048), (100_000, 2048), (1_000_000, 256), (300_000, 2048)),
    field=8_260,
    copies=4_096,
    clips=8_260,
    epoch=("split.kind=none",),
    windows=((8_260, False), (8_260, True), (30_000, True), (100_000, False)),
)
DRY = Scale(
    sizes=((12, 8),),
    field=12,
    copies=12,
    clips=24,
    epoch=("split.kind=none", "model.hidden=16", "model.projection=16", "inputs.frames=16", "air.cluster.k1=8"),
    preset="demo",
    repeats=0,
    windows=((12, False), (12, True)),
)


def describe(device: torch.device) -> Record:
    """What is measured on, and which of the optional libraries are there."""
    libraries = {name: interop.version(name) for name in ("cuvs", "cuml", "cupy", "cudf")}
    libraries = {"faiss-gpu": interop.missing_faiss() or interop.version("faiss")} | libraries
    return machine(device, ("triton", "numpy")) | {"libraries": libraries}


def features(n: int, d: int, device: torch.device) -> torch.Tensor:
    """(n, d) float32 unit rows on the device: one random centre for 40 rows, and noise as long as the centre."""
    generator = torch.Generator(device=device).manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(max(1, n // 40), d, generator=generator, device=device))
    chosen = torch.randint(len(centres), (n,), generator=generator, device=device)
    noise = torch.randn(n, d, generator=generator, device=device).mul_(d**-0.5)
    return torch.nn.functional.normalize(noise.add_(centres[chosen]))


def sources() -> list[str]:
    """Who can find candidates here: torch always, FAISS-GPU and cuVS where they are."""
    absent = {"faiss": interop.missing_faiss(), "cuvs": interop.missing("cuvs.neighbors.brute_force"), "torch": ""}
    return [name for name, why in absent.items() if not why]


def parity(sets: dict[str, Callable[[], NDArray[np.float32]]], device: torch.device) -> Iterator[Record]:
    """Every set by every search, in float16 first and not, with and without cuML: labels unlike the CPU's."""
    scans = ["graph"] if interop.missing("cuml") else ["graph", "cuml"]
    for name, make in sets.items():
        x = torch.from_numpy(make())
        ours = generate_labels(x, backend="cpu", **OPTIONS)
        for source, half, scan in product(sources(), (True, False), scans):
            theirs = generate_labels(x.to(device), backend=CudaBackend(device, source, scan, half), **OPTIONS)
            yield {
                "set": name,
                "search": source,
                "half": half,
                "dbscan": scan,
                "different_labels": int((theirs.labels.cpu() != ours.labels).sum()),
                "different_core": int((theirs.core.cpu() != ours.core).sum()),
            }


def stage(scale: Scale, device: torch.device) -> Iterator[Record]:
    """For each size: exact kNN alone, then the whole stage by step, float16 first and by every library in float32."""
    for n, d in scale.sizes:
        yield from _ways(features(n, d, device), "synthetic", scale, device)


def real_stage(scale: Scale, motion: MotionSet, device: torch.device) -> Iterator[Record]:
    """As `stage`, on features of windows of real motion."""
    method, clips = trained(motion, scale.preset, scale.epoch, device)
    for n, concat in scale.windows:
        yield from _ways(real_features(method, clips, n, concat), "real", scale, device)


def _ways(x: torch.Tensor, kind: str, scale: Scale, device: torch.device) -> Iterator[Record]:
    n, d = x.shape
    case = {"kind": kind, "n": n, "d": d}
    used = sources() if n <= EVERY_LIBRARY else sources()[:1]
    alone = {source: _median(partial(_search, x, source), device, scale.repeats)[0] for source in used}
    yield case | {"way": "exact kNN alone, float32", "seconds": alone}
    first: torch.Tensor | None = None
    singles = [(source, False) for source in used] if n <= EVERY_LIBRARY else []
    for source, half in [(used[0], True), *singles]:
        measured, labels = _stage(x, CudaBackend(device, source, _best()[1], half), scale.repeats)
        first = labels if first is None else first
        yield (
            case
            | {"way": "label stage", "search": source, "half": half}
            | measured
            | {
                "over_knn": measured["total"] / min(alone.values()),
                "in_doubt": _in_doubt(x, source, half),
                "same_labels": torch.equal(labels, first),
            }
        )
    if n <= scale.field:
        yield case | {"way": "the field's"} | _field(x)


def dbscan(scale: Scale, device: torch.device) -> Iterator[Record]:
    """cuML's DBSCAN alone, on the dense matrix, beside the edge graph on the same pairs."""
    for n, d in scale.sizes:
        if n <= interop.CUML_ROWS:
            pairs = _pairs(features(n, d, device), device)
            ways: dict[str, Callable[[], Any]] = {
                "graph": partial(graph_clusters, pairs, n, OPTIONS["min_samples"], device)
            }
            if not interop.missing("cuml"):
                ways["cuml alone"] = partial(interop.cuml_components, _dense(pairs, n, device), OPTIONS["min_samples"])
            seconds = {way: _median(work, device, scale.repeats)[0] for way, work in ways.items()}
            yield {"n": n, "d": d, "pairs": sum(len(block.row) for block in pairs), "seconds": seconds}


def copies(scale: Scale, device: torch.device) -> Iterator[Record]:
    """Copies between device and host: of a label stage at N and 2N, of an epoch, of a control that has to fail."""
    traces = []
    for n in (scale.copies, 2 * scale.copies):
        traces.append(record(label_work(n, device)))
        yield {"what": f"label stage, N = {n:,}", "bytes": traces[-1].total, "faults": faults(traces[-1])}
    yield {"what": "label stage, twice the samples", "faults": growth_faults(*traces)}
    clips = max(8, scale.copies // 4)  # the fewest that have neighbours
    trace = record(partial(prepare_epoch(scale, clips, device), Stopwatch(device)))
    yield {"what": f"epoch, {clips:,} clips", "bytes": trace.total, "faults": faults(trace)}
    control = record(lambda: features(scale.copies, 64, device).cpu())
    yield {
        "what": "control: features to the host",
        "bytes": control.total,
        "faults": faults(control),
        "must_fail": True,
    }


def label_work(n: int, device: torch.device) -> Callable[[], LabelSet]:
    """A label stage with agreement on n samples that are on the device, with the libraries that are there."""
    x = features(n, 64, device)
    backend = CudaBackend(device, *_best())
    return lambda: generate_labels(x, x[:, :32], backend=backend, memory_mb=MEMORY_MB, **OPTIONS)


def epoch(scale: Scale, device: torch.device) -> Iterator[Record]:
    """An epoch on synthetic walkers by stage, after one to warm up, and the label stage's share of it."""
    work = prepare_epoch(scale, scale.clips, device)
    work(Stopwatch(device))
    clock = Stopwatch(device)
    work(clock)
    total = sum(clock.laps.values())
    share = clock.laps["labels"] / total
    yield {"preset": scale.preset, "clips": scale.clips, "seconds": clock.laps | {"total": total}, "label_share": share}


def prepare_epoch(scale: Scale, count: int, device: torch.device) -> Callable[[Stopwatch], None]:
    """A function that runs one epoch of pre-training, labels included, on so many synthetic walkers."""
    config = load_config(scale.preset, overrides=scale.epoch)
    walkers = synthetic_walkers(clips=count)
    clips = DeviceClips.from_motion(walkers, config.inputs, device)
    state = begin(config, walkers, clips)
    step, method = TrainingStep(state, clips), state.method
    assert isinstance(method, Air)

    def work(clock: Stopwatch) -> None:
        found = all_features(method, clips)
        clock.lap("features")
        method.relabel(found, state.optimiser)
        clock.lap("labels")
        train_epoch(step, Epoch(), 0)
        clock.lap("training")

    return work


def _best() -> tuple[str, str]:
    return interop.choose_search()[0], interop.choose_dbscan("auto")[0]


def _stage(x: torch.Tensor, backend: CudaBackend, repeats: int) -> tuple[Record, torch.Tensor]:
    """Median seconds of the whole stage, the steps of its last run, peak memory of torch; and the labels."""
    device, on_card = backend.device, backend.device.type == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats(device)
    work = partial(generate_labels, x, backend=backend, memory_mb=MEMORY_MB, **OPTIONS)
    total, found = _median(work, device, repeats)
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if on_card else None
    return {"total": total, "steps": found.seconds, "peak_gb": peak, "clusters": found.num_clusters}, found.labels


def _pairs(unit: torch.Tensor, device: torch.device) -> list[Edges]:
    """The pairs within eps of the Jaccard distance, as DBSCAN is given them."""
    backend, k1 = CudaBackend(device), min(OPTIONS["k1"], len(unit))
    near = backend.knn(unit, k1, "exact", MEMORY_MB)
    encoding = backend.encode(unit, near, k1, min(OPTIONS["k2"], k1), MEMORY_MB)
    return list(backend.edges(encoding, OPTIONS["eps"], MEMORY_MB))


def _search(x: torch.Tensor, source: str) -> None:
    """The search of one library alone: the nearest k1 rows of every row, in float32."""
    k, find = min(OPTIONS["k1"], len(x)), finder(source, x, MEMORY_MB)
    if source == "torch":
        for _ in by_rows(len(x), 8 * min(len(x), 1 << 16), MEMORY_MB, lambda i, j: find(x[i:j], k)):
            pass
    else:
        find(x, k)


def _in_doubt(x: torch.Tensor, source: str, half: bool) -> int:
    """Rows that the first search leaves in doubt."""
    unit, k = unit_rows(x, "features"), min(OPTIONS["k1"], len(x))
    search = next(searches(source, unit, k, half, MEMORY_MB))
    best = torch.empty((len(x), k), dtype=torch.int64, device=x.device)
    return int((~attempt(unit, torch.arange(len(x), device=x.device), search, best, MEMORY_MB)).sum())


def _field(x: torch.Tensor) -> Record:
    """As the field does it: the search on the GPU, then NumPy on dense arrays and scikit-learn."""

    def neighbours(unit: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        there = torch.from_numpy(unit).to(x.device)
        return (there @ there.T).topk(k).indices.cpu().numpy()

    started = time.perf_counter()
    unit = unit_rows(x, "features").cpu().numpy()
    k1 = min(OPTIONS["k1"], len(x))
    k2 = min(OPTIONS["k2"], k1)
    _, seconds = label_baselines.dense(unit, k1, k2, OPTIONS["eps"], OPTIONS["min_samples"], neighbours)
    return {"total": time.perf_counter() - started, "steps": seconds}


def _dense(pairs: list[Edges], n: int, device: torch.device) -> torch.Tensor:
    apart = torch.ones((n, n), device=device).fill_diagonal_(0)
    for block in pairs:
        apart[block.row.long(), block.col.long()] = 0
        apart[block.col.long(), block.row.long()] = 0
    return apart


def _median(work: Callable[[], Any], device: torch.device, repeats: int) -> tuple[float, Any]:
    """Median seconds of some runs after one to warm up, and what the last gave; of one run where that is long."""
    took: list[float] = []
    while len(took) <= repeats:
        started = time.perf_counter()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(time.perf_counter() - started)
        if took[-1] > LONG:
            return took[-1], result
    return statistics.median(took[1:] or took), result
