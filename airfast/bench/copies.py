"""Proof that data stays on the device: every copy between device and host in a torch.profiler trace.

CUPTI records the copies of CuPy, cuML and FAISS too, whoever asked for them. A size read by the host (how many pairs
were kept, whether anything changed) is a copy of a few bytes and is allowed; anything per sample is not.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

LARGEST = 64  # bytes of one copy: a few numbers
TOTAL = 16 << 10  # bytes of all copies of a label stage
GROWTH = 1.25  # of twice the samples over once: rounds of the component search may be a few more, samples are twice


@dataclass(frozen=True)
class Copy:
    """One copy between device and host."""

    name: str  # as the trace has it, such as Memcpy DtoH (Device -> Pageable)
    size: int  # bytes
    started: float  # microseconds in the trace


@dataclass(frozen=True)
class Trace:
    """What matters of a trace: the copies across, and how many kernels ran (none: nothing was recorded)."""

    copies: tuple[Copy, ...]
    kernels: int

    @property
    def total(self) -> int:
        """Bytes of all copies."""
        return sum(copy.size for copy in self.copies)


def read_trace(events: list[dict[str, Any]]) -> Trace:
    """The copies among the `traceEvents` of a Chrome trace; a copy without a size counts as endless."""
    across = ("DtoH", "HtoD")
    copies = tuple(
        Copy(event["name"], int(event.get("args", {}).get("bytes", 1 << 62)), float(event.get("ts", 0)))
        for event in events
        if event.get("cat") == "gpu_memcpy" and any(way in event["name"] for way in across)
    )
    return Trace(copies, sum(event.get("cat") == "kernel" for event in events))


def faults(trace: Trace, total: int = TOTAL) -> list[str]:
    """What in a trace breaks the promise, a line each; none if it is kept. An empty trace proves nothing and fails."""
    if not trace.kernels:
        return ["the trace holds no kernel: nothing was recorded"]
    found = [
        f"{copy.name} of {copy.size} bytes at {copy.started:.0f} µs" for copy in trace.copies if copy.size > LARGEST
    ]
    if trace.total > total:
        found.append(f"{trace.total} bytes in {len(trace.copies)} copies, more than {total}")
    return found


def growth_faults(once: Trace, twice: Trace) -> list[str]:
    """What grew from N samples to 2N; nothing can be said of an empty trace."""
    if not once.kernels or not twice.kernels:
        return ["a trace holds no kernel: nothing was recorded"]
    grown = {
        "bytes": (once.total, twice.total),
        "copies": (len(once.copies), len(twice.copies)),
    }
    return [
        f"{what} grew from {before} to {after} with twice the samples"
        for what, (before, after) in grown.items()
        if after > GROWTH * before
    ]


def record(work: Callable[[], Any]) -> Trace:
    """Run `work` once to warm up, then under torch.profiler; both wait for the device; without one, no trace."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    work()
    if not torch.cuda.is_available():
        return Trace((), 0)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities, acc_events=True) as profile:
        work()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        return read_trace(json.loads(path.read_text())["traceEvents"])
