"""Table I, measured: sizes in every convention, speed of what is deployed, and the paper's rows beside them."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from airfast.bench.flops import counts
from airfast.bench.machine import machine
from airfast.bench.reported import TABLE_1
from airfast.bench.subjects import choose
from airfast.bench.throughput import PRECISIONS, add_limits, measure
from airfast.bench.ways import Way
from airfast.errors import InputError

Record = dict[str, Any]


def run_table1(
    names: tuple[str, ...],
    flops: bool = True,
    fps: bool = True,
    device: torch.device | None = None,
    precisions: tuple[str, ...] = ("fp32",),
    compiled: bool = False,
    batches: tuple[int, ...] = (1, 128),
    repeats: int = 3,
    say: Callable[[str], None] = lambda _: None,
) -> Record:
    """Count and time models side by side.

    Args:
        names: of models, see :data:`airfast.bench.subjects.NAMES`.
        flops, fps: what to give.
        device: where to time; the CPU by default.
        precisions: fp32, bf16, fp16, of weights and products.
        compiled: run compiled too (and eagerly); on a card CUDA graphs are always tried.
        batches: clips a call.
        repeats: of every timing.
        say: told what is being done.

    Returns:
        What the JSON holds: machine, sizes, speeds, and the rows of Table I as reported.

    Raises:
        InputError: an unknown model or precision, or a batch that is not positive.
    """
    place = device or torch.device("cpu")
    subjects = choose(names)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise InputError(f"--precision {precision}: expected fp32, bf16 or fp16")
    if not batches or min(batches) < 1 or repeats < 1:
        raise InputError("--batch and --repeats: expected positive numbers")
    record: Record = {"machine": machine(place), "repeats": repeats, "models": [], "speeds": []}
    sizes = {each.title: counts(each) for each in subjects}
    if flops:
        record["models"] = [
            {
                "title": each.title,
                "counts": {kind: asdict(one) for kind, one in sizes[each.title].items()},
                "reproduced": each.reproduced,
            }
            for each in subjects
        ]
    if fps:
        for precision in precisions:
            record["speeds"] += measure(subjects, place, precision, ways(place, compiled), batches, repeats, say)
        cost = {name: costs({kind: one.flops for kind, one in found.items()}) for name, found in sizes.items()}
        record["machine"] |= add_limits(record["speeds"], cost, place)
    return record | {"reported": [asdict(row) for row in TABLE_1]}


def ways(device: torch.device, compiled: bool) -> tuple[Way, ...]:
    """How everything is run."""
    found: list[Way] = ["eager"]
    if device.type == "cuda":
        found.append("CUDA graph")
    if compiled:
        found.append("compiled")
    return tuple(found)


def costs(flops: dict[str, int]) -> dict[str, int]:
    """FLOPs of one clip by the form that is timed."""
    forms = {"trained": "deployed", "folded": "folded", "network": "deployed"}
    return {form: flops[kind] for form, kind in forms.items() if kind in flops}
