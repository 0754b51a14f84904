"""What the label stage hands out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from airfast.atomic import check_ending, replacing
from airfast.labels.cuda import interop

ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True)
class LabelSet:
    """The labels of N samples and how they came about; all tensors are on the device of the features.

    labels: (N,) int64, the cluster of each sample, -1 for noise; clusters are numbered by their smallest core index.
    agreement: (N,) float32 in [0, 1], the top-k intersection over union of two views (Eq. 1), ones without a view.
    core: (N,) bool, the core points of DBSCAN. cluster_size: (N,) int64, members of the own cluster, 0 for noise.
    eps: the largest distance of two neighbours. seconds: wall time by step. backend, reason: what ran, and why that
    one. notes: lines worth telling the user.
    """

    labels: torch.Tensor
    agreement: torch.Tensor
    core: torch.Tensor
    cluster_size: torch.Tensor
    num_clusters: int
    eps: float
    seconds: dict[str, float]
    backend: str
    reason: str
    notes: tuple[str, ...] = ()

    @property
    def noise_share(self) -> float:
        """Share of samples without a cluster, in [0, 1]."""
        return float((self.labels < 0).double().mean())

    @property
    def mean_agreement(self) -> float:
        """Mean of Eq. 1 over all samples, in [0, 1]."""
        return float(self.agreement.double().mean())

    def to_frame(self, **more: torch.Tensor) -> Any:
        """One row a sample: index, label, agreement, core, cluster_size, and whatever columns (N,) are added.

        Labels on a GPU come as a cuDF frame and stay there; on a GPU without cuDF they are copied to the host, once,
        as a pandas frame, which is what labels on the CPU are given as.
        """
        columns = {
            "index": torch.arange(len(self.labels), device=self.labels.device),
            "label": self.labels,
            "agreement": self.agreement,
            "core": self.core,
            "cluster_size": self.cluster_size,
        }
        return interop.frame(columns | more)

    def save(self, path: str | Path) -> None:
        """Write `to_frame` as Parquet or CSV, as the name ends, whole or not at all.

        Raises:
            InputError: another ending, or a path that cannot be written.
        """
        path = Path(path)
        check_ending(path, ENDINGS)
        frame = self.to_frame()
        write = frame.to_csv if path.suffix == ".csv" else frame.to_parquet
        with replacing(path) as part:
            write(part, index=False)
