"""The kernels compile for real GPUs, which needs Triton's compiler but no device."""

import json
import subprocess
import sys
from itertools import product

import pytest

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

CAPABILITIES = (89,)  # of an RTX 4090; `python -m airfast.bench.compiled` takes any
SLOW = 30  # seconds: a kernel that spills kilobytes takes a minute; here the slowest takes one


def test_every_kernel_compiles_at_the_sizes_of_every_preset_without_a_spill(tmp_path):
    environment = {"TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    # In a process of its own: here the kernels may already have been taken over by the interpreter.
    command = [sys.executable, "-W", "error::SyntaxWarning", "-m", "airfast.bench.compiled", *map(str, CAPABILITIES)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    records = json.loads(done.stdout)
    names = ("fixed_dots", "emit", "reciprocal", "expand", "query_expand", "join")
    assert {(r["sm"], r["kernel"]) for r in records} == set(product(CAPABILITIES, names))
    assert {r["constants"]["K"] for r in records if r["kernel"] == "expand"} == {8, 32, 128}
    assert [r for r in records if r["spilled"] or r["registers"] > 255] == []
    assert [r for r in records if r["shared"] > 99 << 10] == []  # what a block may have on sm_89
    assert [r for r in records if r["seconds"] > SLOW] == []
