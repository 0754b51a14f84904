"""Where a run computes, and how long its stages take there."""

import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from airfast._version import __version__
from airfast.errors import InputError


def pick_device(name: str) -> torch.device:
    """auto, cpu or cuda to a device; cuda where there is none is an InputError, never a silent fallback."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device; see airfast doctor")
    if name not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: expected auto, cpu or cuda")
    return torch.device(name)


def describe_machine(device: torch.device) -> dict[str, str]:
    """Versions and the machine that a run computes on, to be kept with its results."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return {
        "airfast": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": card,
        "processor": processor(),
        "system": platform.platform(terse=True),
    }


def processor() -> str:
    """The model of the processor, as well as the system tells it."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def cpuinfo(key: str) -> str:
    """The first value of a key of Linux's /proc/cpuinfo; empty where there is none."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def pick_workers(device: str) -> int:
    """Training processes at a time: one on a CUDA device, one a core (and at most 4, for the memory) elsewhere."""
    return 1 if pick_device(device).type == "cuda" else min(4, len(os.sched_getaffinity(0)))


class Stopwatch:
    """Seconds of consecutive stages; waits for the device, or a stage would be charged to the next one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to a stage."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.laps[stage] = round(now - self.last, 4)
        self.last = now
