"""MGRL: merged clips, masks of joints and of motion, its rotation, and its loss, against slow ones."""

import math
from dataclasses import fields, replace

import pytest
import torch

from airfast.config import load_config
from airfast.data import augment, recipes
from airfast.data.dataset import DeviceClips
from airfast.data.merged import MergedClips, partners
from airfast.methods.mgrl import MGRLNetwork, barlow, visible_joints, without_motion
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import begin

KINECT = load_layout("kinect25")
BATCH = torch.arange(8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def begun(walkers):
    def begin_with(*overrides, groups=None):
        sizes = ("inputs.frames=16", "model.hidden=8", "model.projection=16", "train.batch_size=8", "split.kind=none")
        settings = load_config("demo", overrides=(*sizes, *overrides), method="mgrl")
        motion = walkers.select(range(20))
        motion = replace(motion, groups=groups) if groups else motion
        clips = DeviceClips.from_motion(motion, settings.inputs, "cpu")
        return begin(settings, motion, clips), clips

    return begin_with


# The loss


def test_the_barlow_loss_of_the_specification():
    columns = torch.linalg.qr(torch.randn(12, 5, dtype=torch.float64) - 0)[0]
    z = columns - columns.mean(dim=0)
    z = torch.linalg.qr(z)[0]  # centred and orthogonal
    z = z - z.mean(dim=0)
    assert barlow(z, z, 0.3).item() == pytest.approx(0, abs=1e-9)
    assert barlow(z, -z, 0.3).item() == pytest.approx(4 * 5)
    x, y = torch.randn(2, 12, 5, dtype=torch.float64)
    torch.testing.assert_close(barlow(3 * x + 2, y, 0.3), barlow(x, y, 0.3))
    expected = 0
    for i in range(5):
        for j in range(5):
            one, other = x[:, i] - x[:, i].mean(), y[:, j] - y[:, j].mean()
            c = (one * other).sum() / (one.norm() * other.norm())
            expected += (1 - c) ** 2 if i == j else 0.3 * c**2
    torch.testing.assert_close(barlow(x, y, 0.3), expected)


def test_the_terms_of_mgrl(begun):
    state, clips = begun()
    method = state.method.eval()
    views = [view(clips, BATCH, state.generator) for view in method.views]
    assert [view.shape[2] for view in views] == [16, 16, 13]
    named = method.losses(views, BATCH)
    network = method.deployed.networks["joint"]
    rows = [network(views[0]), network(views[1], method.visible), network(views[2])]
    z, spatial, temporal = (method.projector(each) for each in rows)
    torch.testing.assert_close(named["spatial"], barlow(z, spatial, 1.2288 / 16))
    torch.testing.assert_close(named["temporal"], barlow(z, temporal, 1.2288 / 16))
    sum(named.values()).backward()
    assert all(each.grad is not None for each in method.parameters())
    assert [type(each).__name__ for each in method.projector] == 2 * ["Linear", "BatchNorm1d", "ReLU"] + ["Linear"]
    assert all(each.bias is None for each in method.projector if isinstance(each, torch.nn.Linear))


def test_the_rate_rises_then_falls_by_a_cosine(begun):
    state, _ = begun("train.epochs=40", "train.lr=0.1")
    rates = [state.method.rate(epoch) for epoch in range(40)]
    assert rates[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert rates[21] == pytest.approx(0.05)
    assert 0 < rates[-1] < 0.0003


# Masks


def test_masked_joints_are_not_seen_by_anything():
    joints = torch.tensor([each for each in range(25) if each not in (3, 7, 20)])
    clips = torch.randn(4, 3, 16, 25)
    moved = clips.clone()
    moved[..., [3, 7, 20]] += torch.randn(3)
    for mode in (True, False):
        network = MGRLNetwork(KINECT, 8, attention=False).train(mode)
        torch.manual_seed(0)
        before = network(clips, joints)
        torch.manual_seed(0)
        assert torch.equal(before, network(moved, joints))
        torch.manual_seed(0)
        assert not torch.equal(before, network(clips + 0.1 * clips.roll(1, 3), joints))
    network = network.eval()
    torch.testing.assert_close(network(clips, torch.arange(25)), network(clips))
    torch.testing.assert_close(network(clips), STGCN.forward(network, clips))


def test_what_is_left_of_a_graph_keeps_its_weights():
    network, clips = STGCN(KINECT, None, hidden=8).eval(), torch.randn(2, 3, 16, 25)
    joints, spatial = torch.tensor([0, 2, 5, 9]), None
    spatial = network.blocks[0].spatial
    graph = (spatial.subsets * spatial.importance)[:, joints][:, :, joints]
    seen = clips[..., joints]
    heard = torch.cat([seen @ graph[k] for k in range(3)], dim=1)
    torch.testing.assert_close(spatial(seen, joints), torch.relu(spatial.norm(spatial.weigh(heard))))


def test_a_degree_mask_hides_well_connected_joints_more_often():
    degrees = torch.tensor([4, 1, 2, 1, 1, 3, 1, 1, 2, 2])
    hidden = torch.zeros(10)
    drawn = generator()
    for _ in range(2000):
        left = visible_joints(degrees, drawn)
        assert len(set(left.tolist())) == 7  # 3 of 10 are hidden
        assert left.tolist() == sorted(left.tolist())
        hidden += 1
        hidden[left] -= 1
    first = torch.zeros(10)  # k draws one by one without replacement
    slow = generator(1)
    for _ in range(2000):
        first[torch.multinomial(degrees.float(), 3, generator=slow)] += 1
    assert (hidden - first).abs().max() < 130
    assert hidden[0] > 1.7 * hidden[1]


def test_degrees_are_those_of_the_tree(begun):
    state, _ = begun()
    parents = state.method.deployed.layout.parents
    expected = [sum(p == j for p in parents) + (parents[j] >= 0) for j in range(len(parents))]
    assert state.method.degrees.tolist() == expected


def test_a_motion_mask_hides_the_frames_before_the_largest_steps():
    clip = torch.zeros(1, 3, 10, 4)
    clip[:, :, 6:] = 1  # one jump, after frame 5
    clip[:, :, 3] += 1e-3  # and a little one, after frames 2 and 3
    clip = torch.cat([clip, torch.arange(10.0)[None, None, :, None].expand(1, 1, 10, 4)], dim=1)  # told by their number
    left = without_motion(clip, 0, generator())[0, 3, :, 0].int().tolist()
    assert len(left) == 8
    assert 5 not in left
    assert left == sorted(left)
    assert len({2, 3} & {*left}) == 1
    fewer = {tuple(without_motion(clip, 3, generator(seed))[0, 3, :, 0].int().tolist()) for seed in range(20)}
    assert len(fewer) > 5
    assert all(len(each) == 5 and {*each} <= {*left} and list(each) == sorted(each) for each in fewer)


# Merged clips


def merged(clips, whom, lower):
    own = {each.name: getattr(clips, each.name) for each in fields(DeviceClips)}
    return MergedClips(**own, partners=whom, lower=lower)


def test_a_merged_clip_has_the_legs_of_its_partner(begun):
    state, clips = begun()
    lower = state.method.lower
    names = {state.method.deployed.layout.joints[joint] for joint in lower.nonzero()[:, 0].tolist()}
    assert {name.split("_")[-1] for name in names} <= {"hip", "knee", "ankle", "foot", "toe", "toes"}
    assert len(names) >= 6
    whom = torch.roll(torch.arange(20), 1)
    both = merged(clips, whom, lower).whole(BATCH)
    assert torch.equal(both[..., ~lower], clips.whole(BATCH)[..., ~lower])
    torch.testing.assert_close(both[..., lower], clips.whole(whom[BATCH])[..., lower], atol=1e-5, rtol=1e-5)
    itself = merged(clips, torch.arange(20), lower)
    assert torch.equal(itself.view(BATCH, generator()), clips.view(BATCH, generator()))


def test_partners_are_nearest_neighbours_of_those_that_have_one_near(begun):
    _, clips = begun()
    groups = torch.arange(20) % 3
    picked = torch.linspace(0, 15, 16).round().long()
    bodies = clips.whole(torch.arange(20))[:, :3, picked]
    for of_groups in (None, groups):
        found = partners(clips, 0.3, of_groups)
        nearest = []
        for i in range(20):
            others = [
                ((bodies[i] - bodies[j]).norm(dim=0).mean().item(), j)
                for j in range(20)
                if j != i and (of_groups is None or groups[i] != groups[j])
            ]
            nearest.append((*min(others), i))
        hard = {i: j for _, j, i in sorted(nearest)[:6]}
        assert found.tolist() == [hard.get(i, i) for i in range(20)]


def test_one_draw_of_merging_for_all_three_views(begun, monkeypatch):
    state, clips = begun("mgrl.share=1")
    method = state.method
    seen = []
    method.general = lambda source, batch, generator: seen.append(source.partners) or source.whole(batch)
    shares = []
    for _ in range(60):
        for view in method.views:
            view(clips, BATCH, state.generator)
        assert all(torch.equal(each, seen[-1]) for each in seen[-3:])
        shares.append((seen[-1] != torch.arange(20)).float().mean().item())
    assert 0.42 < sum(shares) / 60 < 0.58
    assert torch.equal(torch.where(seen[-1] == torch.arange(20), method.partners, seen[-1]), method.partners)


def test_groups_and_none(begun):
    groups = tuple("ab"[each % 2] for each in range(20))
    state, clips = begun("mgrl.merge=groups", "mgrl.share=1", groups=groups)
    assert all(groups[i] != groups[j] for i, j in enumerate(state.method.partners.tolist()))
    state, clips = begun("mgrl.merge=none")
    state.method.views[0](clips, BATCH, state.generator)
    assert state.method.source is clips
    attentive, _ = begun("mgrl.attention=true")
    network = attentive.method.deployed.networks["joint"].eval()
    x = torch.randn(2, 3, 16, 24)
    tokens = network.maps(x).mean(dim=3).transpose(1, 2)
    expected = (tokens + network.attention(tokens, tokens, tokens)[0]).mean(dim=1)
    torch.testing.assert_close(network(x), expected)


# Views


def test_a_rotation_is_about_one_axis():
    turn = augment.rotations(torch.zeros(500, 3, 1, 1), generator())
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(500, 3, 3), atol=1e-5, rtol=1e-5)
    assert torch.linalg.det(turn).min() > 0.99
    # R = Rz·Ry·Rx: angles about x, y and z
    x = torch.atan2(turn[:, 2, 1], turn[:, 2, 2])
    y = torch.asin(-turn[:, 2, 0])
    z = torch.atan2(turn[:, 1, 0], turn[:, 0, 0])
    angles = torch.stack([x, y, z], dim=1).rad2deg()
    assert angles.min() > -1e-3
    assert 29 < angles.max() <= 30.01
    assert (angles > 1.01).sum(dim=1).max() == 1
    assert (angles > 1.01).any(dim=0).all()


def test_a_flip_swaps_sides_and_mirrors_nothing():
    clips = torch.randn(200, 3, 4, 25)
    mirror = torch.tensor(KINECT.mirror)
    flipped = augment.flip(clips, mirror, generator())
    swapped = (flipped == clips[..., mirror]).flatten(1).all(dim=1)
    same = (flipped == clips).flatten(1).all(dim=1)
    assert bool((swapped ^ same).all())
    assert 70 < swapped.sum() < 130


def test_its_own_view_crops_shears_turns_and_flips(begun, monkeypatch):
    state, clips = begun("inputs.augmentation=method", "mgrl.merge=none")
    called = []
    for name in ("crop_pad", "shears", "rotations", "flip"):
        real = getattr(recipes, name)

        def spied(*args, name=name, real=real):
            called.append((name, *[each for each in args[1:] if isinstance(each, int | float)]))
            return real(*args)

        monkeypatch.setattr(recipes, name, spied)
    view = recipes.turned(clips, BATCH, state.generator)
    assert called == [("crop_pad", 6), ("shears",), ("rotations",), ("flip",)]  # a shear of at most 1
    assert view.shape == clips.whole(BATCH).shape
    assert not math.isclose(float((view - clips.whole(BATCH)).abs().max()), 0)
