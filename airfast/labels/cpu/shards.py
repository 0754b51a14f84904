"""The label stage on the processors of several processes: every step of backend.py, each rank for a shard of the rows.

Ranks meet like blocks in a tournament (`meetings`): a tile of products, and a row's way through inverted lists,
serve both of a pair, and are gone through on one rank alone. All sums are of integers, so the labels are those of one.

On every rank lie the features, and of their neighbours k1 indices and as many flags a row. Similarities, candidates, V
and its inverted lists lie with the shard, guests come in blocks; what is merged at the end is a few numbers a row.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from airfast.labels.cpu import dbscan, jaccard, join, knn, near
from airfast.labels.cpu.backend import CpuBackend, as_edges, intersection_over_union
from airfast.labels.cpu.knn import HOPELESS, Float, Int
from airfast.labels.cpu.messages import (
    candidates_message,
    joined,
    offer_told,
    part,
    rows_of,
    run_of,
    sparse_message,
    sparse_told,
)
from airfast.labels.cpu.products import Products, candidates, exact_settings
from airfast.labels.cpu.select import Candidates
from airfast.labels.cpu.threads import Each, ranges, runs, threads
from airfast.labels.seam import Clusters, Edges, Encoding, Neighbours, smallest_overlap
from airfast.ranks import Ranks, Run, halves, meetings

BLOCK = 1 << 12  # rows of V that are asked of other ranks, or handed to them, at a time: 10 MB where sets are large


class CpuShards:
    """Implements `Backend` for tensors on the CPU, of which neighbours, sets and pairs are a shard's alone.

    Whoever calls a step calls it on all ranks, with the same features; labels and agreement are whole on each.
    """

    name = "cpu"
    device = torch.device("cpu")

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def check_same(self, asked: str, *matrices: torch.Tensor) -> None:
        """InputError, on all ranks, where one was asked for something else than the first, or of other rows."""
        self.ranks.agree_on(f"options (here {asked})", asked.encode())
        rows = (each.contiguous().view(torch.uint8).numpy().data for each in matrices)
        self.ranks.agree_on("features or views", *rows)
        self.ranks.begin()  # what it took until all were there is not the stage's

    def knn(self, unit: torch.Tensor, k: int, method: str, memory_mb: int) -> Neighbours:
        """The exact search; neighbours are those of the shard's rows."""
        rows = unit.numpy()
        with exact_settings(), threads() as each:
            ways = candidates(unit)
            common = self.ranks.least(np.array([len(ways)]))[0]  # not every machine need have the fastest
            for products in ways[-common:]:
                if (found := self._search(rows, k, products, each, products is not ways[-1])) is not None:
                    break
        assert found is not None
        return Neighbours(torch.from_numpy(found[0]), torch.from_numpy(found[1]))

    def _search(self, unit: Float, k: int, products: Products, each: Each, may_fail: bool) -> tuple[Int, Int] | None:
        n, ranks = len(unit), self.ranks
        shards = ranks.shards(n)
        rows = knn.no_candidates(*shards[ranks.rank], k)
        for tiles in knn.among(*shards[ranks.rank]):
            knn.play(tiles, k, products, each, rows, rows)
        if may_fail and self._hopeless(rows, n):
            return None
        floor = np.empty(n, np.float32)
        floor[slice(*shards[ranks.rank])] = rows.floor
        ranks.fill(floor)  # what a shard knows of its rows keeps most of the others from being offered to them
        wanted, slack = max(k - 1, 1), products.slack()
        for guest, host in meetings(ranks.rank, ranks.count):
            ours, theirs = halves(shards, ranks.rank, guest)
            met = knn.no_candidates(*theirs, k)
            met.floor[:] = floor[slice(*theirs)]
            for tiles in knn.across(ours, theirs):
                knn.play(tiles, k, products, each, rows, met)
            told = ranks.pass_on(candidates_message(met, wanted, slack), to=guest, source=host)
            offer_told(told, part(rows, *halves(shards, host, ranks.rank)[1]), wanted, slack)
        if may_fail and self._hopeless(rows, n):
            return None
        return knn.settled(unit, k, products, each, rows)

    def _hopeless(self, rows: Candidates, n: int) -> bool:
        return bool(self.ranks.total(np.array([(rows.count < 0).sum()]))[0] > HOPELESS * n)

    def dots(self, unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """As on one rank."""
        return CpuBackend().dots(unit, left, right)

    def encode(self, unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
        """V of the shard's rows; rows of V that query expansion averages over are asked of those who have them."""
        n, ranks = len(unit), self.ranks
        shards = ranks.shards(n)
        first, last = shards[ranks.rank]
        index, flags, one = np.empty((n, k1), np.int32), np.zeros((n, k1), np.uint8), jaccard.scale(k2)
        index[first:last] = neighbours.index[:, :k1].numpy()
        ranks.fill(index)
        with threads() as each:
            jaccard.mark(each, index, flags, first, last)
            ranks.fill(flags)
            shared = (unit.numpy(), index, neighbours.similarity.numpy(), flags, one)
            own = jaccard.expansions(each, *shared, first, last)
            parts = []
            for start, end in in_step(shards, first, last):
                expanded = self._fetched(own, np.unique(index[start:end, :k2]), shards)
                parts.append(jaccard.averages(each, index, k2, expanded, start, end))
        indptr, columns, weights = map(torch.from_numpy, joined(parts))
        return Encoding(indptr, columns, weights, one * k2)

    def _fetched(self, own: join.Sparse, wanted: Int, shards: list[Run]) -> join.Sparse:
        """Sparse rows as of all N, of which those that are wanted (ascending) are there."""
        runs = [wanted[slice(*np.searchsorted(wanted, shard))] for shard in shards]
        first, n = shards[self.ranks.rank][0], shards[-1][1]
        asked = self.ranks.swap(runs)
        told = self.ranks.swap([sparse_message(rows_of(own, each - first)) for each in asked])
        found = joined([sparse_told(words, len(run)) for words, run in zip(told, runs, strict=True)])
        indptr = np.zeros(n + 1, np.int64)
        indptr[wanted + 1] = np.diff(found[0])
        return np.cumsum(indptr), found[1], found[2]

    def edges(self, encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
        """The pairs that this rank finds: among its own rows, and of them with its guests'."""
        own = (encoding.indptr.numpy(), encoding.columns.numpy(), encoding.weights.numpy())
        ranks, size, least = self.ranks, len(own[0]) - 1, smallest_overlap(eps, encoding.one)
        n = int(ranks.each(size).sum())
        shards = ranks.shards(n)
        first, last = shards[ranks.rank]
        middle = (first + last) // 2 - first
        with threads() as each:
            lists = [block for run in ((0, middle), (middle, size)) for block in join.inverted(each, own, n, *run)]
            for row, col, overlap in join.pairs_among(each, own, lists, least, memory_mb):
                yield as_edges(row + first, col + first, overlap, encoding.one)
            for guest, host in meetings(ranks.rank, ranks.count):
                ours, theirs = halves(shards, ranks.rank, guest)
                mine = halves(shards, host, ranks.rank)[1]
                met = [block for block in lists if block.first + first >= ours[0]]
                for (a, b), (c, d) in zip(in_step(shards, *mine), in_step(shards, *theirs), strict=True):
                    words = sparse_message(run_of(own, a - first, b - first))
                    visitors = sparse_told(ranks.pass_on(words, to=host, source=guest), d - c)
                    for row, col, overlap in join.pairs_across(each, visitors, met, least, memory_mb):
                        ends = row + c, col + first
                        yield as_edges(np.minimum(*ends), np.maximum(*ends), overlap, encoding.one)

    def near(self, rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
        """Every so many tiles of products are this rank's."""
        for block in near.near_pairs(rows.numpy(), radius, memory_mb, self.ranks.rank, self.ranks.count):
            yield Edges(*map(torch.from_numpy, block))

    def cluster(self, edges: Iterable[Edges], n: int, min_samples: int) -> Clusters:
        """Degrees are added up; then every rank's union-find is merged into the others', and border points agree."""
        degree, parent, waiting = dbscan.gathered(((e.row.numpy(), e.col.numpy()) for e in edges), n, min_samples)
        self.ranks.total(np.subtract(degree, 1, out=degree))  # each is its own neighbour once, not once a rank
        degree += 1
        row, col = waiting
        kept = dbscan.merge_core_pairs(row, col, degree, min_samples, parent)
        for rank in range(self.ranks.count):
            theirs = self.ranks.tell(parent.copy(), rank)
            child = np.flatnonzero(theirs != np.arange(n)).astype(np.int32)
            dbscan.merge_core_pairs(child, theirs[child], degree, min_samples, parent)
        labels, core = dbscan.number(row[:kept], col[:kept], degree, min_samples, parent)
        labels[labels < 0] = n  # more than any cluster: of several, a border point takes the smallest
        self.ranks.least(labels)
        labels[labels == n] = -1
        return Clusters(torch.from_numpy(labels), torch.from_numpy(core))

    def agree(self, first: Neighbours, second: Neighbours, k: int) -> torch.Tensor:
        """Eq. 1 of the shard's rows, then of all."""
        count = len(first.index)
        n = int(self.ranks.each(count).sum())
        share = np.ones(n, np.float32)
        own = share[slice(*self.ranks.shards(n)[self.ranks.rank])]
        shared = (first.index.numpy(), second.index.numpy(), k, own)
        with threads() as each:
            each(intersection_over_union, ((*run, *shared) for run in runs(count)))
        return torch.from_numpy(self.ranks.fill(share))


def in_step(shards: list[Run], first: int, last: int) -> list[Run]:
    """The rows first to last of a shard in as many blocks as every other rank makes of its own."""
    longest = max(end - start for start, end in shards)
    return [(first + start, first + end) for start, end in ranges(last - first, -(-longest // BLOCK))]
