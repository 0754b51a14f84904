"""Products of unit rows on the CPU, and how far they can be from the true ones: float32, or bfloat16 where it is fast.

With AMX a processor multiplies bfloat16 several times as fast as float32. Rounding x to h(x) moves a product by at most
|x − h(x)|·|y| + |h(x)|·|y − h(y)|; the residuals are measured, and are near 0.001 for unit rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.labels.seam import error_bound

SHORTEST = 32  # columns from which bfloat16 is used; at 16 it won by a tenth, shorter rows were not measured


@dataclass(frozen=True)
class Products:
    """Rows to be multiplied; a product v is within error + relative·|v| of the fixed-point product of the unit rows."""

    rows: torch.Tensor
    error: float
    relative: float

    def tile(self, r0: int, r1: int, c0: int, c1: int) -> NDArray[np.float32]:
        """Rows r0 to r1 times rows c0 to c1, (r1−r0, c1−c0) float32."""
        return torch.mm(self.rows[r0:r1], self.rows[c0:c1].T).float().numpy()

    def slack(self) -> tuple[np.float32, np.float32]:
        """(a, b): with a product v among a row's k best, every true neighbour has a product of at least v − a − b·|v|.

        The k-th best may be v + error + relative·|v| off, a true neighbour's product w as much, and |w| ≤ |v| + slack.
        """
        share = 1.001 / (1 - self.relative)
        return np.float32(2 * self.error * share), np.float32(2 * self.relative * share)


def single(unit: torch.Tensor) -> Products:
    """Products in float32."""
    return Products(unit, error_bound(unit.shape[1]), 0.0)


def half(unit: torch.Tensor) -> Products:
    """Products in bfloat16: rounded rows, sums in float32, the product rounded once more."""
    rows = unit.bfloat16()
    blocks = zip(torch.split(unit, 1024), torch.split(rows, 1024), strict=True)
    off = 1.001 * max(float(torch.linalg.vector_norm(x - h, dim=1).max()) for x, h in blocks)  # itself in float32
    # Twice the bound of float32's sums, so that an accelerator may also cut off where others round.
    return Products(rows, off * (2.0001 + off) + 2 * error_bound(unit.shape[1]), 2.0**-8)


def candidates(unit: torch.Tensor) -> list[Products]:
    """What to find candidates with: the fastest first, and float32 where that cannot tell the candidates apart."""
    fast = torch.cpu._is_amx_tile_supported() and torch.backends.mkldnn.enabled and unit.shape[1] >= SHORTEST
    return [half(unit), single(unit)] if fast else [single(unit)]


@contextmanager
def exact_settings() -> Iterator[None]:
    """float32 products proper, whatever the caller allows for his own: the error bound would not hold otherwise."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
