"""UmURL (Sun et al., ACM MM 2023) from torch's own layers, written from its paper: for three modalities, one person."""

import math

import torch
from torch import nn

MODALITIES = ("joint", "bone", "motion")


def layer(hidden):
    return nn.TransformerEncoderLayer(hidden, 1, hidden, dropout=0.0, batch_first=True)


def embedding(width, hidden):
    return nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))


def projector(width, projection):
    blocks = [nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()]
    blocks += [nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, projection)]
    return nn.Sequential(*blocks)


class UmURL(nn.Module):
    def __init__(self, joints, parents, frames, hidden, projection):
        super().__init__()
        self.parents = parents
        self.in_time = nn.ModuleDict({each: embedding(3 * joints, hidden) for each in MODALITIES})
        self.in_space = nn.ModuleDict({each: embedding(3 * frames, hidden) for each in MODALITIES})
        self.fuse_time, self.fuse_space = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))
        self.time, self.space = layer(hidden), layer(hidden)
        self.project = nn.ModuleDict({each: projector(2 * hidden, projection) for each in MODALITIES})

    def read(self, clips, modality):
        """Tokens of frames (B, T, 3J) and of joints (B, J, 3T)."""
        if modality == "bone":
            clips = torch.stack([clips[..., j] - clips[..., max(p, 0)] for j, p in enumerate(self.parents)], dim=-1)
            clips[..., self.parents.index(-1)] = 0
        if modality == "motion":
            moved = torch.zeros_like(clips)
            moved[:, :, :-1] = clips[:, :, 1:] - clips[:, :, :-1]
            clips = moved
        return clips.permute(0, 2, 3, 1).flatten(2), clips.permute(0, 3, 2, 1).flatten(2)

    def embed(self, clips, modality):
        in_time, in_space = self.read(clips, modality)
        return self.in_time[modality](in_time), self.in_space[modality](in_space)

    def encode(self, in_time, in_space):
        _, frames, hidden = in_time.shape
        position = torch.zeros(frames, hidden)
        for t in range(frames):
            for i in range(0, hidden, 2):
                position[t, i] = math.sin(t / 10_000 ** (i / hidden))
                position[t, i + 1] = math.cos(t / 10_000 ** (i / hidden))
        return torch.cat([self.time(in_time + position).amax(1), self.space(in_space).amax(1)], dim=1)

    def losses(self, views):
        """5·intra, 5·inter and the variance and covariance terms of views j, b, m and the multi-modal one."""
        single, multi = {}, {}
        for modality, view in zip(MODALITIES, views, strict=False):
            single[modality] = self.project[modality](self.encode(*self.embed(view, modality)))
        embedded = [self.embed(views[-1], each) for each in MODALITIES]
        in_time, in_space = (sum(each) / 3 for each in zip(*embedded, strict=True))
        fused = self.encode(self.fuse_time(in_time), self.fuse_space(in_space))
        for modality in MODALITIES:
            multi[modality] = self.project[modality](fused)
        centre = sum(single.values()) / 3
        intra = sum(((single[each] - multi[each]) ** 2).mean() for each in MODALITIES)
        inter = sum(((single[each] - centre) ** 2).mean() for each in MODALITIES)
        return 5 * intra, 5 * inter, sum(map(variance_covariance, [*single.values(), *multi.values()]))


def variance_covariance(z):
    samples, width = z.shape
    deviation = torch.sqrt(z.var(dim=0) + 1e-4)
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (samples - 1)
    off = covariance - torch.diag(torch.diag(covariance))
    return 5 * torch.relu(1 - deviation).mean() + (off**2).sum() / width


def load_weights(reference: UmURL, ours: nn.Module) -> dict[str, str]:
    """Give the reference our weights; returns our name of each of its parameters."""
    names = {}
    for modality in MODALITIES:
        for theirs, stream in (("in_time", "temporal"), ("in_space", "spatial")):
            names[f"{theirs}.{modality}"] = f"deployed.encoder.embed_x.{modality}.{stream}"
        names[f"project.{modality}"] = f"projectors.{modality}"
    for theirs, stream in (("time", "temporal"), ("space", "spatial")):
        names[f"fuse_{theirs}"] = f"deployed.encoder.backbone.fuse_{stream}"
        layer = f"deployed.encoder.backbone.{stream}_layer"
        names |= {
            f"{theirs}.self_attn.in_proj_{each}": f"{layer}.query_key_value.{each}" for each in ("weight", "bias")
        }
        names |= {f"{theirs}.self_attn.out_proj": f"{layer}.output"}
        names |= {f"{theirs}.linear1": f"{layer}.feed_forward.0", f"{theirs}.linear2": f"{layer}.feed_forward.2"}
        names |= {f"{theirs}.norm1": f"{layer}.norm_attention", f"{theirs}.norm2": f"{layer}.norm_feed_forward"}
    weights, matching = ours.state_dict(), {}
    for name in reference.state_dict():
        theirs = max((each for each in names if name == each or name.startswith(each + ".")), key=len)
        matching[name] = names[theirs] + name.removeprefix(theirs)
    reference.load_state_dict({name: weights[mine] for name, mine in matching.items()})
    return {name: matching[name] for name, _ in reference.named_parameters()}
