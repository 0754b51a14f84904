"""Where a run computes, and how long its stages take there."""

import os
import time

import torch

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
