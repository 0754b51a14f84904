"""The exact search on rows that lie mostly in a few directions: most of their products are passed over, with proof.

Features of an encoder do so (benchmarks/results/features.md). With P the coordinates along DIRECTIONS of them and r
what is left of a row, x·y ≤ P(x)·P(y) + |r(x)|·|r(y)|, which is one short product a pair. Where that lies below the
floors of both rows it is all that is asked; of the others the whole product is taken. Floors are high early because
rows that resemble each other stand together and are compared first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.labels.cpu.products import Products
from airfast.labels.cpu.select import Candidates, offer_ordered
from airfast.labels.cpu.threads import Each
from airfast.labels.seam import error_bound

DIRECTIONS = 32
SHORTEST = 8 * DIRECTIONS  # columns of a row, below which the short product is no bargain
FEWEST = 4_096  # rows
SAMPLE = 4_096  # rows that the directions are taken from
BLOCK = 1_024  # rows that are taken in float64 at a time
FEW = 128  # rows whose neighbours are found beforehand, to see whether bounds would pay
TRIED = 32  # tiles by which it is decided
WORTH = 0.1  # share of pairs that may be left of those
FULL = 1 / 8  # share of a tile's pairs beyond which all are multiplied

Float = NDArray[np.float32]
Order = NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """(N, DIRECTIONS + 1) rows whose products, with `error` added, no product of the unit rows exceeds."""

    rows: torch.Tensor
    error: float

    def tile(self, r0: int, r1: int, c0: int, c1: int) -> Float:
        """Bounds of rows r0 to r1 with rows c0 to c1."""
        return torch.mm(self.rows[r0:r1], self.rows[c0:c1].T).numpy()


def bounds(unit: torch.Tensor, basis: torch.Tensor) -> Bounds:
    """Of (N, D) float32 unit rows, in their order, by (D, DIRECTIONS) directions.

    With E = BᵀB − 1 of the directions B as they are in float32, and P and r as they are:
    x·y = P·P' + P·E·P' + P·Bᵀr' + P'·Bᵀr + r·r'. The three in the middle are measured, and rounding comes on top.
    """
    wide = basis.double()
    parts, off, longest, left = [], 0.0, 0.0, 0.0
    for rows in torch.split(unit, BLOCK):
        short = rows @ basis
        rest = rows.double() - short.double() @ wide.T
        length = torch.linalg.vector_norm(rest, dim=1)
        off = max(off, float(torch.linalg.vector_norm(rest @ wide, dim=1).max()))
        longest = max(longest, float(torch.linalg.vector_norm(short.double(), dim=1).max()))
        left = max(left, float(length.max()))
        parts.append(torch.cat([short, (length * (1 + 2.0**-22)).float()[:, None]], 1))
    apart = float(torch.linalg.matrix_norm(wide.T @ wide - torch.eye(DIRECTIONS, dtype=torch.float64), 2))
    rounding = 1.01 * (DIRECTIONS + 3) * 2.0**-24 * (longest**2 + left**2 * (1 + 2.0**-20))
    return Bounds(torch.cat(parts), 1.001 * (apart * longest**2 + 2 * longest * off + rounding) + 1e-12)


def directions(unit: torch.Tensor) -> torch.Tensor:
    """(D, DIRECTIONS) float32, nearly orthonormal: the leading ones of a sample of the rows, by subspace iteration."""
    some = sample(unit, SAMPLE)
    random = torch.Generator().manual_seed(0)
    basis = torch.randn(unit.shape[1], DIRECTIONS, generator=random)
    for _ in range(4):
        basis = torch.linalg.qr(some.T @ (some @ basis))[0]
    found: torch.Tensor = torch.linalg.qr(basis.double())[0].float()
    return found


def sample(unit: torch.Tensor, n: int) -> torch.Tensor:
    """About n of the rows, spread evenly."""
    return unit[:: max(1, len(unit) // n)]


def promising(unit: torch.Tensor, basis: torch.Tensor, k: int) -> bool:
    """Whether few enough pairs would be left if floors were as high as they end up, judged by a few rows."""
    few, some = sample(unit, FEW), sample(unit, SAMPLE)
    floors = (few @ unit.T).topk(k).values[:, -1:]
    (left, rest_left), (right, rest_right) = (
        (short, (1 - (short**2).sum(1)).clamp(min=0).sqrt()) for short in (few @ basis, some @ basis)
    )
    return bool((left @ right.T + rest_left[:, None] * rest_right >= floors).float().mean() <= WORTH)


def together(rows: Float, tile: int) -> Order:
    """An order of (N, M) rows in which those of a tile resemble each other, and tiles the next: halved again and again.

    Each part is halved along the direction in which it is longest, at a multiple of the tile.
    """
    order = np.arange(len(rows))
    parts = [(0, len(rows))]
    while parts:
        first, last = parts.pop()
        if last - first <= tile:
            continue
        here = order[first:last]
        some = rows[here] - rows[here].mean(0)
        along = some[np.argmax((some**2).sum(1))]
        for _ in range(4):
            along = some.T @ (some @ along)
            along /= max(float(np.linalg.norm(along)), 1e-30)
        middle = tile * -(-(last - first) // (2 * tile))
        order[first:last] = here[np.argpartition(some @ along, middle)]
        parts += [(first, first + middle), (first + middle, last)]
    return order


def near_first(blocks: int) -> Iterator[list[tuple[int, int]]]:
    """Rounds of pairs (left ≤ right) in which no block occurs twice: each with itself, then those of one branch, …"""
    yield [(block, block) for block in range(blocks)]
    for bits in range(1, 1 << (blocks - 1).bit_length()):
        yield [(block, block ^ bits) for block in range(blocks) if block < block ^ bits < blocks]


def play_bounded(k: int, products: Products, each: Each, tile: int, rows: Candidates) -> bool:
    """Offer all float32 rows to each other's candidates; False, with nothing of use there, where bounds do not pay."""
    unit, n = products.rows, len(products.rows)
    basis = directions(unit)
    if not promising(unit, basis, k):
        return False
    bound = bounds(unit, basis)
    order = together(bound.rows.numpy(), tile)
    bound = Bounds(bound.rows[order], bound.error + error_bound(unit.shape[1]))
    turned, whole = torch.from_numpy(order), unit.numpy()
    wanted, slack = max(k - 1, 1), products.slack()
    cut = [(start, min(start + tile, n)) for start in range(0, n, tile)]
    error = np.float32(bound.error + 2.0**-22)  # itself and what it is taken from are rounded

    def one(left: int, right: int) -> None:
        (r0, r1), (c0, c1) = cut[left], cut[right]
        most = int(FULL * (r1 - r0) * (c1 - c0))
        if left != right:
            hits = offer_ordered(bound.tile(r0, r1, c0, c1), r0, c0, wanted, slack, rows, order, whole, error, most)
            if hits <= most:
                return
        near = torch.mm(unit[turned[r0:r1]], unit[turned[c0:c1]].T).numpy()
        offer_ordered(near, r0, c0, wanted, slack, rows, order, whole[:, :0], np.float32(0), near.size)

    rounds = near_first(len(cut))
    each(one, next(rounds))
    if not pays(bound, cut, rows):
        return False
    for pairs in rounds:
        each(one, pairs)
    back = np.argsort(order)
    for part in rows[1:]:
        part[:] = part[back]
    return True


def pays(bound: Bounds, cut: list[tuple[int, int]], rows: Candidates) -> bool:
    """Whether of some tiles the floors of now leave few enough pairs."""
    random = np.random.default_rng(0)
    shares = []
    for left, right in random.integers(len(cut), size=(TRIED, 2)):
        (r0, r1), (c0, c1) = cut[left], cut[right]
        if left != right:
            least = np.minimum(rows.floor[r0:r1, None], rows.floor[c0:c1])
            shares.append((bound.tile(r0, r1, c0, c1) >= least - np.float32(bound.error)).mean())
    return bool(np.mean(shares) <= WORTH) if shares else False
