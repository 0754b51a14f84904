"""How far each appendage alone agrees with the whole body on who is near whom (Eq. 1, one part at a time)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from airfast.data.dataset import FEATURE_BATCH, DeviceClips
from airfast.labels.choose import resolve
from airfast.labels.seam import Neighbours
from airfast.methods.air.amdl import seen
from airfast.models.deployed import DeployedEncoder
from airfast.models.inputs import Tokens, tokenise
from airfast.plots.run_features import RunFeatures
from airfast.skeletons.modalities import Modality

MEMORY_MB = 1024
"""Working memory of a neighbour search; its result does not depend on it."""

Read = dict[Modality, Tensor]  # (B, 3, T, P): a modality of the parts, as the encoder reads it


def part_agreement(encoder: DeployedEncoder, features: RunFeatures, device: torch.device) -> Tensor:
    """S of Eq. 1 between the whole body X and the part skeleton HA of which one part is left: (N, P) float32.

    For a part p the encoder reads HA with every other part held still at its mean over all clips and frames, so that
    all that tells clips apart is what p does: y_HA|p. Then, for clip i,

        S[i, p] = |R_k(y_X, i) ∩ R_k(y_HA|p, i)| / |R_k(y_X, i) ∪ R_k(y_HA|p, i)|

    with the k (``air.alr.k``) nearest clips in unit-norm features, i itself excluded, and the features centred as the
    label stage of the run centres them. S is what ALR would trust a label by if that limb were all there is. The
    paper shows such scores by part (Fig. 8) without saying how they are made: this definition is ours.

    Args:
        encoder: of a run with part skeletons; its scales include x and ha.
        features: of the run's clips by the same encoder.
        device: where the encoder runs.
    """
    clips = DeviceClips.from_motion(features.motion, encoder.config.inputs, device)
    encoder = encoder.to(device).eval()
    k = min(encoder.config.air.alr.k, len(clips) - 1)
    backend, _ = resolve("auto", torch.device("cpu"))

    def neighbours(rows: Tensor) -> Neighbours:
        return backend.knn(F.normalize(rows, dim=1), k + 1, "exact", MEMORY_MB)

    whole = neighbours(features.view("x"))
    still = means(encoder, clips)
    columns = []
    for part in range(encoder.inputs.parts["ha"]):
        rows = torch.cat([only(encoder, each, still, part) for each in reads(encoder, clips)]).cpu()
        columns.append(backend.agree(whole, neighbours(seen(rows, features.nuisance)), k))
    return torch.stack(columns, dim=1)


def reads(encoder: DeployedEncoder, clips: DeviceClips) -> Iterator[Read]:
    """HA of every clip, whole and not augmented, in batches and in order."""
    for batch in clips.batches(FEATURE_BATCH):
        tokens: Mapping[Modality, Tokens] = encoder.inputs(batch, "ha")
        yield {modality: untokenised(each.spatial) for modality, each in tokens.items()}


def untokenised(spatial: Tensor) -> Tensor:
    """Spatial tokens (B, P, 3·T) back to (B, 3, T, P); `tokenise` is the inverse."""
    batch, parts, _ = spatial.shape
    return spatial.reshape(batch, parts, -1, 3).permute(0, 3, 2, 1)


def means(encoder: DeployedEncoder, clips: DeviceClips) -> Read:
    """The mean of every coordinate of every part over all clips and frames: (1, 3, 1, P) a modality."""
    sums: Read = {}
    for read in reads(encoder, clips):
        for modality, values in read.items():
            sums[modality] = sums.get(modality, 0) + values.double().mean(dim=2, keepdim=True).sum(dim=0, keepdim=True)
    return {modality: (total / len(clips)).float() for modality, total in sums.items()}


@torch.no_grad()
def only(encoder: DeployedEncoder, read: Read, still: Read, part: int) -> Tensor:
    """The multi feature of HA (B, D) with every part but one held still."""
    tokens = {}
    for modality, values in read.items():
        kept = still[modality].expand_as(values).clone()
        kept[..., part] = values[..., part]
        tokens[modality] = tokenise(kept)
    feature: Tensor = encoder.encoder.multi(tokens, "ha")
    return feature.float()
