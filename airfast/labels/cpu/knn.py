"""Exact nearest neighbours of unit rows among themselves on the CPU.

The search is symmetric: a tile of X·Xᵀ, computed once, serves its rows and its columns, which halves the products.
Tiles are played like a tournament: in each round every block of rows meets one other block, so threads never share a
row, and a tile is read while it is still in the cache of the core that computed it.

Exactness: the error of the products has a certain bound (products.py). A row keeps every candidate within twice
that of its k-th best; these are compared again in integers, on a fixed-point grid, ties by index. A row whose
candidates do not fit its buffer (many ties) is searched again in full.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.labels.cpu import bounded
from airfast.labels.cpu.products import Products, candidates, exact_settings, single
from airfast.labels.cpu.select import ROOM, Candidates, offer_tile, search_row, settle
from airfast.labels.cpu.threads import Each, runs, threads

TILE = 512  # rows and columns of a tile: 1 MB of float32, half the size of a core's own cache
HOPELESS = 0.1  # share of rows given up beyond which better products are quicker than searching the rows again

Tile = tuple[int, int, int, int]  # its rows from and to, its columns from and to
Int = NDArray[np.int32]
Long = NDArray[np.int64]
Float = NDArray[np.float32]


def exact_knn(unit: Float, k: int) -> tuple[Int, Int]:
    """The k ≤ N nearest rows of (N, D) float32 unit rows by inner product, nearest first, ties by index.

    Returns index and similarity, both (N, k) int32, the similarity times 2**30. The row itself is always first.
    """
    with exact_settings(), threads() as each:
        *fast, last = candidates(torch.from_numpy(unit))
        if not fast and len(unit) >= bounded.FEWEST and unit.shape[1] >= bounded.SHORTEST:
            rows = no_candidates(0, len(unit), k)
            if bounded.play_bounded(k, last, each, TILE, rows):
                return settled(unit, k, last, each, rows)
        for products in fast:
            if (found := search(unit, k, products, each, HOPELESS)) is not None:
                return found
        return search(unit, k, last, each, np.inf)  # type: ignore[return-value]


def search(unit: Float, k: int, products: Products, each: Each, hopeless: float) -> tuple[Int, Int] | None:
    """The neighbours as of `exact_knn`, or None once more than that share of rows were given up."""
    n = len(unit)
    rows = no_candidates(0, n, k)
    for tiles in among(0, n):
        play(tiles, k, products, each, rows, rows)
        if (rows.count < 0).sum() > hopeless * n:
            return None
    return settled(unit, k, products, each, rows)


def no_candidates(first: int, last: int, k: int) -> Candidates:
    """Of a run of rows, before anything is known of them."""
    n, capacity = last - first, max(4 * k, 64) + ROOM
    buffers = np.empty((n, capacity), np.float32), np.empty((n, capacity), np.int32)
    return Candidates(first, np.full(n, -np.inf, np.float32), np.zeros(n, np.int32), *buffers)


def play(tiles: list[Tile], k: int, products: Products, each: Each, ours: Candidates, theirs: Candidates) -> None:
    """Offer the products of tiles that share no run of rows to the candidates of their rows and of their columns."""
    wanted, slack = max(k - 1, 1), products.slack()

    def one(r0: int, r1: int, c0: int, c1: int) -> None:
        offer_tile(products.tile(r0, r1, c0, c1), r0, c0, wanted, slack, ours, theirs)

    each(one, tiles)


def settled(unit: Float, k: int, products: Products, each: Each, rows: Candidates) -> tuple[Int, Int]:
    """Index and similarity, both (R, k), of a run of rows that all others were offered to."""
    n = len(rows.count)
    index, similarity = np.empty((n, k), np.int32), np.empty((n, k), np.int32)
    shared = (unit, max(k - 1, 1), products.slack(), rows, index, similarity)
    each(settle, ((*run, *shared) for run in runs(n)))
    search_again(unit, np.flatnonzero(rows.count < 0) + rows.first, index, similarity, each, rows.first)
    return index, similarity


def among(first: int, last: int) -> Iterator[list[Tile]]:
    """Rounds of tiles that pair every two of a run of rows."""
    cut = tiled(first, last)
    for pairs in tournament(len(cut)):
        yield [(*cut[left], *cut[right]) for left, right in pairs]


def across(rows: tuple[int, int], columns: tuple[int, int]) -> Iterator[list[Tile]]:
    """Rounds of tiles that pair a run of rows with another."""
    ours, theirs = tiled(*rows), tiled(*columns)
    for shift in range(longest := max(len(ours), len(theirs))):
        pairs = ((each, (place + shift) % longest) for place, each in enumerate(ours))
        yield [(*each, *theirs[other]) for each, other in pairs if other < len(theirs)]


def tiled(first: int, last: int) -> list[tuple[int, int]]:
    """A run of rows as runs of at most TILE."""
    return [(start, min(start + TILE, last)) for start in range(first, last, TILE)]


def tournament(blocks: int) -> Iterator[list[tuple[int, int]]]:
    """Rounds of pairs (left ≤ right) in which no block occurs twice; first each with itself (circle method)."""
    yield [(block, block) for block in range(blocks)]
    ring = list(range(blocks + blocks % 2))  # an odd one out pauses against the block that does not exist
    half = len(ring) // 2
    for _ in range(len(ring) - 1):
        pairs = zip(ring[:half], ring[: -half - 1 : -1], strict=True)
        yield [(min(pair), max(pair)) for pair in pairs if max(pair) < blocks]
        ring = [ring[0], ring[-1], *ring[1:-1]]


def search_again(unit: Float, rows: Long, index: Int, similarity: Int, each: Each, first: int = 0) -> None:
    """Redo rows in place, each among all others, by float32 products; the answers are those of row `first` and on."""
    products = single(torch.from_numpy(unit))
    shared = (unit, max(index.shape[1] - 1, 1), products.slack())
    block = max(1, (1 << 24) // len(unit))  # 64 MB of products at a time
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        near = torch.mm(products.rows[part], products.rows.T).numpy()
        pairs = zip(part, near, strict=True)
        each(search_row, ((i, row, *shared, index[i - first], similarity[i - first]) for i, row in pairs))
