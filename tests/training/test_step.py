"""The step, its schedule of captures, and what crosses between host and device: nothing that grows with the data."""

import sys

import pytest
import torch

from airfast.data.dataset import DeviceClips
from airfast.methods.air import air
from airfast.methods.air.air import all_features
from airfast.methods.air.amdl import EpochLabels
from airfast.methods.method import Epoch
from airfast.training.optimiser import set_learning_rate
from airfast.training.step import PLAIN_STEPS, TrainingStep
from tests.crossings import crossings

pretraining = sys.modules["airfast.training.pretrain"]  # the package's own name ``pretrain`` is the function


@pytest.fixture
def begun(walkers, tiny):
    """A function from overrides to a fresh step on the walkers: the same weights and random numbers every time."""

    def begin(*overrides, motion=walkers, device="cpu"):
        config = tiny(*overrides)
        clips = DeviceClips.from_motion(motion, config.inputs, device)
        return TrainingStep(pretraining.begin(config, motion, clips), clips)

    return begin


def labelled(step, clusters):
    """The labels i mod K taken as those of the epoch; returns what the method has decided: nothing more."""
    labels = torch.arange(len(step.clips), device=step.clips.device) % clusters
    method = step.state.method
    found = EpochLabels(labels, torch.full_like(labels, 0.5, dtype=torch.float32), clusters, None)
    method.take(found, all_features(method, step.clips), step.state.optimiser)
    return Epoch()


def weights(step):
    return torch.cat([each.detach().flatten() for each in step.state.method.parameters()])


class Recorder:
    """Stands in for the CUDA graph: a recording does not run, a replay does; counts both."""

    def __init__(self):
        self.captures, self.replays, self.run = 0, 0, None

    def plain(self, run):
        self.run = None
        return run()

    def capture(self, run):
        self.captures, self.run = self.captures + 1, run

    def replay(self):
        self.replays += 1
        return self.run()


def epochs(step):
    """Warm-up, two epochs with other clusters, one at another rate, one with more clusters than the head has rows."""
    log = [pretraining.train_epoch(step, Epoch(), 0)]
    log += [pretraining.train_epoch(step, labelled(step, clusters), epoch) for epoch, clusters in ((1, 3), (2, 7))]
    set_learning_rate(step.state.optimiser, 1e-5)
    log.append(pretraining.train_epoch(step, labelled(step, 5), 3))
    return log


def test_captured_steps_are_the_plain_ones_and_a_new_cluster_count_captures_nothing(begun):
    plain, recorded = begun("train.batch_size=8"), begun("train.batch_size=8")
    recorded.recorder = Recorder()
    assert epochs(plain) == epochs(recorded)
    assert torch.equal(weights(plain), weights(recorded))
    assert recorded.recorder.captures == 3  # without targets, with targets, another rate
    steps = 4 * -(-60 // 8)  # four epochs of the 60 walkers in batches of 8
    assert recorded.recorder.replays == steps - 3 * PLAIN_STEPS


def test_heads_that_grow_are_captured_anew(begun):
    step = begun("train.batch_size=8")
    step.recorder = Recorder()
    for rows in (128, 256):
        for head in step.state.method.heads.values():
            head.resize(rows)
        pretraining.train_epoch(step, labelled(step, 3), 0)
    assert step.recorder.captures == 2


def test_rows_beyond_the_clusters_do_not_move_and_moments_keep_their_place(begun):
    step = begun("train.weight_decay=0.1")
    pretraining.train_epoch(step, labelled(step, 9), 0)
    head = step.state.method.heads["x"].weight
    moments = step.state.optimiser.state[head]
    assert moments["exp_avg"][:9].any(dim=1).all()
    addresses = {name: each.data_ptr() for name, each in moments.items()}
    labels = labelled(step, 4)
    assert not any(each.any() for each in step.state.optimiser.state[head].values())
    before = head.detach().clone()
    pretraining.train_epoch(step, labels, 1)
    assert (head[:4] != before[:4]).any()
    assert not head[4:].any()
    assert addresses == {name: each.data_ptr() for name, each in step.state.optimiser.state[head].items()}


# What would be a copy between host and device, or a wait for the device, if the tensors lay on one.


@pytest.mark.parametrize(
    "offence",
    [
        lambda clips: clips.tolist(),
        lambda clips: clips.sum().item(),
        lambda clips: float(clips.sum()),
        lambda clips: bool(clips.sum() > 0),
        lambda clips: clips.cpu(),
        lambda clips: clips.numpy(),
        lambda clips: clips[..., [0, 2, 1]],
        lambda clips: clips[clips > 0],
        lambda clips: clips.new_tensor([-1.0, 1.0, 1.0]),
        lambda clips: torch.tensor(3),
    ],
)
def test_the_counter_sees_every_way_across(offence):
    assert crossings(lambda: offence(torch.arange(3.0))) > 0


@pytest.mark.parametrize("overrides", [(), ("inputs=paper", "inputs.frames=16"), ("air.heads=[x,la,ha]",)])
@pytest.mark.parametrize("clusters", [None, 4])
def test_what_crosses_in_an_epoch_does_not_grow_with_batches_or_clips(begun, walkers, monkeypatch, overrides, clusters):
    monkeypatch.setattr(air, "FEATURE_BATCH", 16)
    counts = []
    for clips in (20, 60):  # two batches and four
        step = begun(*overrides, motion=walkers.select(range(clips)))

        def epoch(step=step):
            step.state.method.inputs.fit(step.clips.batches(16))
            pretraining.train_epoch(step, labelled(step, clusters) if clusters else Epoch(), 0)

        epoch()  # Adam makes its moments
        counts.append(crossings(epoch))
    assert counts[0] == counts[1]
    assert counts[0] == 1  # the losses, read once


def test_bf16_is_the_same_step_in_less_precision(begun):
    full, half = (pretraining.train_epoch(begun(f"train.precision={name}"), Epoch(), 0) for name in ("fp32", "bf16"))
    assert half["loss"] != full["loss"]
    assert half["loss"] == pytest.approx(full["loss"], rel=0.05)  # bf16 keeps 8 bits: 0.4 % a product


def test_dropped_noise_does_not_change_the_size_of_a_batch(begun):
    """Another number of clips every epoch, one recording: every batch is full, with clips of the first at the end."""
    step = begun("train.batch_size=16", "air.cluster.outliers=drop")
    step.recorder = Recorder()
    for noise in (0, 5, 11, 19):
        labelled(step, 4)
        batches = pretraining.epoch_batches(60, 16, step.state.generator, torch.arange(noise, 60))
        assert [len(batch) for batch in batches] == [16] * -(-(60 - noise) // 16)
        times = torch.bincount(torch.cat(batches), minlength=60)
        assert times[:noise].sum() == 0
        assert set(times[noise:].tolist()) <= {1, 2}
        for batch in batches:
            step(batch)
    assert step.recorder.captures == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graph_gives_what_plain_steps_give(begun):
    plain, graphed = begun("train.batch_size=8", device="cuda"), begun("train.batch_size=8", device="cuda")
    plain.recorder = None
    assert epochs(plain) == epochs(graphed)
    assert torch.equal(weights(plain), weights(graphed))
    assert torch.equal(plain.state.generator.get_state(), graphed.state.generator.get_state())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_captured_epoch_waits_for_the_device_once(begun):
    step = begun("train.batch_size=8", device="cuda")
    pretraining.train_epoch(step, labelled(step, 4), 0)
    batches = pretraining.epoch_batches(60, 8, step.state.generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
