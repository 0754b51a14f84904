"""What may be asked of the label stage: checked, and fitted to the samples and to the memory that there are."""

import math
from collections.abc import Sequence

import torch

from airfast.errors import InputError
from airfast.labels.cuda.blocks import free_bytes


def check_options(metric: str, radii: Sequence[float], counts: dict[str, int], knn: str) -> None:
    """InputError for a metric that there is not, a radius that it does not allow, a wrong count or search."""
    largest = {"jaccard": 1.0, "cosine": 2.0, "euclidean": math.inf}
    if metric not in largest:
        raise InputError(f"metric: expected {', '.join(largest)}, found '{metric}'")
    if len(radii) != 1 and (metric != "jaccard" or not radii):
        raise InputError(f"eps: expected one value for metric {metric}, found {len(radii)}")
    for eps in radii:
        if not 0 < eps <= largest[metric] or math.isinf(eps):
            limit = f"in (0, {largest[metric]:g}]" if metric != "euclidean" else "above 0"
            raise InputError(f"eps: expected a value {limit} for metric {metric}, found {eps}")
    check_search(counts, knn)


def check_search(counts: dict[str, int], knn: str) -> None:
    """Raise InputError where a count is below 1, or there is no such search."""
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name}: expected at least 1, found {value}")
    if knn not in ("exact", "hnsw", "ivf"):
        raise InputError(f"knn: expected exact, hnsw, ivf, found '{knn}'")


def fitted(n: int, k1: int, k2: int, agreement_k: int, metric: str, compared: bool) -> tuple[int, int, int, list[str]]:
    """Shrink the neighbourhoods to what N rows allow; one note for each that had to."""
    notes = []
    if metric == "jaccard" and k1 > n:
        notes.append(f"k1: {n} instead of {k1}, because there are only {n} samples")
    if compared and agreement_k > n - 1:
        notes.append(f"agreement_k: {n - 1} instead of {agreement_k}, because there are only {n} samples")
    k1 = min(k1, n)
    return k1, min(k2, k1), min(agreement_k, n - 1), notes


def checked_memory(memory_mb: int | None, device: torch.device) -> int:
    """Working memory in MB: as asked for, else half of what is free on the device."""
    if memory_mb is None:
        return max(1, free_bytes(device) >> 21)
    if memory_mb < 1:
        raise InputError(f"memory_mb: expected at least 1, found {memory_mb}")
    return memory_mb
