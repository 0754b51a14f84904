"""The kernels of the label stage compiled ahead of time for real GPUs, which needs Triton's compiler but no device.

    python -m airfast.bench.compiled 89 90

prints a JSON list: for each kernel, at the sizes of every preset, registers a thread, bytes spilled, bytes of shared
memory, seconds to compile. In a process of its own, since a process that interprets kernels cannot compile them.
"""

# mypy: disable-error-code="no-untyped-call"

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from airfast.config import PRESETS, load_config
from airfast.labels.cuda import kernels
from airfast.labels.cuda.candidates import DEPTH, PANEL, TILE
from airfast.labels.cuda.jaccard import EXPANDED, ROWS
from airfast.labels.cuda.join import LISTS
from airfast.labels.seam import half_set

CLIPS = (8, 500, 8_260, 1_000_000)  # of a set: k1=auto grows with it
HALF, FLOAT, INT, LONG, SIZE = "*fp16", "*fp32", "*i32", "*i64", "i32"
Case = tuple[str, list[str], dict[str, Any], int]


def neighbourhoods() -> list[int]:
    """Every k1 that a preset comes to."""
    configs = [load_config(preset) for preset in PRESETS]
    return sorted({config.air.cluster.neighbours(clips)[0] for config in configs for clips in CLIPS})


def cases() -> Iterator[Case]:
    """Kernel, the types of its arguments, its constants, its warps."""
    yield "fixed_dots", [FLOAT, LONG, LONG, INT, SIZE, SIZE, "fp32"], {"PAIRS": 32, "COLUMNS": 64}, 4
    tiles = {"TILE": TILE, "DEPTH": DEPTH, "PANEL": PANEL}
    for both in (True, False):
        types = [HALF, HALF, INT, FLOAT, FLOAT, INT, FLOAT, INT, *[SIZE] * 6]
        yield "emit", types, {"BOTH": both, **tiles}, 8
    for k1 in neighbourhoods():
        k, h = triton.next_power_of_2(k1), triton.next_power_of_2(half_set(k1))
        yield "reciprocal", [INT, INT, *[SIZE] * 4], {"ROWS": ROWS, "K": k}, 4
        yield "expand", [INT, INT, INT, INT, *[SIZE] * 6], {"ROWS": EXPANDED, "K": k, "H": h}, 4
    for take in (True, False):
        types = [INT, LONG, INT, INT, INT, LONG, INT, INT, *[SIZE] * 4]
        yield "query_expand", types, {"TAKE": take, "BLOCK": 64}, 4
        types = [INT, INT, INT, LONG, LONG, INT, INT, INT, LONG, INT, INT, "i64", "i64", SIZE, SIZE, SIZE]
        yield "join", types, {"TAKE": take, "LISTS": LISTS, "BLOCK": 32}, 4


def compiled(capability: int) -> Iterator[dict[str, Any]]:
    """One record a case for a compute capability, such as 89."""
    for name, types, constants, warps in cases():
        kernel = getattr(kernels, name)
        signature = dict(zip(kernel.arg_names, types + ["constexpr"] * len(constants), strict=True))
        fixed = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
        # As at a launch: what torch allocates is aligned, and rows of halves are padded to DEPTH.
        even = [i for i, each in enumerate(types) if each.startswith("*") or (name == "emit" and i == 10)]
        attributes = {(i,): [["tt.divisibility", 16]] for i in even}
        started = time.perf_counter()
        done = triton.compile(
            ASTSource(kernel, signature, fixed, attributes),
            target=GPUTarget("cuda", capability, 32),
            options={"enable_fp_fusion": False, "num_warps": warps},
        )
        seconds = time.perf_counter() - started
        used = usage(done.asm["cubin"])
        yield {
            "kernel": name,
            "constants": constants,
            "sm": capability,
            "registers": used["REG"],
            "spilled": used["STACK"] + used["LOCAL"],
            "shared": done.metadata.shared,
            "seconds": round(seconds, 2),
        }


def usage(cubin: bytes) -> dict[str, int]:
    """What cuobjdump, which comes with Triton, says a kernel needs."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if "REG:" in line)
    return {key: int(value) for key, _, value in (word.partition(":") for word in line.split()) if value.isdigit()}


if __name__ == "__main__":
    print(json.dumps([record for capability in sys.argv[1:] for record in compiled(int(capability))]))
