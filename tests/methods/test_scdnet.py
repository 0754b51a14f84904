"""SCD-Net: its networks, masks and losses, against slow ones."""

import pytest
import torch

from airfast.config import load_config
from airfast.data import augment, recipes
from airfast.data.dataset import DeviceClips
from airfast.methods.contrast import info_nce
from airfast.models.ctrgcn import CTRGCN, DualEncoder, Refinement
from airfast.skeletons.graph import spatial_subsets
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import begin

KINECT = load_layout("kinect25")
BATCH = torch.arange(8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def size(network):
    return sum(each.numel() for each in network.parameters())


def unit(a, b, r, j, outer):
    d = b // 4
    known = 3 * (2 * (a * r + r) + a * b + b + r * b + b) + 3 * j**2 + 1 + 2 * b
    return known + 4 * (b * d + 3 * d) + 2 * (5 * d**2 + 3 * d) + 2 * d + (1 + outer) * (a * b + 3 * b)


def test_sizes_of_the_published_network():
    graph = 6 * 25 + unit(3, 64, 8, 25, 0) + unit(64, 256, 8, 25, 1) + unit(256, 64, 32, 25, 1)  # FAMILY 3
    with torch.device("meta"):
        assert size(CTRGCN(KINECT)) == graph
        assert round(graph / 1e6, 3) == 0.364
        encoder = DualEncoder(KINECT, 64, 2048, 8)
    assert size(encoder) == 2 * graph + 64 * 2048 * (25 + 64) + 14 * 2048**2 + 28 * 2048
    assert round(size(encoder) / 1e6, 2) == 71.17
    assert encoder.width == 4096


def test_a_refined_graph_by_its_formula():
    subsets = spatial_subsets(KINECT.parents)
    layer, x = Refinement(subsets, 16, 8).eval(), torch.randn(2, 16, 5, 25)
    assert torch.equal(layer.graph, subsets)
    assert layer.alpha.item() == 0
    assert layer.norm.weight.unique().tolist() == [pytest.approx(1e-6)]
    torch.nn.init.ones_(layer.norm.weight)
    torch.nn.init.constant_(layer.alpha, 0.7)
    torch.nn.init.normal_(layer.graph)
    heard = 0
    for k in range(3):
        here, there = layer.first[k](x).mean(dim=2), layer.second[k](x).mean(dim=2)
        graph = torch.empty(2, 8, 25, 25)
        for listener in range(25):
            for other in range(25):
                apart = torch.tanh(there[:, :, other] - here[:, :, listener])
                graph[:, :, other, listener] = layer.graph[k, other, listener] + 0.7 * layer.widen[k](
                    apart[..., None, None]
                ).squeeze(dim=(2, 3))
        heard = heard + torch.einsum("bctv,bcvu->bctu", layer.value[k](x), graph)
    torch.testing.assert_close(layer(x), torch.relu(layer.norm(heard) + layer.shortcut(x)), atol=1e-4, rtol=1e-4)


def test_clues_are_of_frames_and_of_joints():
    encoder, x = DualEncoder(KINECT, 16, 16, 4).eval(), torch.randn(2, 3, 16, 25)
    temporal, spatial = encoder.clues(x)
    torch.testing.assert_close(encoder(x), torch.cat([temporal, spatial], dim=1))
    maps = encoder.of_frames(x)
    tokens = torch.stack([maps[:, :, t].transpose(1, 2).flatten(1) for t in range(16)], dim=1)  # (B, T, J·64)
    mixed = tokens[:, torch.randperm(16)]
    torch.testing.assert_close(encoder.temporal(mixed), temporal)  # no position, a maximum over tokens
    states = encoder.temporal.layer(encoder.temporal.embed(tokens))
    torch.testing.assert_close(temporal, states.max(dim=1).values)
    maps = encoder.of_joints(x)
    tokens = torch.stack([maps[..., j].transpose(1, 2).flatten(1) for j in range(25)], dim=1)  # (B, J, T·64)
    torch.testing.assert_close(encoder.spatial(tokens[:, torch.randperm(25)]), spatial)


def test_a_graph_mask_hides_what_hangs_together():
    view, near = torch.ones(300, 3, 16, 25), augment.neighbourhood(KINECT.parents)
    edges = torch.eye(25)
    for joint, parent in enumerate(KINECT.parents):
        if parent >= 0:
            edges[joint, parent] = edges[parent, joint] = 1
    assert torch.equal(near, edges @ edges)
    hidden = (augment.graph_mask(view, near, generator()) == 0).all(dim=(1, 2))  # (B, J)
    assert hidden.sum(dim=1).unique().tolist() == [8]
    drawn = torch.randint(25, (300, 5), generator=generator())
    for each, roots in zip(hidden, drawn, strict=True):
        reached = sum(near[root] for root in roots.tolist())
        assert reached[each].min() >= reached[~each].max()


def test_a_segment_mask_hides_six_of_sixteen_runs():
    hidden = augment.segment_mask(torch.ones(100, 3, 32, 5), generator()) == 0
    frames = hidden.all(dim=(1, 3))
    assert torch.equal(hidden, frames[:, None, :, None].expand_as(hidden))
    assert frames.sum(dim=1).unique().tolist() == [12]
    assert torch.equal(frames[:, ::2], frames[:, 1::2])  # runs of two
    assert len({tuple(each) for each in frames.tolist()}) > 50


@pytest.mark.parametrize("masks", ["both", "graph", "segment", "none"])
def test_half_of_the_views_are_masked(masks):
    view, near = torch.ones(400, 3, 16, 25), augment.neighbourhood(KINECT.parents)
    hidden = recipes.masked(view, near, masks, generator()) == 0
    joints, frames = hidden.all(dim=(1, 2)).any(dim=1), hidden.all(dim=(1, 3)).any(dim=1)
    for lost, kind in ((joints, "graph"), (frames, "segment")):
        assert (160 < lost.sum() < 240) if masks in ("both", kind) else not lost.any()


def test_its_own_view_crops_turns_flips_and_shears(walkers, monkeypatch):
    settings = load_config("demo", overrides=("inputs=paper", "inputs.frames=16"), method="scd-net")
    clips = DeviceClips.from_motion(walkers, settings.inputs, "cpu")
    called = []
    for name in ("rotations", "coin", "flip", "shears"):
        real = getattr(recipes, name)

        def spied(*args, name=name, real=real):
            called.append((name, *[each for each in args[1:] if isinstance(each, int | float)]))
            return real(*args)

        monkeypatch.setattr(recipes, name, spied)
    crops = []
    real = DeviceClips.family_crop
    monkeypatch.setattr(DeviceClips, "family_crop", lambda *args: crops.append(1) or real(*args))
    recipes.cropped_and_turned(clips, BATCH, generator())
    assert called == [("rotations",), ("coin",), ("flip",), ("shears",)]
    assert crops == [1]


def test_the_terms_of_scdnet(walkers):
    overrides = ("inputs.frames=16", "model.hidden=8", "train.batch_size=8", "split.kind=none")
    settings = load_config("demo", overrides=overrides, method="scd-net")
    motion = walkers.select(range(20))
    clips = DeviceClips.from_motion(motion, settings.inputs, "cpu")
    state = begin(settings, motion, clips)
    method = state.method.eval()
    first, second = (view(clips, BATCH, state.generator)[:, :3] for view in method.views)
    named = method.losses([first, second], BATCH)
    encoder, behind = method.deployed.networks["joint"], method.followers["clues"]

    def rows(network, heads, view):
        t, s = network.clues(view)
        of = {"t": t, "s": s, "i": torch.cat([t, s], dim=1)}
        return {name: torch.nn.functional.normalize(heads[name](each), dim=1) for name, each in of.items()}

    query = rows(encoder, method.heads, first)
    with torch.no_grad():
        key = rows(behind.encoder, behind.heads, second)
    queues = {name: queue.rows for name, queue in method.queues.items()}
    assert list(named) == ["ti", "si", "it", "is"]
    for pair, value in named.items():
        torch.testing.assert_close(value, info_nce(query[pair[0]], key[pair[1]], queues[pair[1]], 0.2))
    assert [tuple(layer.weight.shape) for layer in method.heads["i"][::2]] == [(8, 16), (128, 8)]
