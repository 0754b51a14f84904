"""SSAL: its network, its strong view, its drop and its losses, against slow ones."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize, softshrink

from airfast.config import load_config
from airfast.data import augment, recipes
from airfast.data.dataset import DeviceClips
from airfast.methods.contrast import info_nce
from airfast.methods.ssal import CFFN, divergence, simam_drop
from airfast.models.aff import FourierBlock, FourierFilter, ImageBranch
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import begin

KINECT = load_layout("kinect25")
BATCH = torch.arange(8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def size(network):
    return sum(each.numel() for each in network.parameters())


def test_sizes():
    assert size(FourierFilter(64)) == 64**2 // 2 + 4 * 64  # FAMILY 10
    assert size(ImageBranch()) == 88_320
    assert round(size(CFFN(KINECT, 16, image=True)) / 1e6, 3) == 0.909  # 0.910 with a bias a subset of ST-GCN


def test_a_fourier_filter_by_its_formula():
    filter_, x = FourierFilter(16), torch.randn(2, 16, 6, 5)
    for each in filter_.parameters():
        torch.nn.init.normal_(each)
    spectrum = torch.fft.rfft2(x, norm="ortho")
    mask = torch.empty_like(spectrum)
    for group in range(8):
        values = spectrum[:, 2 * group : 2 * group + 2]
        for layer, act in ((0, torch.relu), (1, lambda v: softshrink(v, 0.01))):
            weight = torch.complex(*filter_.weights[layer][:, group])
            bias = torch.complex(*filter_.biases[layer][:, group])
            mixed = torch.stack([sum(weight[o, i] * values[:, i] for i in range(2)) + bias[o] for o in range(2)], dim=1)
            values = torch.complex(act(mixed.real), act(mixed.imag))
        mask[:, 2 * group : 2 * group + 2] = values
    expected = torch.fft.irfft2(spectrum * mask, s=(6, 5), norm="ortho")
    torch.testing.assert_close(filter_(x), expected, atol=1e-4, rtol=1e-4)


def test_without_weights_a_filter_adds_nothing():
    block, x = FourierBlock(16, 8).eval(), torch.randn(2, 16, 6, 5)
    for each in block.filter.parameters():
        torch.nn.init.zeros_(each)
    torch.testing.assert_close(block(x), x + block.mix(block.first(x)))
    assert not block.filter(x).any()


def test_the_drop_by_its_formula():
    constant = torch.full((2, 3, 4, 5), 7.0)
    assert torch.equal(simam_drop(constant), constant)
    x = torch.randn(2, 4, 6, 5)
    x[0, :, :, 1] *= 40  # a joint that stands out in every channel, and entries that do
    x[1, 2, 3, 4] = 30
    attention = torch.empty_like(x)
    for clip in range(2):
        for channel in range(4):
            values = x[clip, channel]
            square = (values - values.mean()) ** 2
            attention[clip, channel] = torch.sigmoid(square / (4 * (square.sum() / (6 * 5 - 1) + 1e-4)) + 0.5)
    joints = attention.mean(dim=(1, 2)) < 0.7  # (B, J)
    assert 0 < (~joints).sum() < 10
    entries = attention < 0.7
    expected = x * joints[:, None, None] * joints.numel() / joints.sum()
    torch.testing.assert_close(simam_drop(x), expected * entries * entries.numel() / entries.sum())


def test_the_strong_view(monkeypatch):
    view = torch.randn(400, 3, 16, 25)
    arms = torch.tensor([joint in KINECT.arms for joint in range(25)])
    parts = torch.tensor(KINECT.high)
    named = {KINECT.joints[joint] for joint in KINECT.arms}
    assert {"ShoulderLeft", "ElbowRight", "WristLeft", "HandRight"} <= named
    assert not {"SpineMid", "Head", "HipLeft", "KneeRight"} & named
    shaken = recipes.strong(view, arms, parts, 5, "jitter", generator())
    moved = (shaken != view).any(dim=(1, 2))  # (B, J)
    assert not moved[:, ~arms].any()
    some = moved.any(dim=1)
    assert torch.equal(moved[some], arms.expand(int(some.sum()), -1))
    assert 150 < some.sum() < 250  # half of them
    one = some.nonzero()[0, 0]
    matrix = shaken[one][:, :, arms].flatten(1) @ torch.linalg.pinv(view[one][:, :, arms].flatten(1))
    torch.testing.assert_close(
        matrix @ view[one][:, :, arms].flatten(1), shaken[one][:, :, arms].flatten(1), atol=1e-4, rtol=1e-4
    )
    hidden = recipes.strong(view, arms, parts, 5, "mask", generator()) == 0
    masked = hidden.flatten(1).any(dim=1)
    assert 150 < masked.sum() < 250
    both = recipes.strong(view, arms, parts, 5, "both", generator())
    assert (both == 0).any()
    assert ((both != view) & (both != 0)).any()


def test_a_part_mask_hides_whole_parts_and_whole_frames():
    view, parts = torch.ones(300, 3, 16, 25), torch.tensor(KINECT.high)
    hidden = augment.part_mask(view, parts, 5, generator()) == 0
    numbers, lost = set(), set()
    for each in hidden:
        frames, joints = each.all(dim=(0, 2)), each.all(dim=(0, 1))
        assert torch.equal(each, (frames[:, None] | joints).expand(3, -1, -1))
        gone = {part for part in range(5) if joints[parts == part].all()}
        assert torch.equal(joints, sum((parts == part) for part in gone) > 0)
        numbers.add(len(gone))
        lost.add(int(frames.sum()))
    assert numbers == {1, 2}
    assert lost == {1, 2}  # of 16, at most an eighth


def test_the_divergence_is_least_where_both_agree():
    logits = torch.randn(4, 9)
    entropy = -(torch.softmax(logits, 1) * torch.log_softmax(logits, 1)).sum(dim=1).mean()
    torch.testing.assert_close(divergence(logits, logits), entropy)
    assert divergence(logits, torch.randn(4, 9)) > entropy


@pytest.mark.parametrize(("drop", "image"), [(True, True), (False, True), (True, False)])
def test_the_terms_of_ssal(walkers, drop, image):
    overrides = ("inputs.frames=16", "model.hidden=8", "train.batch_size=8", f"ssal.drop={drop}", f"ssal.image={image}")
    settings = load_config("demo", overrides=(*overrides, "ssal.weight=0.5", "split.kind=none"), method="ssal")
    motion = walkers.select(range(20))
    clips = DeviceClips.from_motion(motion, settings.inputs, "cpu")
    state = begin(settings, motion, clips)
    method = state.method.eval()
    views = [view(clips, BATCH, state.generator) for view in method.views]
    views = [scale * torch.randn_like(view) for scale, view in zip((1, 4, 16), views, strict=True)]  # far from alike
    named = method.losses(views, BATCH)
    network, behind, head = method.deployed.networks["joint"], method.followers["joint"], method.heads["joint"]
    with torch.no_grad():
        key = normalize(behind.head(behind.network(views[0][:, :3])), dim=1)
    rows = method.queues["joint"].rows
    query, strong = (normalize(head(network(view[:, :3])), dim=1) for view in views[1:])
    torch.testing.assert_close(named["info"], info_nce(query, key, rows, 0.07))
    found = [strong]
    if drop:
        dropped = [simam_drop(network.graph.maps(views[2])).mean(dim=(2, 3))]
        dropped += [network.image(views[2])] if image else []
        found.append(normalize(head(torch.cat(dropped, dim=1)), dim=1))
    wanted = logits(query, key, rows).softmax(dim=1)
    terms = [cross_entropy(logits(each, key, rows), wanted) for each in found]
    torch.testing.assert_close(named["divergence"], 0.5 * torch.stack(terms).mean())
    named["divergence"].backward()
    assert all(each.grad is None for each in method.followers.parameters())


def test_ordinary_queries_do_not_learn_from_the_strong_ones():
    wanted, found = (torch.randn(4, 9, requires_grad=True) for _ in range(2))
    divergence(wanted, found).backward()
    assert wanted.grad is None
    assert found.grad.any()


def logits(query, key, rows):
    return torch.cat([(query * key).sum(dim=1, keepdim=True), query @ rows.T], dim=1) / 0.07
