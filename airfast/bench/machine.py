"""What a bench ran on: processor or card, driver, clocks, versions, and the limits it was measured to have."""

import ctypes
import gc
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from airfast._version import __version__
from airfast.device import cpuinfo, processor
from airfast.labels.cuda.interop import version

Record = dict[str, Any]
GPU_FACTS = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit")


def machine(device: torch.device, packages: Sequence[str] = ()) -> Record:
    """Names, versions (of further packages too), clocks, and the load average, without which no figure means much."""
    host = {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    versions = {"airfast": __version__, "python": platform.python_version(), "torch": torch.__version__}
    versions |= {name: version(name) for name in packages}
    found: Record = host | {"clock_mhz": clock(), "units": units(), "versions": versions}
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        found |= {"gpu": torch.cuda.get_device_name(device), "gpu_gb": round(memory / 2**30, 1)}
        found |= {"cuda": torch.version.cuda} | gpu_facts()
    return found | {"date": time.strftime("%Y-%m-%d"), "load": round(os.getloadavg()[0], 1)}


def title(found: Record) -> str:
    """The machine in one line, to stand beside every absolute figure."""
    cpu = f"{found['cpu']} ({found['units']}), {found['threads']} of {found['cores']} cores"
    clocks = f"{found.get('clocks.sm', '?')} of {found.get('clocks.max.sm', '?')}"
    gpu = f"{found['gpu']}, driver {found.get('driver_version', '?')}, SM clock {clocks}; " if "gpu" in found else ""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{gpu}{cpu}, {found['clock_mhz']} MHz; {versions}; load {found['load']}; {found['date']}"


def clock() -> str:
    """The clock now, in MHz."""
    return cpuinfo("cpu MHz").partition(".")[0] or "unknown"


def units() -> str:
    """The widest matrix or vector unit, on which low precision depends."""
    flags = set(cpuinfo("flags").split())
    known = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 bf16", "avx512_vnni": "AVX-512 VNNI", "avx2": "AVX2"}
    return next((name for flag, name in known.items() if flag in flags), platform.machine())


def gpu_facts() -> Record:
    """Driver, clocks and power limit of the first card, as nvidia-smi says; empty where it does not answer."""
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(GPU_FACTS, (value.strip() for value in done.stdout.split(",")), strict=False))


def synchronise(device: torch.device) -> None:
    """Wait for everything that was asked of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_each(device: torch.device, work: Any, calls: int) -> float:
    """The quickest of several calls, in seconds: what the machine can do, not what it did."""
    best = float("inf")
    for _ in range(calls):
        started = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - started)
    return best


def peak_flops(device: torch.device, precision: torch.dtype) -> float:
    """FLOP (or integer operations) a second of one large product (2,048³ on the CPU, 8,192³ on a card)."""
    size = 2_048 if device.type == "cpu" else 8_192
    one = torch.randn(size, size, device=device, dtype=torch.float32).to(precision)
    product = torch._int_mm if precision == torch.int8 else torch.mm
    return 2 * size**3 / seconds_each(device, lambda: product(one, one), 12)


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second of reading so many bytes again and again: from a cache where they fit into one."""
    values = torch.ones(max(1, size // 4), device=device)
    return size / seconds_each(device, values.sum, 30)


def weight_bytes(network: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    return sum(each.nbytes for each in [*network.parameters(), *network.buffers()])


def start_peak(device: torch.device) -> int:
    """Start measuring peak memory anew; returns the bytes in use now."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)  # or what an earlier run left in the allocator would hide what this one takes
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def peak(device: torch.device) -> int:
    """Bytes in use at the peak since :func:`start_peak`."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else status("VmHWM")


def status(key: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
