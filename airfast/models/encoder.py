"""The AIR encoder: "a simple Transformer, 1 layer, 1 head" (Section IV-C) on temporal and spatial tokens (METHOD 2)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from airfast.config import Config, Pooling
from airfast.models.inputs import Tokens
from airfast.skeletons.modalities import Modality


@contextmanager
def drawn_apart() -> Iterator[None]:
    """Draw initial weights from numbers of their own, which follow from the seed and the place.

    What is built afterwards has the weights that it would have without: X starts alike with and without parts.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), device="cpu")))
        yield


class StreamEmbedding(nn.Sequential):
    """Linear · LayerNorm · ReLU · Linear: one stream's tokens (B, L, in) to (B, L, H)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))


class TokenEmbedding(nn.Module):
    """MS_Emb of METHOD 2: the temporal and the spatial stream of one scale."""

    def __init__(self, parts: int, frames: int, hidden: int) -> None:
        super().__init__()
        self.temporal = StreamEmbedding(3 * parts, hidden)
        self.spatial = StreamEmbedding(3 * frames, hidden)

    def forward(self, tokens: Tokens) -> Tokens:
        """Temporal (B, T, 3·P) and spatial (B, P, 3·T) tokens to (B, T, H) and (B, P, H)."""
        return Tokens(self.temporal(tokens.temporal), self.spatial(tokens.spatial))


class TransformerLayer(nn.Module):
    """One post-norm layer, one head, feed-forward of the same width, no dropout: 6H² + 10H parameters."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.feed_forward = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.norm_attention = nn.LayerNorm(hidden)
        self.norm_feed_forward = nn.LayerNorm(hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, H) to (B, L, H)."""
        query, key, value = self.query_key_value(tokens).chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        tokens = self.norm_attention(tokens + self.output(attended))
        normed: Tensor = self.norm_feed_forward(tokens + self.feed_forward(tokens))
        return normed


class Backbone(nn.Module):
    """F of METHOD 2 and the fusion before it: embedded tokens to one feature a clip, on both streams.

    Args:
        frames: T, frames a clip is resampled to.
        hidden: H, width of every token.
        pooling: how tokens become one vector, in order; the feature has ``2·H·len(pooling)`` entries.
    """

    def __init__(self, frames: int, hidden: int, pooling: Sequence[Pooling]) -> None:
        super().__init__()
        self.pooling = tuple(pooling)
        self.fuse_temporal = nn.Linear(hidden, hidden, bias=False)
        self.fuse_spatial = nn.Linear(hidden, hidden, bias=False)
        self.temporal_layer = TransformerLayer(hidden)
        self.spatial_layer = TransformerLayer(hidden)
        self.register_buffer("position", sinusoids(frames, hidden), persistent=False)
        self.position: Tensor

    def forward(self, embedded: Tokens) -> Tensor:
        """Embedded tokens (B, T, H) and (B, P, H) to features (B, D)."""
        temporal = self.temporal_layer(embedded.temporal + self.position)  # (B, T, H)
        spatial = self.spatial_layer(embedded.spatial)  # (B, P, H)
        pooled = [pool(stream, how) for stream in (temporal, spatial) for how in self.pooling]
        return torch.cat(pooled, dim=-1)  # (B, D)

    def fused(self, embedded: Sequence[Tokens]) -> Tensor:
        """Embedded tokens of several modalities to one feature (B, D)."""
        temporal = torch.stack([each.temporal for each in embedded]).mean(0)
        spatial = torch.stack([each.spatial for each in embedded]).mean(0)
        feature: Tensor = self(Tokens(self.fuse_temporal(temporal), self.fuse_spatial(spatial)))
        return feature


class Encoder(nn.Module):
    """Skeleton tokens to one feature a clip, on one modality (single) or on all of them at one scale (multi).

    Args:
        parts: how many joints or parts each scale has, e.g. ``{"x": 21, "la": 10, "ha": 5}``. Only scale x is needed
            once the encoder is deployed.
        modalities: which of joint, bone and motion it reads; scale x has one embedding for each, LA and HA one that
            all modalities share.
        frames: T, frames a clip is resampled to.
        hidden: H, width of every token.
        pooling: how tokens become one vector, in order; the feature has ``2·H·len(pooling)`` entries.
        own_parts: whether LA and HA have a backbone of their own, or go through X's as in the paper.

    Source: METHOD 2; parameters by its formula (tested).
    """

    def __init__(
        self,
        parts: Mapping[str, int],
        modalities: Sequence[Modality],
        frames: int,
        hidden: int,
        pooling: Sequence[Pooling] = ("max",),
        own_parts: bool = False,
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.width = 2 * hidden * len(pooling)
        with drawn_apart():
            shared = {scale: TokenEmbedding(count, frames, hidden) for scale, count in parts.items() if scale != "x"}
        self.embed_x = nn.ModuleDict({each: TokenEmbedding(parts["x"], frames, hidden) for each in self.modalities})
        self.embed_parts = nn.ModuleDict(shared)
        self.backbone = Backbone(frames, hidden, pooling)
        with drawn_apart():
            self.part_backbone = Backbone(frames, hidden, pooling) if own_parts and shared else None

    @classmethod
    def of(cls, config: Config, parts: Mapping[str, int]) -> "Encoder":
        """The encoder that a configuration asks for; ``parts`` as of the class."""
        model, inputs = config.model, config.inputs
        return cls(parts, config.modalities, inputs.frames, model.hidden, inputs.pooling, config.air.own_parts)

    def single(self, tokens: Tokens, modality: Modality, scale: str = "x") -> Tensor:
        """Feature of one modality at one scale (x, la or ha): tokens as of :class:`TokenEmbedding` to (B, D)."""
        feature: Tensor = self._backbone(scale)(self._embed(tokens, modality, scale))
        return feature

    def multi(self, tokens: Mapping[Modality, Tokens], scale: str = "x") -> Tensor:
        """Feature of all modalities together at one scale (x, la or ha): (B, D)."""
        return self._backbone(scale).fused([self._embed(tokens[each], each, scale) for each in self.modalities])

    def _embed(self, tokens: Tokens, modality: Modality, scale: str) -> Tokens:
        embedding = self.embed_x[modality] if scale == "x" else self.embed_parts[scale]
        embedded: Tokens = embedding(tokens)
        return embedded

    def _backbone(self, scale: str) -> Backbone:
        return self.backbone if scale == "x" or self.part_backbone is None else self.part_backbone


def pool(tokens: Tensor, how: Pooling) -> Tensor:
    """(B, L, H) to (B, H) over the tokens."""
    return tokens.amax(dim=1) if how == "max" else tokens.mean(dim=1)


def sinusoids(length: int, width: int) -> Tensor:
    """Sinusoidal position encoding (length, width) of "Attention is all you need", Section 3.5."""
    time = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    code = torch.zeros(length, width)
    code[:, 0::2] = torch.sin(time * rate)
    code[:, 1::2] = torch.cos(time * rate[: width // 2])
    return code
