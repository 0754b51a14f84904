"""DBSCAN on a CUDA device over a stream of pairs within eps, by the parallel rule (METHOD 3.7).

The components of the core points are found by cuML from a dense matrix, or from the pairs alone by scatter-minimum and
pointer jumping. Which points are core, how clusters are numbered and where border points go is decided here for both,
so their labels are the same. CPU twin: ../cpu/dbscan.py, where it is said why pairs have to wait.
"""

from collections.abc import Iterable, Iterator

import torch

from airfast.errors import InputError
from airfast.labels.cuda import interop
from airfast.labels.cuda.blocks import by_rows, free_bytes
from airfast.labels.seam import EPS_SLACK, Clusters, Edges

WAITING = 1 << 25  # pairs that are looked at together: 0.5 GB, and an ordinary set's are looked at once
DENSE_BYTES = 10  # of a pair of samples: its float32 distance, cuML's adjacency as bool, its index, one to spare


def cluster(edges: Iterable[Edges], n: int, min_samples: int, who: str, device: torch.device) -> Clusters:
    """Clusters of n samples; who: graph, cuml, or auto for cuML where its dense matrix fits and the graph elsewhere.

    Raises InputError where cuML is asked for and the matrix does not fit.
    """
    needed = DENSE_BYTES * n * n
    if who == "cuml":
        _check_size(n, needed, device)
    if who == "graph" or n > interop.CUML_ROWS or needed > free_bytes(device):
        return graph_clusters(edges, n, min_samples, device)
    return cuml_clusters(edges, n, min_samples, device)


def graph_clusters(edges: Iterable[Edges], n: int, min_samples: int, device: torch.device) -> Clusters:
    """From the pairs alone: memory grows with N, whatever their number."""
    seen = _Seen(n, min_samples, device)
    parent = torch.arange(n, device=device)
    for block in edges:
        seen.take(block)
        if seen.new > WAITING:
            parent = _merge(parent, seen.settled())
    return seen.number(_merge(parent, seen.settled()))


def cuml_clusters(edges: Iterable[Edges], n: int, min_samples: int, device: torch.device) -> Clusters:
    """The pairs scattered into a dense matrix of 0 (within eps) and 1 (beyond) for cuML."""
    try:
        apart = torch.ones((n, n), device=device).fill_diagonal_(0)
    except torch.OutOfMemoryError:  # what was free a moment ago is not: the pairs alone are enough
        return graph_clusters(edges, n, min_samples, device)
    seen = _Seen(n, min_samples, device)
    for block in edges:
        row, col = block.row.long(), block.col.long()
        apart[row, col] = 0
        apart[col, row] = 0
        seen.take(block)
    try:
        component = interop.cuml_components(apart, min_samples)
    except torch.OutOfMemoryError:
        component = None
    if component is None:  # the pairs are used up, but the matrix has them
        return graph_clusters(_pairs_of(apart), n, min_samples, device)
    return seen.number(_smallest_core(component, seen.core))


def cuml_in_space(rows: torch.Tensor, radius: float, min_samples: int) -> Clusters:
    """DBSCAN within a Euclidean radius of (N, D) float32 rows, distances included, by cuML.

    In float64, centred, and scaled so that the radius with its slack is 1: then what cuML rounds is far below EPS_SLACK
    and its labels are those of the pairs that `near` measures. Raises InputError where that cannot be had.
    """
    n, d = rows.shape
    _check_size(n, DENSE_BYTES * n * n + 24 * n * d, rows.device)
    scaled = (rows.double() - rows.double().mean(0)) / (radius * (1 + EPS_SLACK))
    squared = float(scaled.square().sum(1).max())
    if 4 * d * 2.0**-53 * squared > EPS_SLACK / 10:  # |x|² + |y|² − 2x·y loses so much, where cuML forms it so
        raise InputError(f"dbscan cuml: eps is too small beside the features' spread ({squared**0.5:.0f} times it)")
    labels, core_index = interop.cuml_in_space(scaled, min_samples)
    core = torch.zeros(n, dtype=torch.bool, device=rows.device)
    core[core_index] = True
    return Clusters(_renumber(labels, core), core)


def _check_size(n: int, needed: int, device: torch.device) -> None:
    free = free_bytes(device)
    if n > interop.CUML_ROWS or needed > free:
        raise InputError(
            f"dbscan cuml: expected at most {interop.CUML_ROWS:,} samples and {needed >> 20:,} MB free for these, "
            f"found {n:,} samples and {free >> 20:,} MB; dbscan auto takes the edge graph there"
        )


class _Seen:
    """What is known of the samples while pairs come in: degrees, and pairs that wait until both ends are core."""

    def __init__(self, n: int, min_samples: int, device: torch.device) -> None:
        self.min_samples = min_samples
        self.degree = torch.ones(n, dtype=torch.int64, device=device)  # a point is its own neighbour
        self.waiting = [torch.empty((2, 0), dtype=torch.int64, device=device)]
        self.new = 0  # pairs that nobody has asked about yet

    @property
    def core(self) -> torch.Tensor:
        return self.degree >= self.min_samples

    def take(self, block: Edges) -> None:
        """Count a block of pairs."""
        pairs = torch.stack((block.row, block.col)).long()
        self.degree += torch.bincount(pairs.flatten(), minlength=len(self.degree))
        self.waiting.append(pairs)
        self.new += pairs.shape[1]

    def settled(self) -> torch.Tensor:
        """The pairs of which both ends are core by now, (2, P); the others wait on."""
        pairs = torch.cat(self.waiting, 1)
        both = self.core[pairs].all(0)
        self.waiting, self.new = [pairs[:, ~both]], 0
        return pairs[:, both]

    def number(self, parent: torch.Tensor) -> Clusters:
        """Number the components by their smallest core index; a border point takes the smallest adjacent number.

        parent: (N,), for core points the smallest core index of their component.
        """
        core, n = self.core, len(parent)
        number = (core & (parent == torch.arange(n, device=core.device))).cumsum(0) - 1
        labels = torch.where(core, number[parent], -1)
        pairs = torch.cat(self.waiting, 1)
        source, target = torch.cat((pairs, pairs.flip(0)), 1)
        border = core[source] & ~core[target]
        smallest = torch.full_like(labels, n).scatter_reduce(0, target[border], labels[source[border]], "amin")
        return Clusters(torch.where(smallest < n, smallest, labels), core)


def _merge(parent: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Join the sets of each pair under the smaller root; every parent is a root before and after."""
    while True:
        low, high = parent[pairs].aminmax(dim=0)
        if bool((low == high).all()):
            return parent
        parent = parent.scatter_reduce(0, high, low, "amin")
        while bool((parent != (above := parent[parent])).any()):
            parent = above


def _smallest_core(component: torch.Tensor, core: torch.Tensor) -> torch.Tensor:
    """(N,): the smallest core index of a core point's component; 0 for the others."""
    index = torch.arange(len(core), device=core.device)
    smallest = torch.full_like(index, len(core)).scatter_reduce(0, component[core], index[core], "amin")
    return torch.where(core, smallest[component], 0)


def _renumber(labels: torch.Tensor, core: torch.Tensor) -> torch.Tensor:
    """Labels (N,), -1 for noise, numbered by the smallest core index of each cluster."""
    parent = _smallest_core(labels, core)
    first = core & (parent == torch.arange(len(core), device=core.device))
    number = torch.full_like(labels, -1).scatter(0, labels[first], first.cumsum(0)[first] - 1)
    return torch.where(labels >= 0, number[labels], -1)


def _pairs_of(apart: torch.Tensor) -> Iterator[Edges]:
    """The pairs that a dense matrix of 0 and 1 was made of."""

    def block(first: int, last: int) -> Edges:
        row, col = (apart[first:last] == 0).nonzero().T
        row += first
        row, col = row[row < col], col[row < col]
        return Edges(row.int(), col.int(), torch.zeros(len(row), device=apart.device))

    return by_rows(len(apart), 32 * len(apart), 64, block)
