"""The siblings of AIR: networks, losses against slow ones, and a run of each from its start to its export."""

import math
from itertools import permutations

import pytest
import torch

from airfast.config import load_config
from airfast.data import recipes
from airfast.data.dataset import DeviceClips
from airfast.deploy.export import export
from airfast.errors import InputError
from airfast.evaluate.frozen import untrained_like
from airfast.evaluate.report import evaluate
from airfast.methods.cmd import distillation
from airfast.methods.contrast import info_nce
from airfast.methods.crossclr import mined_loss
from airfast.methods.method import plain
from airfast.models.bigru import BiGRU
from airfast.models.hcn import HCN
from airfast.models.stgcn import STGCN
from airfast.runs.checkpoint import STATE, load_encoder, read
from airfast.runs.folder import read_metrics
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
SMALL = {
    "crossclr": (),
    "cmd": ("bigru.hidden=8",),
    "isc": ("bigru.hidden=8",),
    "scd-net": (),
    "ssal": (),
    "mgrl": ("model.projection=16",),
}
CONTRASTIVE = [method for method in SMALL if method != "mgrl"]
BATCH = torch.arange(10)
KINECT = load_layout("kinect25")


def config(method, *overrides):
    return load_config("demo", overrides=(*TINY, *SMALL[method], *overrides), method=method)


@pytest.fixture(scope="module")
def twenty(walkers):
    return walkers.select(range(0, 60, 3))


@pytest.fixture
def begun(twenty):
    def begin_with(method, *overrides, device="cpu"):
        settings = config(method, *overrides)
        clips = DeviceClips.from_motion(twenty, settings.inputs, device)
        return begin(settings, twenty, clips), clips

    return begin_with


def views_of(state, clips):
    return [view(clips, BATCH, state.generator) for view in state.method.views]


def embedded(method, views, name):
    """Queries and keys of a network as its parts give them, without the method's own lines."""
    network = method.deployed.networks[name] if name in method.deployed.networks else method.aside[name]
    unit = torch.nn.functional.normalize
    first, second = (method.deployed.read(view, name) for view in views)
    behind = method.followers[name]
    with torch.no_grad():
        key = unit(behind.head(behind.network(second)), dim=1)
    return unit(method.heads[name](network(first)), dim=1), key


# Networks


def size(network):
    return sum(each.numel() for each in network.parameters())


def test_sizes_of_the_published_networks():
    with torch.device("meta"):
        gru, hcn = BiGRU(KINECT, 1024), HCN(KINECT, 64)
    h, inputs = 1024, (75, 2048, 2048)
    assert size(gru) == 6 * 25 + sum(2 * (3 * h * (i + h) + 6 * h) for i in inputs)  # FAMILY 3
    assert round(size(gru) / 1e6, 2) == 44.54
    assert gru.width == 2048
    assert size(hcn) == 2 * (256 + 193 * 64 + 288 * 25 + 32 + 18_496) + 442_752
    assert hcn.width == 4096
    stgcn = STGCN(KINECT, None)
    assert stgcn.width == stgcn(torch.randn(2, 3, 16, 25)).shape[1] == 256


def by_hand(network, clips, reverse=False):
    """BiGRU a frame at a time."""
    network.eval()
    rows = [network.normalise(clips[:, :, t].flatten(1)) for t in range(clips.shape[2])]
    for layer in network.layers:
        halves = []
        for half, backward in zip(layer, (False, reverse), strict=True):
            cell = torch.nn.GRUCell(half.input_size, half.hidden_size)
            cell.load_state_dict({name.removesuffix("_l0"): value for name, value in half.state_dict().items()})
            state, states = torch.zeros(len(clips), half.hidden_size), []
            for row in reversed(rows) if backward else rows:
                state = cell(row, state)
                states.append(state)
            halves.append(states[::-1] if backward else states)
        rows = [torch.cat(both, dim=1) for both in zip(*halves, strict=True)]
    return rows[-1]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_bigru_is_its_frames_in_turn(reverse):
    network, clips = BiGRU(KINECT, 6, reverse), torch.randn(3, 3, 7, 25)
    torch.testing.assert_close(network.eval()(clips), by_hand(network, clips, reverse))


def test_both_halves_of_a_bigru_have_seen_the_first_frame():
    network, clips = BiGRU(KINECT, 6).eval(), torch.randn(3, 3, 7, 25)
    other = clips.clone()
    other[:, :, 0] += 1
    moved = (network(clips) != network(other)).reshape(3, 2, 6).any(dim=(0, 2))
    assert moved.tolist() == [True, True]
    one = BiGRU(KINECT, 6)
    limit = math.sqrt(6 / (75 + 18))  # Xavier, of the matrix as a whole
    assert 0.9 * limit < one.layers[0][0].weight_ih_l0.abs().max() <= limit


def test_an_image_has_positions_and_steps():
    network, clips = HCN(KINECT, 16).eval(), torch.randn(2, 3, 16, 25)
    still = clips[:, :, :1].expand(-1, -1, 16, -1)
    network.position.register_forward_hook(lambda *_: torch.zeros(2, 64, 4, 4))
    elsewhere = network(still + 1)  # only steps are left to look at
    torch.testing.assert_close(network(still), elsewhere)
    assert not torch.allclose(network(clips), elsewhere)
    read = []
    network.motion.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    network(clips)
    steps = torch.nn.functional.interpolate(clips[:, :, 1:] - clips[:, :, :-1], (16, 25), mode="bilinear")
    torch.testing.assert_close(read[0], steps)
    faster = HCN(KINECT, 32)
    assert faster.width == faster(torch.randn(2, 3, 32, 25)).shape[1] == 1024


# Losses


def test_the_mined_loss_of_the_specification():
    own, ours, theirs = torch.tensor([0.8]), torch.tensor([[0.5, 0.1]]), torch.tensor([[0.2, 0.6]])
    assert mined_loss(own, ours, theirs, 1, True, 0.07).item() == pytest.approx(6.8709, abs=1e-4)
    entries = [each / 0.07 for each in (0.8, 0.5, 0.1, 0.1, 0.06)]
    total = math.log(sum(map(math.exp, entries)))
    assert mined_loss(own, ours, theirs, 1, True, 0.07).item() == pytest.approx(
        sum(total - entries[each] for each in (0, 2, 4)) / 3, abs=1e-4
    )
    hidden = torch.tensor([[False, True]])  # then the other row is the nearest
    left = [each / 0.07 for each in (0.8, 0.5, 0.1)]
    total = math.log(sum(map(math.exp, left)))
    assert mined_loss(own, ours, theirs, 1, True, 0.07, hidden).item() == pytest.approx(
        sum(total - each for each in left) / 3, abs=1e-4
    )


def test_context_teaches_both_and_without_it_nothing_is_mined():
    query, key, rows = (torch.nn.functional.normalize(torch.randn(n, 8), dim=1) for n in (4, 4, 12))
    own, ours = (query * key).sum(dim=1), query @ rows.T
    plain_loss = mined_loss(own, ours, ours, 0, False, 0.07)
    torch.testing.assert_close(plain_loss, info_nce(query, key, rows, 0.07))
    theirs = torch.randn(4, 12, requires_grad=True)
    mined_loss(own, ours, theirs, 1, True, 0.07).backward()
    assert theirs.grad.any()


def test_the_distillation_of_the_specification():
    teacher = torch.tensor([[0.1, 0.9, -5]], requires_grad=True)
    student = torch.tensor([[0.3, 0.5, 0.9]], requires_grad=True)
    loss = distillation(teacher, student, 2)
    assert loss.item() == pytest.approx(0.1269, abs=1e-4)
    loss.backward()
    assert teacher.grad is None
    assert student.grad[0, :2].all()
    assert student.grad[0, 2] == 0  # not among the teacher's rows
    assert distillation(teacher, student, 1).item() == 0
    assert distillation(teacher / 2, teacher.detach(), 3).item() == pytest.approx(0, abs=1e-6)  # as temperatures go
    assert distillation(torch.randn(50, 9), torch.randn(50, 9), 4).item() > 0


@pytest.mark.parametrize("context", [True, False])
def test_the_terms_of_crossclr(begun, context):
    state, clips = begun("crossclr", f"crossclr.context={context}", "crossclr.topk=2")
    method = state.method.eval()
    views, names = views_of(state, clips), ("joint", "bone", "motion")
    of = {name: embedded(method, views, name) for name in names}
    rows = {name: method.queues[name].rows for name in names}
    method.begin_epoch(1, clips, state.optimiser)
    first = method.losses(views, BATCH)
    assert list(first) == [*names]
    for name in names:
        torch.testing.assert_close(first[name], info_nce(*of[name], rows[name], 0.07))
    method.begin_epoch(2, clips, state.optimiser)
    second = method.losses(views, BATCH)
    for u in names:
        expected = 0
        for v in names:
            if u == v:
                continue
            for clip in BATCH.tolist():
                s_u, s_v = (rows[each] @ of[each][0][clip] for each in (u, v))
                logits = [of[u][0][clip] @ of[u][1][clip], *s_u, *(s_u * s_v if context else ())]
                logs = torch.log_softmax(torch.stack(logits) / 0.07, dim=0)
                near = sorted(range(len(s_v)), key=lambda row, s=s_v: -s[row].item())[:2]
                positives = [0, *(1 + row for row in near)]
                positives += [1 + len(s_u) + row for row in near] if context else []
                expected = expected - logs[positives].mean() / len(BATCH) / 2
        torch.testing.assert_close(second[u], expected)


def test_convolutions_of_crossclr_start_small(begun):
    state, _ = begun("crossclr")
    for layer in state.method.deployed.modules():
        if isinstance(layer, torch.nn.Conv2d):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=5 / layer.weight.numel() ** 0.5)
            assert not layer.bias.any()


@pytest.mark.parametrize("share", [0.5, 1])
def test_crossclr_turns_at_its_epoch(begun, share):
    state, clips = begun("crossclr", f"crossclr.cross_from={share}")
    stages = []
    for epoch in range(4):
        facts = state.method.begin_epoch(epoch, clips, state.optimiser).facts
        assert facts == {"stage": state.method.stage}
        stages.append(state.method.stage)
    assert stages == ([1, 1, 2, 2] if share == 0.5 else [1] * 4)
    alone, _ = begun("crossclr", "modalities=[bone]", "crossclr.cross_from=0")
    alone.method.begin_epoch(3, clips, alone.optimiser)
    assert alone.method.stage == 1  # nobody to ask


@pytest.mark.parametrize("weight", [0.5, 0])
def test_the_terms_of_cmd(begun, weight):
    state, clips = begun("cmd", f"cmd.weight={weight}", "contrast.queue=12")
    method = state.method.eval()
    views, names = views_of(state, clips), ("joint", "bone", "motion")
    of = {name: embedded(method, views, name) for name in names}
    rows = {name: method.queues[name].rows for name in names}
    named = method.losses(views, BATCH)
    assert list(named) == [*names, *(["distil"] if weight else [])]
    for name in names:
        torch.testing.assert_close(named[name], info_nce(*of[name], rows[name], 0.07))
    expected = torch.zeros(())
    for u, v in permutations(names, 2):
        for clip in BATCH.tolist():
            taught = rows[u] @ of[u][1][clip]
            near = sorted(range(12), key=lambda row, s=taught: -s[row].item())[:6]  # half of the queue
            p, q = torch.softmax(taught[near] / 0.05, 0), torch.softmax((rows[v] @ of[v][0][clip])[near] / 0.1, 0)
            expected = expected + weight * (p * (p.log() - q.log())).sum() / len(BATCH)
    torch.testing.assert_close(named.get("distil", torch.zeros(())), expected)


@pytest.mark.parametrize(
    ("pair", "deploy", "width"),
    [("seq+graph", "first", 16), ("graph+image", "both", 512), ("seq+image", "second", 256), ("image", "first", 256)],
)
def test_the_terms_of_isc(begun, pair, deploy, width):
    state, clips = begun("isc", f"isc.pair={pair}", f"isc.deploy={deploy}")
    method = state.method.eval()
    assert method.deployed.width == width
    views, (one, *others) = views_of(state, clips), pair.split("+")
    two = others[0] if others else one
    named = method.losses(views, BATCH)
    of = {name: embedded(method, views, name) for name in {one, two}}
    rows = {name: method.queues[name].rows for name in of}
    torch.testing.assert_close(named["first"], info_nce(of[one][0], of[two][1], rows[two], 0.07))
    if others:
        torch.testing.assert_close(named["second"], info_nce(of[two][0], of[one][1], rows[one], 0.07))
    assert len(named) == 1 + len(others)


@pytest.mark.parametrize("method", CONTRASTIVE)
def test_queries_learn_and_keys_follow(begun, method):
    state, clips = begun(method, "contrast.momentum=0.9", "crossclr.cross_from=0" if method == "crossclr" else "seed=0")
    trained = state.method
    trained.begin_epoch(0, clips, state.optimiser)
    before = {name: value.clone() for name, value in trained.followers.named_parameters()}
    queued = {name: queue.rows.clone() for name, queue in trained.queues.items()}
    TrainingStep(state, clips)(BATCH)
    assert all(each.grad is not None for each in trained.parameters() if each.requires_grad)
    assert all(each.grad is None for each in trained.followers.parameters())
    for name in trained.names:
        weight = trained.heads[name][0].weight
        behind = "clues.heads." + name if method == "scd-net" else f"{name}.head"
        old, new = (each[f"{behind}.0.weight"] for each in (before, trained.followers.state_dict()))
        torch.testing.assert_close(new, old + 0.1 * (weight - old))
        owners, keys = trained.kept
        queue = trained.queues[name]
        assert queue.owners[:10].tolist() == owners.tolist() == BATCH.tolist()
        assert torch.equal(queue.rows[:10], keys[name])
        assert torch.equal(queue.rows[10:], queued[name][10:])


@pytest.mark.parametrize("method", SMALL)
def test_nothing_of_a_step_is_read_by_the_host(begun, method):
    state, clips = begun(method, *(["contrast.mask_own=true"] if method in CONTRASTIVE else []))
    state.method.begin_epoch(3, clips, state.optimiser)
    step = TrainingStep(state, clips)
    step(BATCH)
    assert crossings(lambda: step(BATCH)) == 0  # so that a GPU can record it


@pytest.mark.parametrize("method", SMALL)
def test_what_is_deployed_can_be_bfloat16_throughout(begun, method):
    state, clips = begun(method)
    encoder = state.method.deployed.eval()
    with torch.no_grad():
        full = encoder(clips.whole(BATCH))
        half = encoder.bfloat16()(clips.whole(BATCH).bfloat16())
    assert half.dtype == torch.bfloat16
    near = torch.nn.functional.cosine_similarity(full.flatten(), half.float().flatten(), dim=0)
    assert near > 0.99


def test_views(begun):
    state, _ = begun("crossclr", "inputs=paper", "inputs.frames=16")
    assert state.method.views == (recipes.sheared, recipes.sheared)
    for method in ("crossclr", "cmd", "isc"):
        assert begun(method)[0].method.views == (plain, plain)
    of_methods = {"ssal": recipes.sheared, "mgrl": recipes.turned, "scd-net": recipes.cropped_and_turned}
    for method, own in of_methods.items():
        assert begun(method)[0].method.general == plain
        assert begun(method, "inputs.augmentation=method")[0].method.general == own
    assert begun("cmd", "inputs=paper", "inputs.frames=16")[0].method.views == (plain, plain)  # the paper family's


def test_crossclr_has_a_view_of_its_own(begun, monkeypatch):
    _, clips = begun("crossclr")
    asked = []
    monkeypatch.setattr(recipes, "crop_pad", lambda x, share, generator: asked.append(share) or x)
    view, whole = recipes.sheared(clips, BATCH, torch.Generator().manual_seed(0)), clips.whole(BATCH)
    assert asked == [6]
    for after, before in zip(view[:, :3].flatten(2), whole[:, :3].flatten(2), strict=True):
        matrix = after @ torch.linalg.pinv(before)
        torch.testing.assert_close(matrix @ before, after, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(matrix.diagonal(), torch.ones(3), atol=1e-3, rtol=0)
        assert 0 < (matrix - torch.eye(3)).abs().max() <= 0.5 + 1e-3


# A run


@pytest.fixture(scope="module")
def data(walkers, tmp_path_factory):
    place = tmp_path_factory.mktemp("family") / "set"
    walkers.select(range(0, 60, 5)).save(place)
    return place


@pytest.fixture(scope="module")
def runs(data):
    return {method: pretrain(data, config(method), data.with_name(method), "cpu") for method in SMALL}


@pytest.mark.parametrize("method", SMALL)
def test_interrupted_and_resumed_is_uninterrupted(data, runs, tmp_path, method):
    def stop(line):
        if line["epoch"] == 3:  # one past the state saved at epoch 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(data, config(method), tmp_path, "cpu", report=stop)
    torch.rand(7)  # whatever else has drawn in between
    pretrain(data, config(method), tmp_path, "cpu")
    ours, theirs = (read(run / STATE)[0] for run in (tmp_path, runs[method]))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    logs = [[line | {"seconds": None} for line in read_metrics(each)] for each in (runs[method], tmp_path)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("method", "width", "terms", "rates"),
    [
        ("crossclr", 768, ["joint", "bone", "motion"], [0.1, 0.1, 0.1, 0.01]),
        ("cmd", 48, ["joint", "bone", "motion", "distil"], [0.01, 0.01, 0.01, 0.001]),
        ("isc", 16, ["first", "second"], [0.01, 0.01, 0.01, 0.001]),
        ("scd-net", 16, ["ti", "si", "it", "is"], [0.01, 0.01, 0.01, 0.001]),
        ("ssal", 512, ["info", "divergence"], [0.1, 0.1, 0.1, 0.01]),
        ("mgrl", 256, ["spatial", "temporal"], [1.25e-3 * (1 + math.cos(math.pi * each / 4)) / 2 for each in range(4)]),
    ],
)
def test_from_a_run_to_its_tables_and_its_export(runs, tmp_path, method, width, terms, rates):
    run = runs[method]
    lines = read_metrics(run)
    assert [line["lr"] for line in lines] == pytest.approx(rates)
    assert [name for name in lines[0] if name not in ("epoch", "lr", "loss", "seconds", "stage")] == terms
    assert all(math.isfinite(line["loss"]) for line in lines)
    encoder, state = load_encoder(run), read(run / STATE)[0]
    assert (encoder.width, encoder.training) == (width, False)
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"networks"}  # no heads, keys or queues
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[f"method.deployed.{name}"])
    start = untrained_like(encoder)
    first = next(iter(encoder.networks))
    of_start = start.state_dict()
    seen = {name: value for name, value in encoder.state_dict().items() if ".normalise.running" in name}
    assert any(name.startswith(f"networks.{first}.") for name in seen)
    assert all(torch.equal(value, of_start[name]) for name, value in seen.items())
    weights = dict(start.named_parameters())
    assert not any(torch.equal(value, weights[name]) for name, value in encoder.named_parameters() if value.ndim > 1)
    found = evaluate(run, "knn", seeds=1, device="cpu")
    assert {row.features for row in found.rows} >= {"untrained", "pre-trained"}
    if method not in ("scd-net", "ssal"):  # attention and Fourier filters; a recurrent network takes long to trace
        return
    channels = 6 if encoder.config.inputs.velocity == "true" else 3
    clips = torch.randn(3, channels, 16, len(encoder.layout.joints))
    program = torch.export.load(export(run, tmp_path / "encoder.pt2"))
    torch.testing.assert_close(program.module()(clips), encoder(clips))


@pytest.mark.parametrize(
    ("method", "overrides", "message"),
    [
        ("isc", ("isc.pair=seq+image", "inputs.frames=24"), "a multiple of 16, got 24"),
        ("isc", ("isc.pair=seq", "isc.deploy=both"), "isc.deploy: both of one representation"),
        ("isc", ("modalities=[bone]",), "method=isc reads joints alone"),
        ("cmd", ("isc.pair=seq",), "isc is read by method=isc, not by method=cmd"),
        ("crossclr", ("bigru.hidden=8",), "bigru is read by method=cmd, isc, not by method=crossclr"),
        ("crossclr", ("crossclr.cross_from=2",), "crossclr.cross_from"),
        ("mgrl", ("mgrl.merge=groups",), "name fewer than two groups; mgrl.merge=clips needs none"),
        ("mgrl", ("mgrl.random_frames=10",), "leaves fewer than 4 of 16 frames"),
        ("scd-net", ("scd.heads=3",), "scd.heads: 3 do not divide model.hidden=8"),
        ("scd-net", ("modalities=[joint,bone]",), "method=scd-net reads one"),
        ("mgrl", ("contrast.queue=8",), "not by method=mgrl"),
    ],
)
def test_settings_that_cannot_be(twenty, tmp_path, method, overrides, message):
    with pytest.raises(InputError) as caught:
        pretrain(twenty, config(method, *overrides), tmp_path / "run", "cpu")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", SMALL)
def test_a_captured_step_is_the_plain_one(begun, method):
    ends = []
    for graphed in (True, False):
        torch.manual_seed(0)
        state, clips = begun(method, device="cuda")
        state.method.begin_epoch(3, clips, state.optimiser)
        step = TrainingStep(state, clips)
        step.recorder = step.recorder if graphed else None
        for _ in range(6):
            step(BATCH.cuda())
        ends.append(state.method.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name])
