"""The kernels compile for real GPUs, which needs Triton's compiler but no device."""

import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

# In a process of its own: here the kernels may already have been taken over by the interpreter.
COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from airfast.labels import kernels

I, L, F, D = "*i32", "*i64", "*fp32", "i32"
CASES = {
    "fixed_dots": ([F, L, L, I, D, D, "fp32"], {"PAIRS": 32, "COLUMNS": 64}),
    "reciprocal": ([I, I, D, D, D, D], {"ROWS": 8, "K": 32}),
    "expand": ([I, I, I, D, D, D, D, D], {"ROWS": 8, "K": 32, "H": 16}),
    "query_expand": ([I, L, I, I, I, D, D, D], {"BLOCK": 64}),
    "join": ([I, I, I, L, L, I, I, I, "i64", "i64", D, D], {"LISTS": 16, "BLOCK": 32}),
}
for name, (types, constants) in CASES.items():
    kernel = getattr(kernels, name)
    signature = dict(zip(kernel.arg_names, types + ["constexpr"] * len(constants), strict=True))
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(key),): value for key, value in constants.items()})
    compiled = triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32))
    print(name, len(compiled.asm["cubin"]))
"""


@pytest.mark.parametrize("capability", [89])
def test_every_kernel_compiles(capability, tmp_path):
    environment = {"TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error::SyntaxWarning", "-c", COMPILE, str(capability)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 5
