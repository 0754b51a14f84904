"""k-reciprocal encoding on the CPU, in Numba (METHOD 3.3–3.5).

Rows are split into a fixed number of runs, each with its own scratch arrays; threads take whole runs, and all sums are
of integers, so the result does not depend on how many threads there are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from airfast.labels.cpu.select import fix, fixed_dot
from airfast.labels.cpu.threads import Each, runs_of, threads
from airfast.labels.seam import SIMILARITY_BITS, half_set

Int = NDArray[np.int32]
Long = NDArray[np.int64]
Sparse = tuple[Long, Int, Int]  # indptr, columns, weights
ONE = float(1 << SIMILARITY_BITS)


def encode(unit: NDArray[np.float32], index: Int, similarity: Int, k1: int, k2: int) -> tuple[Long, Int, Int, int]:
    """METHOD 3.3–3.5: indptr (N+1,), columns (nnz,), weights (nnz,) of V after query expansion, and its unit."""
    n, one = len(index), scale(k2)
    with threads() as each:
        flags = np.zeros((n, k1), np.uint8)
        mark(each, index, flags, 0, n)
        expanded = expansions(each, unit, index, similarity, flags, one, 0, n)
        return *averages(each, index, k2, expanded, 0, n), one * k2


def scale(k2: int) -> int:
    """What a row of V sums to; a row after query expansion sums to k2 times as much, which must stay below 2**31."""
    return (1 << SIMILARITY_BITS) // k2


def mark(each: Each, index: Int, flags: NDArray[np.uint8], first: int, last: int) -> None:
    """The flags (N, k1) of rows first to last, as `reciprocal` says."""
    each(reciprocal, ((*run, index, half_set(flags.shape[1]), flags) for run in runs_of(first, last)))


def expansions(
    each: Each,
    unit: NDArray[np.float32],
    index: Int,
    similarity: Int,
    flags: NDArray[np.uint8],
    one: int,
    first: int,
    last: int,
) -> Sparse:
    """V of rows first to last before query expansion; similarity (R, k) is theirs alone, index and flags are of all."""
    inputs = (unit, index, similarity, flags, half_set(flags.shape[1]), float(one))
    return _two_pass(each, expand, inputs, first, last)


def averages(each: Each, index: Int, k2: int, expanded: Sparse, first: int, last: int) -> Sparse:
    """V of rows first to last after query expansion, of V before it; of that, rows that are not asked for may lack."""
    return _two_pass(each, query_expand, (index, k2, *expanded), first, last)


def _two_pass(each: Each, kernel: Callable[..., None], inputs: tuple[Any, ...], first: int, last: int) -> Sparse:
    """Run a kernel that builds sparse rows twice: to count, then to fill."""
    indptr = np.zeros(last - first + 1, np.int64)
    nothing = np.empty(0, np.int32)
    each(kernel, ((*run, first, *inputs, indptr, nothing, nothing) for run in runs_of(first, last)))
    np.cumsum(indptr, out=indptr)
    columns = np.empty(indptr[-1], np.int32)
    weights = np.empty(indptr[-1], np.int32)
    each(kernel, ((*run, first, *inputs, indptr, columns, weights) for run in runs_of(first, last)))
    return indptr, columns, weights


@njit(nogil=True, cache=True)
def reciprocal(first, last, index, half, flags):  # type: ignore[no-untyped-def]
    """Bit 0: the neighbour has the row among its k1; bit 1: both are within each other's half set."""
    k1 = flags.shape[1]
    for i in range(first, last):
        for a in range(k1):
            j = index[i, a]
            for b in range(k1):
                if index[j, b] == i:
                    flags[i, a] = 3 if a < half and b < half else 1
                    break


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def expand(first, last, origin, unit, index, similarity, flags, half, scale, indptr, columns, weights):  # type: ignore[no-untyped-def]
    """METHOD 3.3–3.4: the expanded reciprocal sets; counts into indptr[1:] when `columns` is empty, else fills.

    origin: the row that similarity and indptr begin with.
    """
    n, k1 = flags.shape
    fill = columns.shape[0] > 0
    seen = np.full(n, -1, np.int32)  # 2i: a member of R(i); 2i+1: added to it; less: of an earlier row
    members = np.empty(k1 * (half + 1), np.int32)
    close = np.empty(k1 * (half + 1), np.int64)
    fixed = np.empty(unit.shape[1], np.int32)
    for i in range(first, last):
        count = 0
        for a in range(k1):
            if flags[i, a] & 1:
                members[count] = index[i, a]
                close[count] = similarity[i - origin, a]
                seen[index[i, a]] = 2 * i
                count += 1
        own = count
        for m in range(own):
            q = members[m]
            size = 0
            common = 0
            for b in range(half):
                if flags[q, b] & 2:
                    size += 1
                    common += seen[index[q, b]] == 2 * i
            if 3 * common > 2 * size:
                for b in range(half):
                    j = index[q, b]
                    if flags[q, b] & 2 and seen[j] < 2 * i:
                        seen[j] = 2 * i + 1
                        members[count] = j
                        count += 1
        if not fill:
            indptr[i - origin + 1] = count
            continue
        total = 0.0
        fix(unit[i], fixed)
        soft = np.empty(count, np.float64)
        for m in range(count):
            if m >= own:
                close[m] = fixed_dot(fixed, unit[members[m]])
            soft[m] = np.exp(2.0 * (close[m] / ONE - 1.0))
            total += soft[m]
        for m in range(count):
            columns[indptr[i - origin] + m] = members[m]
            weights[indptr[i - origin] + m] = np.rint(soft[m] / total * scale)


@njit(nogil=True, cache=True)
def query_expand(first, last, origin, index, k2, v_indptr, v_columns, v_weights, indptr, columns, weights):  # type: ignore[no-untyped-def]
    """METHOD 3.5 without the division: the sum of V over the first k2 neighbours; counts, then fills; as `expand`."""
    n = index.shape[0]
    fill = columns.shape[0] > 0
    seen = np.full(n, -1, np.int32)
    place = np.empty(n, np.int64)
    for i in range(first, last):
        at = indptr[i - origin]
        count = 0
        for a in range(k2):
            q = index[i, a]
            for e in range(v_indptr[q], v_indptr[q + 1]):
                j = v_columns[e]
                if seen[j] != i:
                    seen[j] = i
                    if fill:
                        place[j] = at + count
                        columns[at + count] = j
                        weights[at + count] = v_weights[e]
                    count += 1
                elif fill:
                    weights[place[j]] += v_weights[e]
        if not fill:
            indptr[i - origin + 1] = count
