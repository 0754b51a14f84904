"""The sparse Jaccard join over inverted lists on the CPU, in Numba (METHOD 3.6).

Most rows that share columns share little. So a row goes through the lists of its heavy entries first: the light ones
cannot lift a pair over the threshold by themselves, and nearly every pair is ruled out before they are looked at.

Rows are split into a fixed number of runs, each with its own scratch arrays; threads take whole runs, and all sums are
of integers, so the result does not depend on how many threads there are.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from airfast.labels.cpu.prefetch import prefetch
from airfast.labels.cpu.threads import RUNS, Each, ranges, runs, threads
from airfast.labels.seam import smallest_overlap

Int = NDArray[np.int32]
Long = NDArray[np.int64]
Sparse = tuple[Long, Int, Int]  # indptr, columns, weights
Task = tuple[int, int, int, int]  # a block of lists; rows from and to; the row from which on they are the block's own
BLOCK = 1 << 14  # rows whose totals are summed up at a time: 64 KB, about a core's nearest cache
SHORTEST = 32  # rows of an inverted list for which it is worth while to go there
BLOCK_MB = 512
PAIR_BYTES = 56  # of a pair in the buffers, their copy, and the distances computed from them
LIGHT = 7  # eighths of the smallest overlap that a row's light entries may weigh together
CHUNK = 64  # totals that are looked at together
AHEAD = 4  # lists before its turn that a list is asked for: the way to it takes longer than a list
LINE = 16  # entries in a cache line; a list's first three are asked for


class Lists(NamedTuple):
    """Inverted lists of a run of rows, the first of which is row `first`.

    indptr, columns, weights: the rows themselves. slot: where each of their entries went. start: (columns + 1,) where a
    column's list begins. rows, row_weights: the lists, rows counted from `first`, ascending.
    """

    first: int
    indptr: Long
    columns: Int
    weights: Int
    slot: Long
    start: Long
    rows: Int
    row_weights: Int


def join(
    indptr: Long, columns: Int, weights: Int, one: int, eps: float, memory_mb: int
) -> Iterator[tuple[Int, Int, Int]]:
    """METHOD 3.6: blocks of (row, col, Σ min) with row < col and Jaccard distance ≤ eps."""
    sparse, n, least = (indptr, columns, weights), len(indptr) - 1, smallest_overlap(eps, one)
    with threads() as each:
        yield from pairs_among(each, sparse, inverted(each, sparse, n, 0, n), least, memory_mb)


def inverted(each: Each, sparse: Sparse, n: int, first: int, last: int) -> list[Lists]:
    """Some rows of a matrix of n columns in blocks whose totals stay in the nearest cache, if that is worth the way."""
    indptr, columns, weights = sparse
    entries = int(indptr[last] - indptr[first])
    cut = ranges(last - first, max(1, min(-(-(last - first) // BLOCK), entries // (n * SHORTEST))))
    blocks = [(first + start, first + end) for start, end in cut]
    lists = each(invert, ((*block, n, *sparse) for block in blocks))
    return [Lists(a, indptr[a : b + 1], columns, weights, *found) for (a, b), found in zip(blocks, lists, strict=True)]


def pairs_among(
    each: Each, sparse: Sparse, lists: list[Lists], least: int, memory_mb: int
) -> Iterator[tuple[Int, Int, Int]]:
    """Blocks of (row, col, Σ min ≥ least), row < col, of the rows that the lists were made of."""
    last = [block.first + len(block.indptr) - 1 for block in lists]
    tasks = [(b, *rows, block.first) for b, block in enumerate(lists) for rows in runs(last[b])]
    return _joined(each, sparse, lists, tasks, least, memory_mb)


def pairs_across(
    each: Each, sparse: Sparse, lists: list[Lists], least: int, memory_mb: int
) -> Iterator[tuple[Int, Int, Int]]:
    """Blocks of (row, col, Σ min ≥ least) of rows with others, which the lists were made of; each counts its own."""
    size = len(sparse[0]) - 1
    tasks = [(b, *rows, size) for b in range(len(lists)) for rows in runs(size)]
    return _joined(each, sparse, lists, tasks, least, memory_mb)


def _joined(
    each: Each, sparse: Sparse, lists: list[Lists], tasks: list[Task], least: int, memory_mb: int
) -> Iterator[tuple[Int, Int, Int]]:
    # Pairs a task may hold: at least one row's worth. Beyond a few million in all, more room makes nothing faster.
    most = max(len(block.indptr) for block in lists)
    capacity = max(most, (min(memory_mb, BLOCK_MB) << 20) // (RUNS * PAIR_BYTES))
    while tasks:
        now, tasks = tasks[:RUNS], tasks[RUNS:]
        found = each(join_rows, ((*rows, *sparse, lists[b], least, capacity) for b, *rows in now))
        tasks += [(b, at, end, own) for (b, _, end, own), (at, *_) in zip(now, found, strict=True) if at < end]
        yield tuple(np.concatenate(parts) for parts in list(zip(*found, strict=True))[1:])  # type: ignore[misc]


@njit(nogil=True, cache=True)
def invert(first, last, n, indptr, columns, weights):  # type: ignore[no-untyped-def]
    """Inverted lists of a run of rows: for each of n columns its rows ascending, and where each entry of V went."""
    begin, end = indptr[first], indptr[last]
    start = np.zeros(n + 2, np.int64)
    for e in range(begin, end):
        start[columns[e] + 2] += 1
    for c in range(n):
        start[c + 2] += start[c + 1]
    slot = np.empty(end - begin, np.int64)
    rows = np.empty(end - begin, np.int32)
    row_weights = np.empty(end - begin, np.int32)
    for i in range(first, last):
        for e in range(indptr[i], indptr[i + 1]):
            at = start[columns[e] + 1]
            start[columns[e] + 1] = at + 1
            slot[e - begin] = at
            rows[at] = i - first
            row_weights[at] = weights[e]
    return slot, start[: n + 1].copy(), rows, row_weights


@njit(nogil=True, cache=True)
def join_rows(at, end, own, indptr, columns, weights, lists, least, capacity):  # type: ignore[no-untyped-def]
    """Σ min of some rows with every later row of a block, whose inverted lists are given; stops before it overflows.

    own: the row from which on rows are the block's own. Returns the first row that was not finished, and the pairs that
    reach `least`.
    """
    start, rows, row_weights = lists.start, lists.rows, lists.row_weights
    n, width = start.shape[0] - 1, lists.indptr.shape[0] - 1
    row, col, overlap = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    total = np.zeros(width, np.int32)
    touched = np.empty(width + 1, np.int32)
    heads, order, light = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n, np.int32)
    found = 0
    while at < end and found + width <= capacity:
        begin, size = indptr[at], indptr[at + 1] - indptr[at]
        for k in range(size):
            heads[k] = start[columns[begin + k]] if at < own else lists.slot[begin + k - lists.indptr[0]] + 1
        entries = (columns[begin:][:size], weights[begin:][:size])
        heavy, visits, later, missing = split(*entries, heads, start, least, order)
        walked = (*entries, heads, start, rows, row_weights, total, touched)
        # So many that all totals are read, rather than those that were touched.
        everyone = visits * 8 > max(width, BLOCK)
        count = walk(*walked, order[:heavy], 0, everyone)
        count, near = within(total, touched, count, least - missing, everyone)
        if missing and near * size > later:  # adding up those pairs alone takes longer than the lists
            count = walk(*walked, order[heavy:size], count, everyone)
        elif missing and near:
            rest = (*entries, order[heavy:size], light, lists.indptr, lists.columns, lists.weights)
            add_up(*rest, total, touched[:count], least - missing)
        for t in range(count):
            j = np.uint64(touched[t])
            if total[j] >= least:
                row[found], col[found], overlap[found] = at, lists.first + touched[t], total[j]
                found += 1
            total[j] = 0
        if everyone:
            total[:] = 0
        at += 1
    return at, row[:found].copy(), col[:found].copy(), overlap[:found].copy()


@njit(nogil=True, cache=True)
def split(columns, weights, heads, start, least, order):  # type: ignore[no-untyped-def]
    """Put a row's light entries, which cannot reach `least` by themselves, last in `order`.

    Light are those that weigh less for the length of their lists than the row does on average. Returns the number of
    heavy entries and the length of their lists, then the length of the light ones' lists and their weight.
    """
    visits, whole = 0, 0
    for k in range(columns.shape[0]):
        visits += start[columns[k] + 1] - heads[k]
        whole += weights[k]
    heavy, end, later, missing = 0, columns.shape[0], 0, 0
    for k in range(columns.shape[0]):
        length = start[columns[k] + 1] - heads[k]
        if weights[k] * visits <= whole * length and 8 * (missing + weights[k]) <= LIGHT * least:
            missing += weights[k]
            later += length
            end -= 1
            order[end] = k
        else:
            order[heavy] = k
            heavy += 1
    return heavy, visits - later, later, missing


@njit(nogil=True, cache=True)
def walk(columns, weights, heads, start, rows, row_weights, total, touched, order, count, everyone):  # type: ignore[no-untyped-def]
    """Add the minima of some of a row's entries to the totals; returns how many were touched, unless all are read."""
    for turn in range(order.shape[0]):
        if turn + AHEAD < order.shape[0]:
            head = heads[order[turn + AHEAD]]
            for line in range(3):
                prefetch(rows, head + line * LINE)
                prefetch(row_weights, head + line * LINE)
        k = order[turn]
        w = weights[k]
        if everyone:
            for f in range(np.uint64(heads[k]), np.uint64(start[columns[k] + 1])):
                total[np.uint64(rows[f])] += min(w, row_weights[f])
            continue
        for f in range(np.uint64(heads[k]), np.uint64(start[columns[k] + 1])):
            j = np.uint64(rows[f])
            before = total[j]
            touched[count] = rows[f]
            count += before == 0  # without a branch: on weak features it would be mispredicted half the time
            total[j] = before + min(w, row_weights[f])
    return count


@njit(nogil=True, cache=True)
def within(total, touched, count, bound, everyone):  # type: ignore[no-untyped-def]
    """How many totals are touched, or, where all are read, are now in `touched`; and how many reach the bound."""
    near = 0
    if not everyone:
        for t in range(count):
            near += total[np.uint64(touched[t])] >= bound
        return count, near
    for begin in range(0, total.shape[0], CHUNK):
        end = min(begin + CHUNK, total.shape[0])
        highest = total[begin]
        for j in range(np.uint64(begin), np.uint64(end)):  # a loop of its own, for it is vectorised
            highest = max(highest, total[j])
        if highest >= bound:
            for j in range(begin, end):
                touched[near] = j
                near += total[j] >= bound
    return near, near


@njit(nogil=True, cache=True)
def add_up(columns, weights, order, light, indptr, all_columns, all_weights, total, touched, bound):  # type: ignore[no-untyped-def]
    """Add the minima of a row's light entries to the totals that reach the bound. light: zeros, by column."""
    for k in order:
        light[columns[k]] = weights[k]
    for j in touched:
        if total[j] >= bound:
            for e in range(indptr[j], indptr[j + 1]):
                total[j] += min(light[all_columns[e]], all_weights[e])
    for k in order:
        light[columns[k]] = 0
