"""What the label stage's ranks hand each other: sparse rows and candidates, each as one array of int32."""

from collections.abc import Sequence

import numpy as np

from airfast.labels.cpu.join import Int, Long, Sparse
from airfast.labels.cpu.select import Candidates, offer_found, trim


def rows_of(sparse: Sparse, rows: Long | Int) -> Sparse:
    """Some rows of a sparse matrix, in that order."""
    indptr, columns, weights = sparse
    lengths = np.diff(indptr)[rows]
    ends = np.cumsum(lengths)
    entries = np.repeat(indptr[rows] - (ends - lengths), lengths) + np.arange(lengths.sum())
    return np.append(0, ends), columns[entries], weights[entries]


def run_of(sparse: Sparse, first: int, last: int) -> Sparse:
    """The rows first to last of a sparse matrix, as views."""
    indptr, columns, weights = sparse
    entries = slice(indptr[first], indptr[last])
    return indptr[first : last + 1], columns[entries], weights[entries]


def joined(parts: Sequence[Sparse]) -> Sparse:
    """Sparse rows below each other."""
    lengths, columns, weights = (
        np.concatenate(each) for each in zip(*((np.diff(p[0]), *p[1:]) for p in parts), strict=True)
    )
    return np.append(0, np.cumsum(lengths)), columns, weights


def sparse_message(sparse: Sparse) -> Int:
    """Sparse rows as one array: their lengths, columns, weights."""
    return np.concatenate([np.diff(sparse[0]).astype(np.int32), *sparse[1:]])


def sparse_told(words: Int, rows: int) -> Sparse:
    """What `sparse_message` was made of, where it is known how many rows they are."""
    columns, weights = np.split(words[rows:], 2)
    return np.append(0, np.cumsum(words[:rows], dtype=np.int64)), columns, weights


def candidates_message(rows: Candidates, k: int, slack: tuple[np.float32, np.float32]) -> Int:
    """The candidates of R rows that can still be among their k best: counts (R,), rows, products' bits."""
    trim(0, len(rows.count), k, slack, rows)
    there = np.arange(rows.ids.shape[1]) < rows.count[:, None]
    return np.concatenate([rows.count, rows.ids[there], rows.kept[there].view(np.int32)])


def offer_told(words: Int, rows: Candidates, k: int, slack: tuple[np.float32, np.float32]) -> None:
    """Offer to rows what a `candidates_message` of them has."""
    count = words[: len(rows.count)]
    ids, bits = np.split(words[len(count) :], 2)
    begin = np.append(0, np.cumsum(np.maximum(count, 0), dtype=np.int64))
    offer_found(0, len(count), count, begin, bits.view(np.float32), ids, k, slack, rows)


def part(rows: Candidates, first: int, last: int) -> Candidates:
    """A view of the candidates of some rows, first to last of all."""
    run = slice(first - rows.first, last - rows.first)
    return Candidates(first, *(each[run] for each in rows[1:]))
