"""The label stage: knn → encode → edges → cluster → agree → LabelSet (METHOD section 3 and Eq. 1)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, overload

import torch

from airfast.errors import InputError
from airfast.labels.choose import over_ranks, resolve
from airfast.labels.features import as_matrix, finite_rows, unit_rows
from airfast.labels.groups import Groups, allowed, checked_groups, encode_groups, grouped_neighbours
from airfast.labels.options import check_options, checked_memory, fitted
from airfast.labels.result import LabelSet
from airfast.labels.seam import Backend, Clusters, Edges, Encoding, Neighbours, smallest_overlap
from airfast.ranks import Ranks

Result = TypeVar("Result")
STEPS = {  # and what is said of each; edges are found while they are clustered
    "knn": "searching neighbours",
    "encode": "encoding reciprocal sets",
    "edges": "",
    "cluster": "joining pairs within eps into clusters",
    "agree": "comparing the views",
}


@overload
def generate_labels(
    features: Any,
    view: Any = None,
    *,
    metric: str = "jaccard",
    eps: float = 0.6,
    min_samples: int = 4,
    k1: int | tuple[int, int] = 30,
    k2: int | tuple[int, int] = 6,
    groups: Any = None,
    cannot_link: bool = False,
    agreement_k: int = 20,
    knn: str = "exact",
    dbscan: str = "auto",
    backend: str | Backend = "auto",
    memory_mb: int | None = None,
    verbose: bool | Callable[[str], None] = False,
    group: Any = None,
) -> LabelSet: ...


@overload
def generate_labels(
    features: Any,
    view: Any = None,
    *,
    metric: str = "jaccard",
    eps: Sequence[float],
    min_samples: int = 4,
    k1: int | tuple[int, int] = 30,
    k2: int | tuple[int, int] = 6,
    groups: Any = None,
    cannot_link: bool = False,
    agreement_k: int = 20,
    knn: str = "exact",
    dbscan: str = "auto",
    backend: str | Backend = "auto",
    memory_mb: int | None = None,
    verbose: bool | Callable[[str], None] = False,
    group: Any = None,
) -> tuple[LabelSet, ...]: ...


def generate_labels(
    features: Any,
    view: Any = None,
    *,
    metric: str = "jaccard",
    eps: float | Sequence[float] = 0.6,
    min_samples: int = 4,
    k1: int | tuple[int, int] = 30,
    k2: int | tuple[int, int] = 6,
    groups: Any = None,
    cannot_link: bool = False,
    agreement_k: int = 20,
    knn: str = "exact",
    dbscan: str = "auto",
    backend: str | Backend = "auto",
    memory_mb: int | None = None,
    verbose: bool | Callable[[str], None] = False,
    group: Any = None,
) -> LabelSet | tuple[LabelSet, ...]:
    """Cluster N feature vectors into discrete labels and measure how far two views of them agree.

    features: (N, D) floating tensor on any device, or NumPy array; rows are brought to unit length.
    view: an (N, D2) tensor to compare with `features` by Eq. 1, a pair of such tensors to compare with each other, or
    None for an agreement of ones. metric: jaccard (k-reciprocal, METHOD 3) with eps in (0, 1]; cosine (1 − cosine
    similarity) with eps in (0, 2]; euclidean, on the features as given, with eps > 0. k1 and agreement_k beyond N
    shrink to what N allows, and `notes` says so. Of several eps (metric jaccard) there is one search, one encoding and
    one join, at the largest, and a LabelSet each, in the order given; their `seconds` are those of all together.
    groups: (N,) integers or names, the camera, action or person of each row. With them k1 and k2 may be pairs (within,
    across): neighbours are drawn from a row's own group, itself included, and from the others apart (CA-Jaccard; see
    groups.py). cannot_link: DBSCAN takes no two rows of one group for neighbours; a third may still join them. knn:
    exact, hnsw or ivf. dbscan, on a GPU: cuml, graph (components of the pairs within eps), or auto, cuML where it is
    installed and its dense matrix fits; labels are the same. memory_mb bounds the working memory of the stage in MB,
    beside its input and output; the result does not depend on it. backend: auto, cpu, cuda, or a `Backend` made by the
    caller. verbose: print each step when it begins, with the seconds gone by, or hand the line to a function. group: a
    process group of torch.distributed (gloo), each of whose ranks makes this call with the same arguments: they share
    the work, on the CPU, and each is given the labels that one would find alone; memory_mb bounds each.

    Raises InputError for unusable features, views or options; RuntimeError where another rank is gone.
    Source: METHOD section 3, Eq. 1.
    """
    radii = (eps,) if isinstance(eps, int | float) else tuple(eps)
    matrix = as_matrix(features, "features")
    n, home = len(matrix), matrix.device
    device, reason = resolve(backend, home, dbscan) if isinstance(backend, str) else (backend, "given")
    known = checked_groups(groups, k1, k2, cannot_link, metric, knn, n, device.device)
    k1, k2 = (k1, k2) if isinstance(k1, int) and isinstance(k2, int) else (1, 1)  # pairs are checked with the groups
    check_options(metric, radii, {"min_samples": min_samples, "k1": k1, "k2": k2, "agreement_k": agreement_k}, knn)
    if cannot_link and metric == "jaccard" and max(radii) >= 1:
        raise InputError("eps: expected less than 1 with cannot_link, where nothing is looked at one by one")
    memory = checked_memory(memory_mb, device.device)
    views = _views(view, matrix, device.device)
    matrix = matrix.to(device.device)
    ranks = None if group is None else Ranks(group)
    if ranks is not None:
        asked = f"{metric=}, eps={radii}, {min_samples=}, {k1=}, {k2=}, {agreement_k=}, {cannot_link=}"
        device = over_ranks(device, ranks, knn, known)
        device.check_same(asked, matrix, *views, *([] if known is None else [known.codes]))
    clock = _Clock(device.device, print if verbose is True else verbose or None)
    k1, k2, agreement_k, notes = fitted(n, k1, k2, agreement_k, metric, bool(views))
    if metric == "euclidean" and len(views) != 1:
        rows = unit = finite_rows(matrix, "features")  # no direction is asked for: a zero row is as good as any
    else:
        unit = unit_rows(matrix, "features")
        rows = finite_rows(matrix, "features") if metric == "euclidean" else unit

    def search(rows: torch.Tensor, k: int) -> Neighbours:
        near = clock.run("knn", lambda: device.knn(rows, k, knn, memory))
        if near.recall is not None:
            notes.append(f"knn {knn}: recall@{k} is {near.recall:.4f} on a sample of rows")
        return near

    own = None  # the neighbours of `features`, if they are needed
    if metric == "jaccard":
        if known is not None and known.k1 is not None:
            notes.extend(known.notes())
            lists = clock.run("knn", lambda: grouped_neighbours(unit, known, device, memory))
            encode = partial(encode_groups, unit, lists, known, memory)
        else:
            own = search(unit, max(k1, agreement_k + 1) if len(views) == 1 else k1)
            encode = partial(device.encode, unit, own, k1, k2, memory)
        encoding = clock.run("encode", encode) if min(radii) < 1 else None
        found = _cluster_jaccard(device, clock, n, encoding, known, radii, min_samples, memory)
    else:
        radius = radii[0] if metric == "euclidean" else math.sqrt(2 * radii[0])
        if dbscan == "cuml" and not cannot_link:
            found = [clock.run("cluster", lambda: _cuml_in_space(rows, radius, min_samples))]
        else:
            pairs = allowed(device.near(rows, radius, memory), known)
            found = [_cluster_pairs(device, clock, pairs, n, min_samples)]

    agreement = torch.ones(n, device=unit.device)
    if views:
        compared = [search(v, agreement_k + 1) for v in views]
        if len(compared) == 1:
            compared.append(own if own is not None else search(unit, agreement_k + 1))
        agreement = clock.run("agree", lambda: device.agree(compared[0], compared[1], agreement_k))
    if ranks is not None:
        notes.append(ranks.account(sum(clock.seconds.values())))
    about = (agreement.to(home), clock.seconds, device.name, reason, notes)
    placed = [Clusters(each.labels.to(home), each.core.to(home)) for each in found]
    sets = [_label_set(each, radius, *about) for each, radius in zip(placed, radii, strict=True)]
    return sets[0] if isinstance(eps, int | float) else tuple(sets)


def _cluster_jaccard(
    device: Backend,
    clock: "_Clock",
    n: int,
    encoding: Encoding | None,
    known: Groups | None,
    radii: Sequence[float],
    min_samples: int,
    memory: int,
) -> list[Clusters]:
    inside = [eps for eps in radii if eps < 1]
    found: dict[float, Clusters] = {}
    if len(inside) < len(radii):  # a Jaccard distance never exceeds 1: every pair is within, and none need be looked at
        whole = torch.full((n,), n >= min_samples, device=device.device)
        found[1.0] = Clusters(torch.where(whole, 0, -1), whole)
    if encoding is not None:
        pairs = allowed(device.edges(encoding, max(inside), memory), known)
        if len(set(inside)) == 1:
            found[inside[0]] = _cluster_pairs(device, clock, pairs, n, min_samples)
        else:
            kept = list(clock.iterate("edges", pairs))
            for eps in set(inside):
                some = (block.within(smallest_overlap(eps, encoding.one)) for block in kept)
                found[eps] = clock.run("cluster", lambda some=some: device.cluster(some, n, min_samples))  # type: ignore[misc]
    return [found[min(eps, 1.0)] for eps in radii]


def _cluster_pairs(device: Backend, clock: "_Clock", pairs: Iterator[Edges], n: int, min_samples: int) -> Clusters:
    """Pairs are found while they are consumed; what finding them took is not counted as clustering."""
    clusters = clock.run("cluster", lambda: device.cluster(clock.iterate("edges", pairs), n, min_samples))
    clock.seconds["cluster"] -= clock.seconds["edges"]
    return clusters


def _cuml_in_space(rows: torch.Tensor, radius: float, min_samples: int) -> Clusters:
    """DBSCAN with cuML's own distances; `resolve` has made sure that there is a cuML to ask."""
    from airfast.labels.cuda.dbscan import cuml_in_space

    return cuml_in_space(rows, radius, min_samples)


def _label_set(
    clusters: Clusters,
    eps: float,
    agreement: torch.Tensor,
    seconds: dict[str, float],
    name: str,
    reason: str,
    notes: list[str],
) -> LabelSet:
    labels = clusters.labels
    count = int(labels.max()) + 1
    members = torch.bincount(labels + 1, minlength=count + 1)
    members[0] = 0  # noise
    size = members[labels + 1]
    return LabelSet(labels, agreement, clusters.core, size, count, eps, seconds, name, reason, tuple(notes))


class _Clock:
    """Adds up wall seconds by step; waits for the device where there is one, or the figures would mean nothing."""

    def __init__(self, device: torch.device, say: Callable[[str], None] | None) -> None:
        self.device, self.say = device, say
        self.begun, self.step = time.perf_counter(), ""
        self.seconds = dict.fromkeys(STEPS, 0.0)

    def run(self, step: str, work: Callable[[], Result]) -> Result:
        if self.say is not None and STEPS[step] and step != self.step:
            self.step = step
            self.say(f"label stage, {time.perf_counter() - self.begun:.1f} s: {STEPS[step]}")
        started = self._now()
        result = work()
        self.seconds[step] += self._now() - started
        return result

    def iterate(self, step: str, blocks: Iterator[Edges]) -> Iterator[Edges]:
        while (block := self.run(step, lambda: next(blocks, None))) is not None:
            yield block

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _views(view: Any, features: torch.Tensor, device: torch.device) -> list[torch.Tensor]:
    """The views as unit rows on the working device: none, one to be compared with the features, or two."""
    if view is None:
        return []
    pair = view if isinstance(view, tuple | list) else (view,)
    if len(pair) > 2:
        raise InputError(f"view: expected one array or a pair of arrays, found {len(pair)}")
    matrices = [as_matrix(v, "view") for v in pair]
    for matrix in matrices:
        if len(matrix) != len(features):
            raise InputError(f"view: expected {len(features)} rows as in features, found {len(matrix)}")
        if matrix.device != features.device:
            raise InputError(f"view: expected device {features.device} as of features, found {matrix.device}")
    return [unit_rows(matrix.to(device), "view") for matrix in matrices]
