"""CAGE and GE-CLR: coordinates, views, losses, and a run from its start to its export."""

import pytest
import torch

from airfast.config import load_config
from airfast.data import recipes
from airfast.data.augment import chosen_joints, crop_pad, jitter, shears
from airfast.data.dataset import DeviceClips
from airfast.deploy.export import export
from airfast.errors import InputError
from airfast.evaluate.frozen import untrained_like
from airfast.evaluate.report import evaluate
from airfast.methods import contrast
from airfast.methods.cage import coordinates
from airfast.methods.contrast import info_nce, queue_size
from airfast.methods.method import plain
from airfast.models.agcn import AGCN
from airfast.plots.embeddings import plot_embeddings
from airfast.report.build import build_report
from airfast.runs.checkpoint import STATE, load_encoder, read
from airfast.runs.folder import read_metrics
from airfast.skeletons.coordinates import spherical
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import begin, pretrain
from airfast.training.step import TrainingStep
from tests.crossings import crossings

TINY = (
    "inputs.frames=16",
    "model.hidden=8",
    "train.batch_size=5",
    "train.epochs=4",
    "train.checkpoint_every=2",
    "split.kind=random",
)
GE_CLR = ("cage.bank=plain", "cage.cross=none", "cage.deploy=cartesian")
BATCH = torch.arange(16)


def config(*overrides):
    return load_config("demo", overrides=(*TINY, *overrides), method="cage")


@pytest.fixture
def begun(walkers):
    def begin_with(*overrides):
        settings = config(*overrides)
        clips = DeviceClips.from_motion(walkers, settings.inputs, "cpu")
        return begin(settings, walkers, clips), clips

    return begin_with


def test_only_queries_learn_from_the_contrast():
    query, key, rows = (torch.randn(count, 8, requires_grad=True) for count in (4, 4, 9))
    info_nce(query, key, rows, 0.07).backward()
    assert query.grad.any()
    assert key.grad is rows.grad is None


@pytest.mark.parametrize(
    ("queue", "clips", "longest", "keys"),
    [("auto", 95, 2048, 40), ("auto", 9, 2048, 10), ("auto", 950, 30, 30), (7, 95, 2048, 10), (64, 95, 30, 64)],
)
def test_a_queue_is_half_of_the_set_in_whole_batches(queue, clips, longest, keys):
    settings = load_config("demo", overrides=(f"contrast.queue={queue}",), method="cage").contrast
    assert queue_size(settings, 10, clips, longest) == keys


@pytest.mark.parametrize(
    ("told", "clips", "momentum"),
    [("auto", 95, 1 - 1 / 30), ("auto", 20, 0.9), ("auto", 10_000, 0.999), (0.5, 95, 0.5)],
)
def test_keys_follow_more_slowly_the_more_steps_an_epoch_has(told, clips, momentum):
    settings = load_config("demo", overrides=(f"contrast.momentum={told}", "train.batch_size=10"), method="cage")
    assert contrast.momentum(settings, clips) == pytest.approx(momentum)


# Coordinates


def test_to_spherical_and_back():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    r, theta, phi = spherical(x).unbind(1)
    back = torch.stack([r * theta.sin() * phi.sin(), r * theta.cos(), r * theta.sin() * phi.cos()], dim=1)
    torch.testing.assert_close(back, x, atol=1e-12, rtol=0)
    assert bool(((theta >= 0) & (theta <= torch.pi) & (phi >= 0) & (phi < 2 * torch.pi)).all())


@pytest.mark.parametrize("polar", ["y", "z"])
def test_scaling_moves_r_alone_and_a_turn_about_the_pole_phi_alone(polar):
    x = torch.randn(3, 3, 2, 4, dtype=torch.float64)
    before, scaled = spherical(x, polar), spherical(2 * x, polar)
    torch.testing.assert_close(scaled, torch.stack([2 * before[:, 0], before[:, 1], before[:, 2]], dim=1))
    first, second = (2, 0) if polar == "y" else (0, 1)
    turned = x.clone()
    turned[:, first] = x[:, first] * torch.tensor(0.3).cos() - x[:, second] * torch.tensor(0.3).sin()
    turned[:, second] = x[:, first] * torch.tensor(0.3).sin() + x[:, second] * torch.tensor(0.3).cos()
    after = spherical(turned, polar)
    torch.testing.assert_close(after[:, :2], before[:, :2])
    moved = (after[:, 2] - before[:, 2] - 0.3) / (2 * torch.pi)
    torch.testing.assert_close(moved, moved.round(), atol=1e-7, rtol=0)


def test_the_root_has_no_direction():
    assert not spherical(torch.zeros(1, 3, 2, 2)).any()


def test_velocities_are_not_read():
    clips = torch.randn(2, 6, 4, 5)
    assert torch.equal(coordinates(clips, "cartesian", "y"), clips[:, :3])
    assert torch.equal(coordinates(clips, "spherical", "y"), spherical(clips[:, :3]))


# Views


def test_crop_pad_mirrors_the_ends_and_keeps_whole_frames():
    clips = torch.arange(12.0).reshape(1, 1, 12, 1).expand(200, 3, 12, 2)
    read = crop_pad(clips, 6, torch.Generator().manual_seed(0))[:, 0, :, 0]
    starts = {tuple(row[:3].int().tolist()) for row in read}
    # ⌊12/6⌋ = 2 frames of either end: starts −2 … 2, the ends mirrored
    assert starts == {(1, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4)}
    assert {tuple(row[-2:].int().tolist()) for row in read} == {(8, 9), (9, 10), (10, 11), (11, 11), (11, 10)}


def test_jitter_moves_its_share_of_joints_by_one_matrix_a_clip():
    clips = torch.randn(4, 3, 5, 16)
    moved = jitter(clips, 10 / 16, torch.Generator().manual_seed(1))
    changed = (moved != clips).any(dim=(1, 2))  # (B, J)
    assert changed.sum(dim=1).tolist() == [10] * 4
    for clip, after, which in zip(clips, moved, changed, strict=True):
        x, y = clip[:, :, which].flatten(1), after[:, :, which].flatten(1)
        matrix = y @ torch.linalg.pinv(x)
        torch.testing.assert_close(matrix @ x, y, atol=1e-4, rtol=1e-4)
    assert torch.equal(jitter(clips, 0, torch.Generator()), clips)


def test_a_shear_of_nothing_is_the_identity():
    assert torch.equal(shears(torch.zeros(2, 3, 1, 1), torch.Generator(), 0), torch.eye(3).expand(2, 3, 3))
    assert chosen_joints(torch.zeros(2, 3, 1, 16), 10 / 16, torch.Generator()).sum() == 20


def test_its_own_view_mirrors_a_sixth_and_distorts_ten_in_sixteen(begun, monkeypatch):
    _, clips = begun()
    asked = []
    monkeypatch.setattr(recipes, "crop_pad", lambda x, share, generator: asked.append(share) or x)
    moved = recipes.cage(clips, BATCH, torch.Generator().manual_seed(0))
    assert asked == [6]  # ⌊T/6⌋ frames
    changed = (moved != clips.whole(BATCH)).any(dim=(1, 2)).sum(dim=1)
    root = 1  # which is at the origin and stays there, chosen or not
    assert set(changed.tolist()) <= {round(10 / 16 * 24) - root, round(10 / 16 * 24)}


def test_an_ambiguous_view_distorts_ten_in_sixteen(begun):
    _, clips = begun()
    view = recipes.ambiguous(clips, BATCH, torch.Generator().manual_seed(0), 1)
    changed = (view != clips.whole(BATCH)).any(dim=(1, 2)).sum(dim=1)
    assert set(changed.tolist()) <= {14, 15}  # of 24, the root stays


def test_under_the_papers_inputs_cage_has_its_own_views(begun):
    state, _ = begun("inputs=paper", "inputs.frames=16", "inputs.velocity=resampled")
    assert state.method.views[:2] == (recipes.cage, recipes.cage)
    assert begun()[0].method.views[:2] == (plain, plain)


def test_an_ambiguous_view_is_every_fourth_frame_of_the_whole_clip(begun, monkeypatch):
    _, clips = begun()
    monkeypatch.setattr(recipes, "shears", lambda x, generator, limit: torch.eye(3).expand(len(x), 3, 3))
    view = recipes.ambiguous(clips, BATCH, torch.Generator().manual_seed(0), 4)
    whole = clips.whole(BATCH)
    assert view.shape == (16, 3, 4, whole.shape[-1])
    firsts = set()
    for clip, of in zip(view, whole, strict=True):
        first = next(i for i in range(4) if torch.allclose(clip, of[:, i::4], atol=1e-6))
        firsts.add(first)
    assert len(firsts) > 1


def test_a_slower_view_is_a_stretch_of_the_clip(begun, monkeypatch):
    _, clips = begun()
    monkeypatch.setattr(recipes, "shears", lambda x, generator, limit: torch.eye(3).expand(len(x), 3, 3))
    slow = recipes.ambiguous(clips, BATCH, torch.Generator().manual_seed(0), 0.3)
    assert slow.shape == clips.whole(BATCH).shape
    path = [view.diff(dim=2).abs().sum(dim=(1, 2, 3)).mean() for view in (slow, clips.whole(BATCH))]
    assert path[0] < 0.6 * path[1]  # three tenths of the way


# Losses


def embeddings(method, views, system="cartesian"):
    """Queries and keys as an A-GCN, its head and the copies give them, without the method's own lines."""
    query = method.deployed.networks[system] if system in method.deployed.networks else method.aside[system]
    behind = method.followers[system]
    read = (lambda x: spherical(x)) if system == "spherical" else (lambda x: x)
    unit = torch.nn.functional.normalize
    first = unit(method.heads[system](query(read(views[0]))), dim=1)
    with torch.no_grad():
        rest = [unit(behind.head(behind.network(read(view))), dim=1) for view in views[1:]]
    return first, *rest


def test_ge_clr_is_plain_contrast_on_joints(begun):
    state, clips = begun(*GE_CLR)
    method = state.method.eval()  # so that BatchNorm gives the same in both computations
    views = [view(clips, BATCH, state.generator) for view in method.views]
    assert len(views) == 2
    named = method.losses(views, BATCH)
    query, key = embeddings(method, views)
    assert named.keys() == {"cartesian"}
    torch.testing.assert_close(named["cartesian"], info_nce(query, key, method.queues["cartesian"].rows, 0.07))


@pytest.mark.parametrize("bank", ["cooperation", "hybrid", "ambiguity"])
def test_the_terms_of_cage(begun, bank):
    state, clips = begun(f"cage.bank={bank}")
    method = state.method.eval()
    views = [view(clips, BATCH, state.generator) for view in method.views]
    named = method.losses(views, BATCH)
    of = {system: embeddings(method, views, system) for system in ("cartesian", "spherical")}
    rows = {system: method.queues[system].rows for system in of}
    for system, (query, key, harder) in of.items():
        in_queue, in_batch = info_nce(query, key, rows[system], 0.07), info_nce(query, key, harder, 0.07)
        expected = {"cooperation": in_queue + in_batch, "hybrid": in_queue, "ambiguity": in_batch}[bank]
        torch.testing.assert_close(named[system], expected)
    guided = info_nce(of["spherical"][0], of["cartesian"][1], rows["spherical"], 0.07)
    torch.testing.assert_close(named["cross"], guided)
    method.settings = method.settings.model_copy(update={"cross": "both"})
    there = info_nce(of["cartesian"][0], of["spherical"][1], rows["spherical"], 0.07)
    back = info_nce(of["spherical"][0], of["cartesian"][1], rows["cartesian"], 0.07)
    torch.testing.assert_close(method.losses(views, BATCH)["cross"], there + back)


def test_the_cartesian_network_learns_nothing_from_guiding(begun):
    state, clips = begun()
    method = state.method
    method.losses([view(clips, BATCH, state.generator) for view in method.views], BATCH)["cross"].backward()
    assert all(each.grad is None for each in method.deployed.networks["cartesian"].parameters())
    assert all(each.grad is None for each in method.followers.parameters())
    assert any(each.grad is not None for each in method.deployed.networks["spherical"].parameters())


def test_after_a_step_keys_follow_and_are_queued(begun):
    state, clips = begun("cage.bank=hybrid", "contrast.momentum=0.9", "contrast.queue=40")
    method = state.method
    before = method.followers["cartesian"].head[0].weight.clone()
    queued = method.queues["cartesian"].rows.clone()
    TrainingStep(state, clips)(BATCH)
    leader = method.heads["cartesian"][0].weight
    torch.testing.assert_close(method.followers["cartesian"].head[0].weight, before + 0.1 * (leader - before))
    owners, keys = method.kept
    queue = method.queues["cartesian"]
    assert torch.equal(queue.rows[:32], keys["cartesian"])
    assert not torch.allclose(keys["cartesian"][:16], keys["cartesian"][16:])  # of two views
    assert torch.equal(queue.rows[32:], queued[32:])
    assert queue.owners[:32].tolist() == owners.tolist() == [*range(16), *range(16)]


def test_steps_are_sgd_with_momentum_and_decay(begun):
    state, clips = begun(*GE_CLR, "train.weight_decay=0.1")
    step, weight = TrainingStep(state, clips), state.method.heads["cartesian"][2].weight
    expected, speed = weight.detach().clone(), 0
    for _ in range(3):
        step(BATCH)
        speed = 0.9 * speed + weight.grad + 0.1 * expected  # no Nesterov
        expected = expected - 0.1 * speed
        torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize("overrides", [GE_CLR, (), ("cage.bank=hybrid", "cage.cross=both", "contrast.mask_own=true")])
def test_nothing_of_a_step_is_read_by_the_host(begun, overrides):
    state, clips = begun(*overrides)
    step = TrainingStep(state, clips)
    step(BATCH)  # the optimiser makes its moments
    assert crossings(lambda: step(BATCH)) == 0  # so that a GPU can record it


def test_own_old_keys_can_be_hidden(begun):
    state, clips = begun(*GE_CLR, "contrast.mask_own=true")
    method = state.method.eval()
    queue = method.queues["cartesian"]
    queue.push(torch.nn.functional.normalize(torch.randn(8, 128), dim=1), torch.arange(4, 12))
    views = [view(clips, BATCH, state.generator) for view in method.views]
    query, key = embeddings(method, views)
    terms = []
    for clip in range(16):
        others = queue.rows[queue.owners != clip]
        assert len(others) == len(queue.rows) - (4 <= clip < 12)
        terms.append(info_nce(query[clip : clip + 1], key[clip : clip + 1], others, 0.07))
    torch.testing.assert_close(method.losses(views, BATCH)["cartesian"], torch.stack(terms).mean())


# A run


@pytest.fixture(scope="module")
def data(walkers, tmp_path_factory):
    place = tmp_path_factory.mktemp("cage") / "set"
    walkers.select(range(0, 60, 5)).save(place)
    return place


@pytest.fixture(scope="module")
def runs(data):
    """A finished run of GE-CLR and one of CAGE."""
    kinds = {"ge-clr": GE_CLR, "cage": ()}
    return {name: pretrain(data, config(*each), data.with_name(name), "cpu") for name, each in kinds.items()}


@pytest.mark.parametrize(("name", "overrides"), [("ge-clr", GE_CLR), ("cage", ())])
def test_interrupted_and_resumed_is_uninterrupted(data, runs, tmp_path, name, overrides):
    def stop(line):
        if line["epoch"] == 3:  # one past the state saved at epoch 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(data, config(*overrides), tmp_path, "cpu", report=stop)
    pretrain(data, config(*overrides), tmp_path, "cpu")
    ours, theirs = (read(run / STATE)[0] for run in (tmp_path, runs[name]))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    logs = [[line | {"seconds": None} for line in read_metrics(each)] for each in (runs[name], tmp_path)]
    assert logs[0] == logs[1]


def test_from_a_run_to_its_tables_and_its_export(runs, tmp_path):
    run = runs["ge-clr"]
    lines = read_metrics(run)
    assert [line["lr"] for line in lines] == [0.1, 0.1, 0.01, 0.001]  # dropped at a half and at five sixths
    assert lines[0].keys() == {"epoch", "lr", "cartesian", "loss", "seconds"}
    assert not (run / "labels").exists()
    encoder = load_encoder(run)
    assert (encoder.width, encoder.training) == (256, False)
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"networks"}  # no heads, keys or queues
    found = evaluate(run, "linear", seeds=1, device="cpu")
    assert {row.features for row in found.rows} >= {"untrained", "pre-trained"}
    clips = torch.randn(3, 3, 16, len(encoder.layout.joints))
    program = torch.export.load(export(run, tmp_path / "encoder.pt2"))
    torch.testing.assert_close(program.module()(clips), encoder(clips))
    with pytest.raises(InputError, match="pre-trained by cage, which makes no labels"):
        plot_embeddings(run)
    assert "makes no discrete labels" in build_report(run, device="cpu").read_text()


def test_the_encoder_deployed_is_the_one_that_was_trained(runs):
    assert read_metrics(runs["cage"])[0].keys() == {
        "epoch",
        "lr",
        "cartesian",
        "spherical",
        "cross",
        "loss",
        "seconds",
    }
    encoder, state = load_encoder(runs["cage"]), read(runs["cage"] / STATE)[0]
    assert encoder.width == 512
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[f"method.deployed.{name}"])
    start = untrained_like(encoder)
    weight, mean = "networks.spherical.blocks.3.spatial.weigh.weight", "networks.spherical.normalise.running_mean"
    assert not torch.equal(encoder.state_dict()[weight], start.state_dict()[weight])
    assert torch.equal(encoder.state_dict()[mean], start.state_dict()[mean])  # on the inputs of the trained one


def test_sizes_of_the_published_network():
    encoder = AGCN(load_layout("kinect25"), None, hidden=64)
    fewer = 2 * (4 * 64 + 3 * 128 + 3 * 256)  # one bias a block where the public code has one a subset
    assert round((sum(each.numel() for each in encoder.parameters()) + fewer) / 1e6, 3) == 3.454  # FAMILY 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("cage.speed=8",), "cage.speed=8 leaves 2 of 16 frames, fewer than 4"),
        (("cage.speed=1.5",), "a whole number from 1 on"),
        (("contrast.momentum=2",), "contrast.momentum: between 0 and 1"),
    ],
)
def test_settings_that_cannot_be(walkers, tmp_path, overrides, message):
    with pytest.raises(InputError) as caught:
        pretrain(walkers, config(*overrides), tmp_path / "run", "cpu")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("overrides", [GE_CLR, ()])
def test_a_captured_step_is_the_plain_one(walkers, overrides):
    ends = []
    for graphed in (True, False):
        settings = config(*overrides)
        clips = DeviceClips.from_motion(walkers, settings.inputs, "cuda")
        state = begin(settings, walkers, clips)
        step = TrainingStep(state, clips)
        step.recorder = step.recorder if graphed else None
        for _ in range(6):
            step(BATCH.cuda())
        ends.append(state.method.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
