"""The compiled loops of the nearest-neighbour searches: keep candidates, compare them exactly, keep the best."""

# mypy: ignore-errors

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.cpython.unsafe.numbers import trailing_zeros

from airfast.labels.seam import LOW, SIMILARITY_BITS

ONE = np.float32(1 << SIMILARITY_BITS)
STEP = 64  # entries compared at once, one bit each
HALVINGS = 21  # of a bracket of 4: to 2e-6, less than any bound of error
ROOM = 32  # candidates between compactions; a buffer with less free room than this after one is given up


class Candidates(NamedTuple):
    """What is known so far of a run of R rows, the first of which is row `first` of all.

    floor: (R,) float32, a product below it cannot be of one of the row's k best. count: (R,) int32 candidates so far.
    kept, ids: (R, capacity) float32 and int32, their products and rows. A row with too many candidates within the error
    of the products is given up: its count is -1, its floor infinity.
    """

    first: int
    floor: np.ndarray
    count: np.ndarray
    kept: np.ndarray
    ids: np.ndarray


@njit(inline="always")
def fix(row, fixed):
    """A row in steps of the fixed-point grid."""
    for c in range(row.shape[0]):
        fixed[c] = np.int32(np.rint(row[c] * ONE))


@njit(inline="always")
def fixed_dot(fixed, row):
    """Inner product on the grid, of a row that `fix` has put there and one that has yet to be: exact in any order."""
    total = np.int64(0)
    for c in range(row.shape[0]):
        total += np.int64(fixed[c]) * np.int64(np.int32(np.rint(row[c] * ONE)))
    return (total + (1 << (SIMILARITY_BITS - 1))) >> SIMILARITY_BITS


@njit(nogil=True, cache=True)
def bar(values, least, k, slack):
    """What the k-th largest of the values says a candidate must reach, where k of them are at least `least`.

    The k-th largest is bracketed by bisection: to count what is above a value takes no branches, as sorting does.
    """
    low, high = max(least, np.float32(-2)), np.float32(2)
    for _ in range(HALVINGS):
        middle = (low + high) / np.float32(2)
        above = np.int32(0)
        for a in range(values.shape[0]):
            above += np.int32(values[a] >= middle)
        if above >= k:
            low = middle
        else:
            high = middle
    return low - slack[0] - slack[1] * abs(low)


@njit(nogil=True, cache=True)
def compact(i, k, slack, floor, count, kept, ids):
    """Raise the floor of row i by its candidates so far, and drop what is below."""
    full = count[i]
    least = bar(kept[i, :full], floor[i], k, slack)
    m = 0
    for a in range(full):
        kept[i, m] = kept[i, a]
        ids[i, m] = ids[i, a]
        m += kept[i, a] >= least
    floor[i] = least
    count[i] = m
    if m > kept.shape[1] - ROOM:
        floor[i], count[i] = np.inf, -1


@njit(inline="always")
def offer(i, j, value, k, slack, floor, count, kept, ids):
    """Take j as a candidate of row i if its value reaches the floor; without a branch that would be mispredicted."""
    m = np.uint64(max(count[i], 0))
    taken = value >= floor[i]
    kept[i, m] = value
    ids[i, m] = j
    count[i] += taken
    if taken & (count[i] % ROOM == 0) & (count[i] > k):
        compact(i, k, slack, floor, count, kept, ids)


@njit(nogil=True, cache=True)
def may_want(part, bars, least):
    """A bit for each of up to STEP entries that the row, from `least` on, or the column, from its bar on, may want."""
    hits = np.uint64(0)
    for c in range(part.shape[0]):
        above = part[c] >= (least if least < bars[c] else bars[c])
        hits |= np.uint64(above) << np.uint64(c)
    return hits


@njit(nogil=True, cache=True)
def offer_tile(tile, r0, c0, k, slack, ours, theirs):
    """Offer a tile of products, first row r0 and first column c0, to its rows and, off the diagonal, to its columns.

    ours, theirs: candidates of a run of rows that has the tile's rows, and of one that has its columns.
    """
    rows, columns = tile.shape
    bars = np.full(columns, np.inf, np.float32)
    if r0 != c0:
        bars[:] = theirs.floor[c0 - theirs.first :][:columns]
    for r in range(rows):
        i = np.uint64(r0 + r - ours.first)
        if r0 == c0:
            tile[r, r] = -np.inf
            if columns > k:  # the first tile of these rows: a floor at once saves most of the offers
                ours.floor[i] = bar(tile[r], ours.floor[i], k, slack)
        least = ours.floor[i]
        for start in range(0, columns, STEP):
            part, part_bars = tile[r, start : start + STEP], bars[start : start + STEP]
            hits = may_want(part, part_bars, least)
            while hits:
                c = np.uint64(trailing_zeros(hits))
                hits &= hits - np.uint64(1)
                j = np.uint64(c0 + start) + c
                offer(i, j, part[c], k, slack, ours.floor, ours.count, ours.kept, ours.ids)
                if r0 != c0:
                    at = j - np.uint64(theirs.first)
                    offer(at, r0 + r, part[c], k, slack, theirs.floor, theirs.count, theirs.kept, theirs.ids)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def dot(left, right):
    """Inner product of two rows in float32, in whatever order."""
    total = np.float32(0)
    for c in range(left.shape[0]):
        total += left[c] * right[c]
    return total


@njit(nogil=True, cache=True)
def offer_ordered(tile, r0, c0, k, slack, rows, order, unit, error, most):
    """As `offer_tile`, of rows in an order: row r of `rows` is row order[r] of `unit`, which candidates are called by.

    Where `unit` has columns the tile holds bounds, no product being more than `error` above: products are taken of
    those pairs that one of them may want, unless they are more than `most`, when nothing is offered. Returns how many.
    """
    height, columns = tile.shape
    bars = np.full(columns, np.inf, np.float32)
    if r0 != c0:
        bars[:] = rows.floor[c0 : c0 + columns]
        for c in range(columns):
            bars[c] -= error
    bounded, wanted = unit.shape[1] > 0, 0
    if bounded:
        for r in range(height):
            least, part = rows.floor[r0 + r] - error, tile[r]
            above = np.int32(0)
            for c in range(columns):
                above += np.int32(part[c] >= (least if least < bars[c] else bars[c]))
            wanted += above
        if wanted > most or wanted == 0:
            return wanted
    for r in range(height):
        i = np.uint64(r0 + r)
        if r0 == c0:
            tile[r, r] = -np.inf
            if columns > k:
                rows.floor[i] = bar(tile[r], rows.floor[i], k, slack)
        least = rows.floor[i] - error
        for start in range(0, columns, STEP):
            part, part_bars = tile[r, start : start + STEP], bars[start : start + STEP]
            hits = may_want(part, part_bars, least)
            while hits:
                c = np.uint64(trailing_zeros(hits))
                hits &= hits - np.uint64(1)
                j = np.uint64(c0 + start) + c
                value = dot(unit[order[i]], unit[order[j]]) if bounded else part[c]
                offer(i, order[j], value, k, slack, rows.floor, rows.count, rows.kept, rows.ids)
                if r0 != c0:
                    offer(j, order[i], value, k, slack, rows.floor, rows.count, rows.kept, rows.ids)
    return wanted


@njit(nogil=True, cache=True)
def trim(start, end, k, slack, rows):
    """Drop what the last offers to some of the rows have ruled out."""
    for i in range(start, end):
        if rows.count[i] > k:
            compact(i, k, slack, rows.floor, rows.count, rows.kept, rows.ids)


@njit(nogil=True, cache=True)
def offer_found(start, end, count, begin, products, ids, k, slack, rows):
    """Offer to some of the rows what was found for them elsewhere: (R,) how many, -1 of a row given up, and whence."""
    for i in range(start, end):
        if count[i] < 0:
            rows.count[i], rows.floor[i] = -1, np.inf
        for e in range(begin[i], begin[i + 1]):
            offer(i, ids[e], products[e], k, slack, rows.floor, rows.count, rows.kept, rows.ids)


@njit(nogil=True, cache=True)
def insert(key, best):
    """Keep a key among the best, largest first; the smallest falls out."""
    a = best.shape[0]
    if a and key > best[a - 1]:
        a -= 1
        while a and best[a - 1] < key:
            best[a] = best[a - 1]
            a -= 1
        best[a] = key


@njit(nogil=True, cache=True)
def write_best(i, best, index, similarity):
    """The answer for row i: itself, then the best keys; a key is similarity above, negated index below."""
    index[0] = i
    similarity[0] = 1 << SIMILARITY_BITS
    for a in range(best.shape[0]):
        index[a + 1] = LOW - (best[a] & 0xFFFFFFFF)
        similarity[a + 1] = best[a] >> 32


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def settle(start, end, unit, k, slack, rows, index, similarity):
    """The answer for some of the rows by exact similarity of their candidates; rows given up are left open."""
    fixed = np.empty(unit.shape[1], np.int32)
    for i in range(start, end):
        if rows.count[i] > k:
            compact(i, k, slack, rows.floor, rows.count, rows.kept, rows.ids)
        if rows.count[i] >= 0:
            fix(unit[rows.first + i], fixed)
            best = np.full(index.shape[1] - 1, np.iinfo(np.int64).min, np.int64)
            for a in range(rows.count[i]):
                j = np.int64(rows.ids[i, a])
                insert((fixed_dot(fixed, unit[j]) << 32) | (LOW - j), best)
            write_best(rows.first + i, best, index[i], similarity[i])


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def search_row(i, near, unit, k, slack, index, similarity):
    """As `settle`, for row i alone, among all columns, from their products; index and similarity are its own, (k,)."""
    near[i] = -np.inf
    least = bar(near, np.float32(-2), k, slack)
    fixed = np.empty(unit.shape[1], np.int32)
    fix(unit[i], fixed)
    best = np.full(index.shape[0] - 1, np.iinfo(np.int64).min, np.int64)
    for j in range(near.shape[0]):
        if near[j] >= least and j != i:
            insert((fixed_dot(fixed, unit[j]) << 32) | (LOW - j), best)
    write_best(i, best, index, similarity)
