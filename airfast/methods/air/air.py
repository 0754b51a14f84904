"""One training step of AIR: views in, named losses out (Eq. 2 to 7, METHOD 4 and 5)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.methods.air.losses import (
    appendage_loss,
    hard_label_loss,
    inter_loss,
    intra_loss,
    refined_loss,
    variance_covariance,
)
from airfast.models.encoder import Encoder, drawn_apart
from airfast.models.heads import ClusterHead, Projector
from airfast.models.inputs import InputStage
from airfast.skeletons.layout import Layout


@dataclass(frozen=True)
class Targets:
    """What the label stage says of a batch."""

    labels: Tensor  # (B,) int64, −1 for noise
    agreement: Tensor  # (B,) float32, S of Eq. 1
    clusters: int | Tensor  # K of this epoch; () int64 inside a step, so that a captured one does not hold a number


class Air(nn.Module):
    """The pre-training graph: input stage, encoder, a projector a modality, a cluster head for X and for HA.

    Where parts have a network of their own (``model.own_parts``), they have projectors of their own too.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__()
        self.config = config
        self.inputs = InputStage(layout, config.modalities, config.scales)
        self.encoder = Encoder.of(config, self.inputs.parts)
        width = self.encoder.width
        self.projectors = projectors(config, width)
        own = self.encoder.part_backbone is not None
        with drawn_apart():
            self.part_projectors = projectors(config, width) if own else None
        self.heads = nn.ModuleDict(
            {scale: ClusterHead(width, config.model.capacity, config.model.head == "mlp") for scale in config.heads}
        )

    @property
    def views_wanted(self) -> int:
        """Independent views of a clip a step needs: one a modality for the singles, one for the multis."""
        return len(self.config.modalities) + 1

    def features(self, clips: Tensor) -> dict[str, Tensor]:
        """The multi feature y_s of every scale, for clips (B, C, T, J): (B, D) each."""
        return {scale: self.encoder.multi(self.inputs(clips, scale), scale) for scale in self.config.scales}

    def losses(self, views: list[Tensor], nuisance: Tensor, targets: Targets | None) -> dict[str, Tensor]:
        """The terms of Eq. 7 for one batch, each already weighted: their sum is the loss.

        Args:
            views: one (B, C, T, J) a modality, in the order of the configuration, then one for the multis.
            nuisance: (B,) int64, what is known of the batch and is not to set its projections apart.
            targets: the batch's discrete labels; None while warming up or where an epoch found too few clusters.
        """
        precision = self.config.train.precision
        half = precision == "bf16" or (precision == "auto" and views[0].is_cuda)
        with torch.autocast(views[0].device.type, torch.bfloat16, enabled=half):
            multi = self.features(views[-1])
            projected = self.project(views[:-1], multi)
            logits = {} if targets is None else self._classify(multi, targets.clusters)
        named = self._alignment(*projected, nuisance)
        if targets is not None:
            terms = self._classification({scale: each.float() for scale, each in logits.items()}, targets)
            named |= {name: self.config.cluster.weight * term for name, term in terms.items()}
        return named

    def project(
        self, views: list[Tensor], multi: dict[str, Tensor]
    ) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """Projections (B, Z) of the singles and of the multis, each by scale then modality.

        Args:
            views: one (B, C, T, J) a modality, for the singles.
            multi: y_s (B, D) of every scale, as :meth:`features` gives them.
        """
        single_scales = self.config.scales if self.config.mgaa.single_scales == "all" else ("x",)
        singles: dict[str, list[Tensor]] = {scale: [] for scale in single_scales}
        multis: dict[str, list[Tensor]] = {scale: [] for scale in multi}
        for view, modality in zip(views, self.config.modalities, strict=True):
            for scale, feature in multi.items():
                features = [feature]
                if scale in singles:
                    tokens = self.inputs(view, scale, (modality,))[modality]
                    features.append(self.encoder.single(tokens, modality, scale))
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
        settings = self.config.mgaa
        of_x = [z.detach() for z in singles["x"]] if self.config.model.own_parts else singles["x"]
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
        labels, agreement, appendage = targets.labels, targets.agreement, self.config.appendage
        if not self.config.alr.enabled or appendage is None:
            return {f"class_{scale}": hard_label_loss(each, labels) for scale, each in logits.items()}
        named = {"class_x": refined_loss(logits["x"], logits[appendage], labels, agreement)}
        # The head of LA exists only in the parity graph, where it is trained as HA's is.
        parts = {scale: each for scale, each in logits.items() if scale != "x"}
        return named | {f"class_{scale}": appendage_loss(each, labels, agreement) for scale, each in parts.items()}

    def restart_heads(self, features: dict[str, Tensor], labels: Tensor, clusters: int) -> None:
        """Set every head to the centroids of this epoch's clusters; features and labels are of all N samples."""
        for scale, head in self.heads.items():
            assert isinstance(head, ClusterHead)
            head.restart(features[scale], labels, clusters)


def projectors(config: Config, width: int) -> nn.ModuleDict:
    """A projector a modality."""
    return nn.ModuleDict({each: Projector(width, config.model.projection) for each in config.modalities})
