"""The checker of copies on made-up traces, and that the label stage asks the host for little, whatever N is."""

import ast
from pathlib import Path

import pytest
import torch

from airfast.bench import copies
from airfast.bench.copies import Copy, Trace, faults, growth_faults, read_trace

ROOM = Path(copies.__file__).parents[1] / "labels"
# As torch.profiler of a CUDA build writes them: category, name, bytes in args.
KERNEL = {"cat": "kernel", "name": "sgemm", "ts": 1.0, "args": {}}
SMALL = {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pageable)", "ts": 2.0, "args": {"bytes": 8}}
INSIDE = {"cat": "gpu_memcpy", "name": "Memcpy DtoD (Device -> Device)", "ts": 3.0, "args": {"bytes": 1 << 30}}
FEATURES = {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pageable)", "ts": 4.0, "args": {"bytes": 4 << 20}}
UPLOAD = {"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pinned -> Device)", "ts": 5.0, "args": {"bytes": 65}}


def test_sizes_may_cross_and_nothing_else():
    assert faults(read_trace([KERNEL, SMALL, INSIDE, SMALL])) == []
    assert faults(read_trace([KERNEL, SMALL, FEATURES])) == [
        "Memcpy DtoH (Device -> Pageable) of 4194304 bytes at 4 µs",
        "4194312 bytes in 2 copies, more than 16384",
    ]
    assert len(faults(read_trace([KERNEL, UPLOAD]))) == 1


def test_many_small_copies_are_too_much():
    assert faults(read_trace([KERNEL] + [SMALL] * 2048)) == []
    assert faults(read_trace([KERNEL] + [SMALL] * 2049)) == ["16392 bytes in 2049 copies, more than 16384"]


def test_an_empty_trace_proves_nothing():
    assert faults(read_trace([])) == ["the trace holds no kernel: nothing was recorded"]
    assert faults(read_trace([SMALL])) != []
    assert faults(copies.record(lambda: torch.ones(3).sum())) != [] or torch.cuda.is_available()


def test_a_copy_without_a_size_fails():
    assert faults(read_trace([KERNEL, {"cat": "gpu_memcpy", "name": "Memcpy HtoD", "ts": 1.0}]))


def test_what_grows_with_n_is_found():
    def some(n):
        return Trace((Copy("Memcpy DtoH", 8, 0.0),) * n, kernels=1)

    assert growth_faults(some(40), some(44)) == []
    assert growth_faults(some(40), some(80)) == [
        "bytes grew from 320 to 640 with twice the samples",
        "copies grew from 40 to 80 with twice the samples",
    ]


def calls(path):
    """Names of the methods that a file calls, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node.lineno, node


@pytest.mark.parametrize("path", sorted((ROOM / "cuda").glob("*.py")), ids=lambda path: path.name)
def test_no_line_of_the_cuda_path_copies_an_array_to_the_host(path):
    found = [(name, line) for name, line, _ in calls(path) if name in ("cpu", "numpy", "get", "tolist", "copy_to_host")]
    if path.name == "interop.py":  # the one place: labels as a pandas frame where there is no cuDF
        assert {name for name, _ in found} == {"cpu", "numpy"}
        assert len(found) == 2
    else:
        assert found == []
