"""Agreement of one part with the body, clip by clip and part by part, in loops."""

import numpy as np
import torch

from airfast.models.inputs import Tokens
from tests.reference.labels import agreement


def part_features(encoder, whole, part):
    """y_HA (N, D) with every other part at its mean over all clips and frames; whole is (N, C, T, J)."""
    inputs = encoder.inputs
    read = torch.stack(inputs.read(whole, "ha", inputs.modalities), dim=1).double().numpy()  # (N, M, 3, T, P)
    held = read.copy()
    for other in range(read.shape[-1]):
        if other != part:
            for m in range(read.shape[1]):
                for c in range(3):
                    held[:, m, c, :, other] = read[:, m, c, :, other].mean()
    mean, inverse = inputs.mean_ha.double().numpy(), inputs.inverse_sd_ha.double().numpy()
    rows = []
    for clip in held:
        tokens = {}
        for m, modality in enumerate(inputs.modalities):
            values = (clip[m] - mean[m]) * inverse[m]  # (3, T, P)
            temporal = np.stack([values[:, t].T.ravel() for t in range(values.shape[1])])
            spatial = np.stack([values[:, :, p].T.ravel() for p in range(values.shape[2])])
            tokens[modality] = Tokens(*(torch.from_numpy(each).float()[None] for each in (temporal, spatial)))
        rows.append(encoder.encoder.multi(tokens, "ha")[0])
    return torch.stack(rows).detach().numpy()


def part_agreement(encoder, whole, body, parts, k):
    """(N, P) S between y_X (N, D) and each part alone."""
    return np.stack([agreement(body, part_features(encoder, whole, part), k) for part in range(parts)], axis=1)
