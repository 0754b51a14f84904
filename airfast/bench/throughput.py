"""Sequences a second and latency of what is deployed: warmed up, synchronised, models in turn, medians of repeats."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from airfast.bench.machine import bandwidth, peak, peak_flops, start_peak, synchronise, weight_bytes
from airfast.bench.subjects import Subject, clips
from airfast.bench.ways import Call, Way, prepare
from airfast.deploy.fold import fold
from airfast.models.deployed import DeployedEncoder

Record = dict[str, Any]
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEASURE, LEAST, WARM_UP = 0.5, 2, 0.1  # seconds a repeat, calls a repeat at the least, seconds of warm-up


@dataclass
class Runner:
    """One network in one form, run one way on one batch size, and what was measured of it."""

    subject: Subject
    form: str
    way: Way
    clips: Tensor
    call: Call
    weight_bytes: int
    rates: list[float] = field(default_factory=list)  # sequences a second of every repeat
    latencies: list[float] = field(default_factory=list)  # seconds of every call
    working_bytes: int = 0


def measure(
    subjects: list[Subject],
    device: torch.device,
    precision: str,
    ways: tuple[Way, ...],
    batches: tuple[int, ...],
    repeats: int,
    say: Callable[[str], None],
) -> list[Record]:
    """Every model in every form, way and batch, `repeats` times in turn, so that a busy minute falls on all alike.

    Returns:
        A record each: title, form, way, precision, batch, fps (median of the repeats), p50_ms, p99_ms (of all calls),
        memory_mb (weights and the peak of what a call works with), weight_bytes.
    """
    runners = [runner for subject in subjects for runner in prepared(subject, device, precision, ways, batches, say)]
    for turn in range(repeats):
        say(f"measuring, {turn + 1} of {repeats}")
        for runner in runners:
            run(runner, device)
    return [summary(runner, precision) for runner in runners]


def prepared(
    subject: Subject,
    device: torch.device,
    precision: str,
    ways: tuple[Way, ...],
    batches: tuple[int, ...],
    say: Callable[[str], None],
) -> list[Runner]:
    """The runners of a subject; what can be folded is also run as it was trained, eagerly, beside it."""
    torch.manual_seed(0)
    found = []
    for form, network in forms(subject.deployed().eval(), PRECISIONS[precision]).items():
        network.to(device)
        kind = torch.float32 if form == "folded" else PRECISIONS[precision]
        for way in ("eager",) if form == "trained" else ways:
            for batch in batches:
                given = clips(batch).to(device, kind)
                say(f"{subject.title}, {form}, {way}, batch {batch}")
                call = prepare(network, way, given)
                found.append(Runner(subject, form, way, given, call, weight_bytes(network)))
    return found


def forms(network: nn.Module, precision: torch.dtype) -> dict[str, nn.Module]:
    """What is deployed: an encoder as trained and folded, any other network as it is."""
    network.requires_grad_(False)
    if isinstance(network, DeployedEncoder):
        folded = fold(network, precision)  # first: from the weights in float32
        return {"trained": network.to(precision), "folded": folded}
    return {"network": network.to(precision)}


@torch.no_grad()
def run(runner: Runner, device: torch.device) -> None:
    """One repeat: warm up, then calls for half a second, each waited for."""
    before = start_peak(device)
    timed(runner, device, WARM_UP, 1)
    runner.working_bytes = max(runner.working_bytes, peak(device) - before)
    took = timed(runner, device, MEASURE, LEAST)
    runner.latencies += took
    runner.rates.append(len(runner.clips) * len(took) / sum(took))


def timed(runner: Runner, device: torch.device, seconds: float, least: int) -> list[float]:
    """Seconds of each call, for so long and at least so often."""
    took: list[float] = []
    synchronise(device)
    while sum(took) < seconds or len(took) < least:
        started = time.perf_counter()
        runner.call(runner.clips)
        synchronise(device)
        took.append(time.perf_counter() - started)
    return took


def summary(runner: Runner, precision: str) -> Record:
    """What was measured of one runner."""
    centiles = torch.tensor(runner.latencies, dtype=torch.float64).quantile(torch.tensor([0.5, 0.99]).double())
    p50, p99 = (1e3 * centiles).tolist()
    return {
        "title": runner.subject.title,
        "form": runner.form,
        "way": runner.way,
        "precision": precision,
        "batch": len(runner.clips),
        "fps": statistics.median(runner.rates),
        "p50_ms": p50,
        "p99_ms": p99,
        "memory_mb": (runner.weight_bytes + runner.working_bytes) / 1e6,
        "weight_bytes": runner.weight_bytes,
    }


def add_limits(records: list[Record], flops: dict[str, dict[str, int]], device: torch.device) -> Record:
    """Put beside every record the rate that the machine allows, and return what was measured of the machine.

    A call can be no quicker than its products at the rate of one large product, nor than one reading of its weights.

    Args:
        records: of :func:`measure`; each gains `limit_fps`.
        flops: title to form to FLOPs of one clip.
        device: where they ran.
    """
    kinds = PRECISIONS | {"int8": torch.int8}
    peaks = {kind: peak_flops(device, kinds[kind]) for kind in sorted({each["precision"] for each in records})}
    speeds = {size: bandwidth(device, size) for size in sorted({each["weight_bytes"] for each in records})}
    for each in records:
        products = flops[each["title"]][each["form"]] * each["batch"] / peaks[each["precision"]]
        reading = each["weight_bytes"] / speeds[each["weight_bytes"]]
        each["limit_fps"] = each["batch"] / max(products, reading)
    return {
        "peak_gflops": {kind: round(value / 1e9) for kind, value in peaks.items()},
        "read_gb_s": {f"{size / 1e6:.0f} MB": round(value / 1e9) for size, value in speeds.items()},
    }
