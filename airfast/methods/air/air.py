"""AIR: views in, named losses out (Eq. 2 to 7, METHOD 4 and 5), and new labels before every epoch (METHOD 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from warnings import warn

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.data.dataset import FEATURE_BATCH, DeviceClips
from airfast.data.motion import MotionSet
from airfast.device import Stopwatch
from airfast.errors import InputError, NonFinite, Note
from airfast.methods.air.amdl import EpochLabels, LabelLog, discrete_labels, known_nuisance
from airfast.methods.air.losses import (
    appendage_loss,
    hard_label_loss,
    inter_loss,
    intra_loss,
    refined_loss,
    variance_covariance,
)
from airfast.methods.air.optimiser import adam, refresh_heads
from airfast.methods.method import Epoch, Method, plain
from airfast.methods.shared_batch import all_rows, own_rows
from airfast.models.deployed import DeployedEncoder
from airfast.models.encoder import Encoder, drawn_apart
from airfast.models.heads import ClusterHead, Projector
from airfast.models.inputs import InputStage
from airfast.ranks import Ranks
from airfast.skeletons.layout import Layout

WITHOUT = 5  # epochs on end without two clusters, after which it is said


@dataclass(frozen=True)
class Targets:
    """What the label stage says of clips; a recorded step reads it where it stands."""

    labels: Tensor  # (B,) int64, −1 for noise
    agreement: Tensor  # (B,) float32, S of Eq. 1
    clusters: Tensor  # () int64, K of this epoch

    def of(self, batch: Tensor) -> "Targets":
        """Those of some clips (B,)."""
        return Targets(self.labels[batch], self.agreement[batch], self.clusters)


class Air(Method):
    """The pre-training graph: input stage, encoder, a projector a modality, a cluster head for X and for HA.

    Where parts have a network of their own (``air.own_parts``), they have projectors of their own too.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    deployed: DeployedEncoder

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__()
        self.config = config
        self.settings = config.air
        self.scales = self.settings.scales
        self.views = (plain,) * (len(config.modalities) + 1)  # one a modality for the singles, one for the multis
        self.deployed = DeployedEncoder(config, layout, self.scales)
        width = self.encoder.width
        self.projectors = projectors(config, width)
        own = self.encoder.part_backbone is not None
        with drawn_apart():
            self.part_projectors = projectors(config, width) if own else None
        heads = self.settings.classified
        capacity, hidden = self.settings.capacity, self.settings.head == "mlp"
        self.heads = nn.ModuleDict({scale: ClusterHead(width, capacity, hidden) for scale in heads})

    @property
    def inputs(self) -> InputStage:
        """Clips to tokens."""
        return self.deployed.inputs

    @property
    def encoder(self) -> Encoder:
        """Tokens to features."""
        return self.deployed.encoder

    # Before an epoch

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """Standardise the inputs on the training clips, and note what features are not to follow."""
        k1, _ = self.settings.cluster.neighbours(len(clips))
        if self.settings.amdl and len(clips) < k1:
            raise InputError(f"{len(clips)} clips to train on, fewer than the {k1} that air.cluster.k1 asks for")
        if self.config.inputs.standardise:
            self.inputs.fit(clips.batches(FEATURE_BATCH))
        place, count = clips.device, len(clips)
        self.names = motion.names
        self.without = 0  # epochs on end without clusters
        self.nuisance = known_nuisance(motion, self.settings.nuisance, place)
        self.log = LabelLog(motion, place)
        self.register_buffer("before", torch.full((count,), -1, device=place))  # the labels of the epoch before
        self.before: Tensor
        of_all = torch.full((count,), -1, device=place), torch.zeros(count, device=place)
        self.targets = Targets(*of_all, torch.zeros((), dtype=torch.int64, device=place))
        # Where nothing is to be left aside, all clips share one nuisance.
        self.apart = torch.zeros(count, dtype=torch.int64, device=place) if self.nuisance is None else self.nuisance

    def begin_epoch(self, epoch: int, clips: DeviceClips, optimiser: torch.optim.Optimizer) -> Epoch:
        """After the warm-up: cluster the features of all clips, refine, and restart the heads (Algorithm 1)."""
        if not self.settings.amdl or epoch < self.settings.warmup:
            return Epoch()
        clock = Stopwatch(clips.device)
        features = all_features(self, clips)
        check_finite(features, epoch)
        clock.lap("features")
        labels = self.relabel(features, optimiser)
        clock.lap("labels")
        facts = self.log.describe(labels.found, self.before if epoch > self.settings.warmup else None)
        if self.settings.cluster.eps == "auto":
            facts["eps"] = labels.found.eps
        self.before.copy_(labels.found.labels)
        self.watch(labels)
        dropping = self.settings.cluster.outliers == "drop" and labels.clusters > 0
        kept = (labels.labels >= 0).nonzero()[:, 0] if dropping else None
        return Epoch(kept, facts, clock.laps, self._table(labels))

    def watch(self, labels: EpochLabels) -> None:
        """Say so, once, when the label stage has found nothing to tell apart for WITHOUT epochs on end."""
        self.without = 0 if labels.clusters else self.without + 1
        if self.without == WITHOUT:
            key = "air.cluster"
            noise = f"only noise: a larger {key}.eps or a smaller {key}.k1"
            what = f"one cluster: a smaller {key}.eps" if labels.found.num_clusters else noise
            said = f"{WITHOUT} epochs with {what} is the first thing to try; alignment alone is trained"
            warn(Note(said), stacklevel=3)

    def relabel(self, features: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> EpochLabels:
        """Cluster, refine, and restart the heads on the clusters (METHOD 3 and Eq. 1).

        Args:
            features: y_s (N, D) of every scale, of all training clips.
            optimiser: what it remembers of the heads is forgotten with them.
        """
        labels = discrete_labels(self.settings, features, self.nuisance, self.ranks and self.ranks.group)
        self.take(labels, features, optimiser)
        return labels

    def take(self, labels: EpochLabels, features: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
        """Train towards labels: the heads restart on their clusters; without clusters alignment is all there is."""
        self.targets.labels.copy_(labels.labels)
        self.targets.agreement.copy_(labels.agreement)
        self.targets.clusters.fill_(labels.clusters)
        self.stage = 0
        if not labels.clusters:
            return
        for scale, head in self.heads.items():
            assert isinstance(head, ClusterHead)
            head.restart(features[scale], labels.labels, labels.clusters)
            self.stage = len(head.weight)  # in a recorded step the rows of a head are a constant
        refresh_heads(self.heads, optimiser)

    def _table(self, labels: EpochLabels) -> Any:
        frame = labels.found.to_frame().rename(columns={"index": "sample"})
        frame["sample"] = list(self.names)
        return frame

    # A step

    def features(self, clips: Tensor) -> dict[str, Tensor]:
        """The multi feature y_s of every scale, for clips (B, C, T, J): (B, D) each."""
        return self.deployed.features(clips)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """The terms of Eq. 7: Eq. 4 is in it in epochs that have labels.

        Args:
            views: one (B, C, T, J) a modality, in the order of the configuration, then one for the multis.
            batch: (B,) int64, the clips.
        """
        targets = self.targets.of(batch) if self.stage else None
        own = [own_rows(self.ranks, view) for view in views]
        with self.autocast(views[0]):
            features = self.features(own[-1])
            multi = {scale: all_rows(self.ranks, each, len(batch)) for scale, each in features.items()}
            projected = self.project(own[:-1], multi)
            logits = {} if targets is None else self._classify(multi, targets.clusters)
        named = self._alignment(*projected, self.apart[batch])
        if targets is not None:
            terms = self._classification({scale: each.float() for scale, each in logits.items()}, targets)
            named |= {name: self.settings.cluster.weight * term for name, term in terms.items()}
        return named

    def project(
        self, views: Sequence[Tensor], multi: dict[str, Tensor]
    ) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """Projections (B, Z) of the singles and of the multis, each by scale then modality.

        Args:
            views: one (B, C, T, J) a modality, for the singles; where ranks share a batch, this rank's rows of it.
            multi: y_s (B, D) of every scale, as :meth:`features` gives them.
        """
        single_scales = self.scales if self.settings.mgaa.single_scales == "all" else ("x",)
        singles: dict[str, list[Tensor]] = {scale: [] for scale in single_scales}
        multis: dict[str, list[Tensor]] = {scale: [] for scale in multi}
        for view, modality in zip(views, self.config.modalities, strict=True):
            for scale, feature in multi.items():
                features = [feature]
                if scale in singles:
                    tokens = self.inputs(view, scale, (modality,))[modality]
                    features.append(all_rows(self.ranks, self.encoder.single(tokens, modality, scale), len(feature)))
                many, *one = self._projectors(scale)[modality](torch.stack(features)).float().unbind()
                multis[scale].append(many)
                if scale in singles:
                    singles[scale].extend(one)
        return singles, multis

    def _projectors(self, scale: str) -> nn.ModuleDict:
        return self.projectors if scale == "x" or self.part_projectors is None else self.part_projectors

    def _classify(self, multi: dict[str, Tensor], clusters: int | Tensor) -> dict[str, Tensor]:
        return {scale: head(multi[scale], clusters) for scale, head in self.heads.items()}

    def _alignment(
        self, singles: dict[str, list[Tensor]], multis: dict[str, list[Tensor]], nuisance: Tensor
    ) -> dict[str, Tensor]:
        """Eq. 5 and Eq. 6, with the variance and covariance terms unless they are switched off.

        Parts with a network of their own follow X's singles, which do not follow them: they see less of the clip.
        """
        settings = self.settings.mgaa
        of_x = [z.detach() for z in singles["x"]] if self.settings.own_parts else singles["x"]
        aligned = {scale: singles.get(scale, of_x) for scale in multis}
        intra = torch.stack([intra_loss(aligned[scale], many) for scale, many in multis.items()]).sum()
        inter = torch.stack([inter_loss(each) for each in singles.values()]).sum()
        if not settings.vcreg:
            return {"intra": intra, "inter": inter}
        everything = [z for rows in (singles, multis) for row in rows.values() for z in row]
        regularisation = variance_covariance(everything, nuisance)
        return {"intra": settings.weight * intra, "inter": settings.weight * inter, "vcreg": regularisation}

    def _classification(self, logits: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Eq. 4: L_HA + l; without ALR (or without parts) the cross-entropy of every head on the hard labels."""
        labels, agreement, appendage = targets.labels, targets.agreement, self.settings.appendage
        if not self.settings.alr.enabled or appendage is None:
            return {f"class_{scale}": hard_label_loss(each, labels) for scale, each in logits.items()}
        named = {"class_x": refined_loss(logits["x"], logits[appendage], labels, agreement)}
        # The head of LA exists only in the parity graph, where it is trained as HA's is.
        parts = {scale: each for scale, each in logits.items() if scale != "x"}
        return named | {f"class_{scale}": appendage_loss(each, labels, agreement) for scale, each in parts.items()}

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam with coupled weight decay (Section IV-C)."""
        return adam(self, self.heads, self.config.train)


@torch.no_grad()
def all_features(method: Air, clips: DeviceClips) -> dict[str, Tensor]:
    """The multi feature of every scale for every clip, in eval mode, not augmented: (N, D) float32 each.

    On a GPU that trains in bfloat16 they come from float16: as fast, and labels do not change, which they do with
    bfloat16 (benchmarks/feature_precision.py).
    """
    place = clips.device.type
    half = place == "cuda" and method.config.train.precision != "fp32"
    method.eval()
    with torch.autocast(place, torch.float16, enabled=half):
        if method.ranks is None:
            rows = [method.features(batch) for batch in clips.batches(FEATURE_BATCH)]
        else:
            rows = in_turn(method, clips, method.ranks)
    method.train()
    return {scale: torch.cat([row[scale] for row in rows]).float() for scale in rows[0]}


def in_turn(method: Air, clips: DeviceClips, ranks: Ranks) -> list[dict[str, Tensor]]:
    """The features of all clips in the batches of one process, whose bits they have: each rank makes some of them."""
    index = torch.split(torch.arange(len(clips)), FEATURE_BATCH)
    made = [method.features(clips.whole(each)) for each in index[ranks.rank :: ranks.count]]
    rows = []
    for turn, each in enumerate(index):
        mine = made[turn // ranks.count] if turn % ranks.count == ranks.rank else {}
        empty = {scale: torch.empty(len(each), method.encoder.width) for scale in method.scales}
        rows.append({scale: ranks.tell((mine or empty)[scale].float(), turn % ranks.count) for scale in method.scales})
    return rows


def check_finite(features: dict[str, Tensor], epoch: int) -> None:
    """Raise NonFinite, with the clips, where features (N, D) of any scale hold NaN or infinity."""
    bad = torch.stack([~each.sum(dim=1).isfinite() for each in features.values()]).any(dim=0).nonzero()[:, 0]
    if len(bad):
        raise NonFinite(f"epoch {epoch + 1}, before its first batch: features are not finite", bad.tolist())


def projectors(config: Config, width: int) -> nn.ModuleDict:
    """A projector a modality."""
    return nn.ModuleDict({each: Projector(width, config.model.projection) for each in config.modalities})
