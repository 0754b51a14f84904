"""What an epoch's labels look like, computed where they are: one function for pandas' frames and cuDF's."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def describe_frame(frame: Any) -> dict[str, float]:
    """Figures of a label table, as `LabelSet.to_frame` makes it; only they leave the device.

    Clusters, shares of noise and core points, mean agreement, sizes of clusters, and how far apart their mean
    agreements are. With a column `before`, the labels of the epoch before: `moved_share`, the samples that are not
    among those most of their cluster was among then. Numbers of clusters mean nothing from one epoch to the next.
    """
    inside = frame[frame["label"] >= 0]
    clusters = inside.groupby("label").agg({"agreement": "mean", "cluster_size": "max"})
    facts = {
        "clusters": len(clusters),
        "noise_share": (len(frame) - len(inside)) / len(frame),
        "core_share": float(frame["core"].astype("float64").mean()),
        "mean_agreement": float(frame["agreement"].astype("float64").mean()),
    }
    if len(clusters):
        size, agreement = clusters["cluster_size"], clusters["agreement"]
        facts |= {
            "smallest_cluster": int(size.min()),
            "median_cluster": float(size.median()),
            "largest_cluster": int(size.max()),
            "lowest_agreement": float(agreement.min()),
            "highest_agreement": float(agreement.max()),
        }
    if "before" in frame.columns:
        pairs = frame.groupby(["label", "before"], as_index=False).agg({"index": "count"})
        together = int(pairs.groupby("label")["index"].max().sum())
        facts["moved_share"] = (len(frame) - together) / len(frame)
    return facts


def contingency(known: torch.Tensor, labels: torch.Tensor, clusters: int) -> NDArray[np.int64]:
    """How often each known class (N,) ≥ 0 meets each label (N,) ≥ -1: (C, clusters + 1), noise first.

    Counted where the labels are; what is copied to the host grows with classes and clusters, not with samples.
    """
    classes = int(known.max()) + 1
    table = torch.bincount(known * (clusters + 1) + labels + 1, minlength=classes * (clusters + 1))
    return np.array(table.tolist()).reshape(classes, clusters + 1)


def adjusted_mutual_information(table: NDArray[np.int64]) -> float:
    """Of two labellings, from their contingency table (C, K); 0 for what chance gives, 1 for the same partition."""
    from sklearn.metrics import adjusted_mutual_info_score  # and with it scipy.stats: half as much to import as torch

    row, column = np.nonzero(table)
    counts = table[row, column]
    return float(adjusted_mutual_info_score(np.repeat(row, counts), np.repeat(column, counts)))
