"""All pairs of rows within a Euclidean radius on the CPU: DBSCAN's neighbour graph in feature space.

Tiles of products in float32 rule out what is certainly further; the rest is measured in float64.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from airfast.labels.cpu.knn import Float, Int
from airfast.labels.cpu.threads import runs, threads
from airfast.labels.seam import EPS_SLACK, error_bound

ROWS = 512


def near_pairs(
    rows: Float, radius: float, memory_mb: int, turn: int = 0, every: int = 1
) -> Iterator[tuple[Int, Int, Float]]:
    """Blocks of (row, col, distance) with row < col and distance ≤ radius, of (N, D) float32 rows.

    turn, every: every so many blocks of rows, from which on.
    """
    n, d = rows.shape
    norm = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    scale = norm.max() or 1.0  # products of large features must not overflow
    scaled = (rows / np.float32(scale)).astype(np.float32)
    norm = np.sqrt(np.einsum("nd,nd->n", scaled, scaled, dtype=np.float64))
    # A float32 product is off by at most D·2⁻²⁴·|x||y|.
    slack = error_bound(d)
    width = max(ROWS, min(n, (memory_mb << 20) // (ROWS * 16)))  # the tile, and as much again for what it yields
    limits = (radius * (1 + EPS_SLACK), radius / scale, slack)
    with threads() as each:
        for r0 in range(turn * ROWS, n, every * ROWS):
            for c0 in range(r0, n, width):
                tile = scaled[r0 : r0 + ROWS] @ scaled[c0 : c0 + width].T
                counts = np.zeros(len(tile) + 1, np.int64)
                each(measure, ((*run, rows, norm, tile, r0, c0, *limits, counts) for run in runs(len(tile))))
                at = np.cumsum(counts)
                pairs = np.empty(at[-1], np.int32), np.empty(at[-1], np.int32), np.empty(at[-1], np.float32)
                each(collect, ((*run, tile, r0, c0, at, *pairs) for run in runs(len(tile))))
                if at[-1]:
                    yield pairs


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def measure(first, last, rows, norm, tile, r0, c0, radius, scaled_radius, slack, counts):  # type: ignore[no-untyped-def]
    """Replace the products of some rows of a tile by distances, -1 beyond the radius; counts the pairs by row."""
    for r in range(first, last):
        i = r0 + r
        for c in range(tile.shape[1]):
            j = c0 + c
            a, b = norm[i], norm[j]
            squared = a * a + b * b - 2.0 * tile[r, c] - 4.0 * slack * (a * a + b * b)
            tile[r, c] = -1.0
            if j > i and squared <= scaled_radius * scaled_radius * (1 + 1e-6):
                total = 0.0
                for x in range(rows.shape[1]):
                    gap = np.float64(rows[i, x]) - np.float64(rows[j, x])
                    total += gap * gap
                if np.sqrt(total) <= radius:
                    tile[r, c] = np.sqrt(total)
                    counts[r + 1] += 1


@njit(nogil=True, cache=True)
def collect(first, last, tile, r0, c0, start, row, col, distance):  # type: ignore[no-untyped-def]
    """The pairs that `measure` left in some rows of a tile."""
    for r in range(first, last):
        at = start[r]
        for c in range(tile.shape[1]):
            if tile[r, c] >= 0:
                row[at] = r0 + r
                col[at] = c0 + c
                distance[at] = tile[r, c]
                at += 1
