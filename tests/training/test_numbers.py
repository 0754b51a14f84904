"""Numbers that are not finite, memory and disk that do not suffice, labels without clusters: what is said."""

import sys
import warnings

import pytest
import torch

from airfast import atomic
from airfast.errors import InputError, NonFiniteLoss, Note
from airfast.evaluate.supervised import train_supervised
from airfast.methods.air import air
from airfast.runs.checkpoint import STATE, read
from airfast.runs.folder import read_metrics, read_split
from airfast.training import supervised
from airfast.training.step import TrainingStep
from tests.training.test_stopping import same_state

room = sys.modules["airfast.training.pretrain"]
pretrain = room.pretrain


def spoilt(monkeypatch, value, epoch, batch):
    """Let the loss of one batch be another value, as a network that diverges would; returns its clips, once it was."""
    plain, found = room.train_epoch, []

    def train_epoch(step, decided, number, check=lambda: None):
        call, steps = TrainingStep.__call__, []

        def one(self, clips):
            steps.append(clips)
            losses = call(self, clips)
            if (number, len(steps)) != (epoch, batch):
                return losses
            found.extend(clips.tolist())
            return losses * value

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingStep, "__call__", one)
            return plain(step, decided, number, check)

    monkeypatch.setattr(room, "train_epoch", train_epoch)
    return found


def test_a_loss_names_epoch_batch_and_clips_and_nothing_is_lost(walkers, tiny, tmp_path, monkeypatch):
    config = tiny("train.epochs=4", "train.checkpoint_every=10")
    pretrain(walkers, config, tmp_path / "whole", "cpu")
    clips = spoilt(monkeypatch, float("inf"), epoch=2, batch=2)
    with pytest.raises(
        NonFiniteLoss, match=r"epoch 3, batch 2: the loss is not finite; clips .* and \d+ more"
    ) as found:
        pretrain(walkers, config, tmp_path / "run", "cpu")
    named = str(found.value).partition("clips ")[2].partition(" and ")[0].split(", ")
    train = read_split(tmp_path / "run")["train"]
    assert named == [train[each] for each in clips[:4]]
    assert read(tmp_path / "run" / room.NOT_FINITE)[1]["epoch"] == 2
    assert read(tmp_path / "run" / STATE)[1]["epoch"] == 2  # though only every tenth is saved
    monkeypatch.undo()
    pretrain(walkers, config, tmp_path / "run", "cpu")
    same_state(tmp_path / "whole", tmp_path / "run")


def test_features_name_the_clips(walkers, tiny, tmp_path, monkeypatch):
    plain = air.all_features

    def broken(method, clips):
        features = plain(method, clips)
        features["ha"][[3, 5]] = float("nan")
        return features

    monkeypatch.setattr(air, "all_features", broken)
    names = walkers.names
    with pytest.raises(
        NonFiniteLoss, match="epoch 3, before its first batch: features are not finite; clips "
    ) as found:
        pretrain(walkers, tiny("split.kind=none"), tmp_path, "cpu")
    assert f"clips {names[3]}, {names[5]};" in str(found.value)


def test_training_with_labels_names_them_too(walkers, tiny, tmp_path, monkeypatch):
    plain, calls = supervised.F.cross_entropy, []

    def diverging(*given):
        calls.append(1)
        return plain(*given) * (float("nan") if len(calls) == 2 else 1)

    batches, cut = [], supervised.epoch_batches
    monkeypatch.setattr(supervised.F, "cross_entropy", diverging)
    monkeypatch.setattr(supervised, "epoch_batches", lambda *given: batches.append(cut(*given)) or batches[0])
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, batch 2: the loss is not finite; clips actor") as found:
        train_supervised(walkers, config_of(), tmp_path, "cpu")
    train = read_split(tmp_path)["train"]
    assert f"clips {', '.join(train[each] for each in batches[0][1][:4].tolist())} and" in str(found.value)


def config_of():
    from airfast.config import load_config

    return load_config("small", overrides=("train.epochs=2", "split.kind=random", "model.hidden=8"), method="st-gcn")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_a_batch_size(walkers, tiny, tmp_path, monkeypatch, error):
    config = tiny("train.epochs=3", "train.checkpoint_every=10")
    plain = room.train_epoch

    def full(step, decided, epoch, check):
        if epoch == 1:
            raise error
        return plain(step, decided, epoch, check)

    monkeypatch.setattr(room, "train_epoch", full)
    with pytest.raises(
        InputError, match=r"epoch 2: out of memory with train\.batch_size=16; try -o train\.batch_size=8"
    ):
        pretrain(walkers, config, tmp_path, "cpu")
    assert read(tmp_path / STATE)[1]["epoch"] == 1
    monkeypatch.undo()
    assert len(read_metrics(pretrain(walkers, config, tmp_path, "cpu"))) == 3


def test_out_of_memory_in_the_label_stage_blames_no_batch(walkers, tiny, tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(air, "discrete_labels", full)
    with pytest.raises(InputError, match="epoch 3: out of memory before its first batch, while all 48 clips") as found:
        pretrain(walkers, tiny(), tmp_path, "cpu")
    assert "batch_size" not in str(found.value)
    assert read(tmp_path / STATE)[1]["epoch"] == 2


def test_another_error_is_raised_as_it_is(walkers, tiny, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(room, "train_epoch", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pretrain(walkers, tiny(), tmp_path, "cpu")


def test_a_disk_that_is_too_small_is_said_before_the_first_epoch(walkers, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "free_space", lambda _: 1_000_000)
    with pytest.raises(InputError, match=r"the run will take about [1-9][0-9]* MB, and 1 MB are free"):
        pretrain(walkers, tiny(), tmp_path, "cpu", report=pytest.fail)


def test_what_a_run_is_said_to_take_is_what_it_takes(walkers, tiny, tmp_path):
    config = tiny("air.keep_every=2")
    run = pretrain(walkers, config, tmp_path, "cpu")
    taken = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    state = room.begin(config, walkers, room.DeviceClips.from_motion(walkers, config.inputs, "cpu"))
    said = room.space(state, len(walkers), config)
    assert taken < said < 3 * taken


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        (("air.cluster.eps=0.001",), "only noise: a larger air.cluster.eps"),
        (("air.cluster.eps=1",), "one cluster: a smaller"),
    ],
)
def test_labels_that_tell_nothing_apart_are_said_once(walkers, tiny, tmp_path, overrides, advice):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        pretrain(walkers, tiny("train.epochs=9", *overrides), tmp_path, "cpu")
    said = [str(each.message) for each in heard if issubclass(each.category, Note)]
    assert len(said) == 1
    assert said[0].startswith(f"5 epochs with {advice}")


def test_labels_that_do_are_not(walkers, tiny, tmp_path):
    pretrain(walkers, tiny("train.epochs=8"), tmp_path, "cpu")  # a Note would be an error


def test_labels_are_kept_of_every_so_many_epochs_and_of_the_last(walkers, tiny, tmp_path):
    run = pretrain(walkers, tiny("train.epochs=7", "air.keep_every=3"), tmp_path, "cpu")
    assert [path.name for path in sorted((run / "labels").iterdir())] == [
        "epoch_0003.parquet",
        "epoch_0006.parquet",
        "epoch_0007.parquet",
    ]
