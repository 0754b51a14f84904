"""A run that is told to end loses no whole epoch, says how to go on, and goes on to the same bits."""

import os
import signal
import threading

import pytest
import torch

from airfast.config import load_config
from airfast.evaluate import supervised as supervised_room
from airfast.evaluate.supervised import train_supervised
from airfast.runs.checkpoint import STATE, read
from airfast.runs.folder import read_metrics
from airfast.training import pretrain as pretrain_room
from airfast.training.pretrain import pretrain
from airfast.training.stopping import SIGNALS, Stopped, listening
from tests.cli.test_app import run  # noqa: F401
from tests.conftest import TINY

SETTINGS = (*TINY, "train.epochs=4", "air.warmup=1", "train.checkpoint_every=10", "train.batch_size=8")


def same_state(one, other):
    (left, about), (right, its) = (read(place / STATE, "epoch") for place in (one, other))
    assert left.keys() == right.keys()
    assert about["epoch"] == its["epoch"]
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=0, atol=0, msg=name)


def told_after(epoch, number=signal.SIGTERM):
    return lambda metrics: os.kill(os.getpid(), number) if metrics["epoch"] == epoch else None


@pytest.mark.parametrize("number", SIGNALS)
def test_it_goes_on_to_the_same_bits(walkers, tmp_path, number):
    config = load_config("demo", overrides=SETTINGS)
    few = walkers.select(range(30))
    whole = pretrain(few, config, tmp_path / "whole", "cpu")
    with pytest.raises(Stopped, match=f"stopped by {number.name} after epoch 2; the same command goes on from there"):
        pretrain(few, config, tmp_path / "told", "cpu", report=told_after(2, number))
    assert read(tmp_path / "told" / STATE, "epoch")[1]["epoch"] == 2  # and not where it was last to be saved
    assert len(read_metrics(tmp_path / "told")) == 2
    again = pretrain(few, config, tmp_path / "told", "cpu")
    same_state(whole, again)
    log = [[{k: v for k, v in line.items() if k != "seconds"} for line in read_metrics(r)] for r in (whole, again)]
    assert log[0] == log[1]


def test_training_with_labels_does_so_too(walkers, tmp_path):
    config = load_config("demo", overrides=("train.epochs=2", "train.checkpoint_every=10"), method="st-gcn")
    few = walkers.select(range(24))
    train_supervised(few, config, tmp_path / "whole", "cpu")
    with pytest.raises(Stopped, match="after epoch 1"):
        train_supervised(few, config, tmp_path / "told", "cpu", report=told_after(1))
    train_supervised(few, config, tmp_path / "told", "cpu")
    same_state(tmp_path / "whole", tmp_path / "told")


def test_before_the_first_epoch_nothing_is_left_that_would_be_in_the_way(walkers, tmp_path, monkeypatch):
    config = load_config("demo", overrides=SETTINGS)
    monkeypatch.setattr(pretrain_room, "write_environment", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match="before its first epoch was over"):
        pretrain(walkers, config, tmp_path / "run", "cpu")
    monkeypatch.undo()
    assert pretrain(walkers, config, tmp_path / "run", "cpu").is_dir()


def test_the_commands_status_is_that_of_the_signal(run, walkers, tmp_path, monkeypatch):  # noqa: F811
    walkers.save(tmp_path / "set")
    append = pretrain_room.append_metrics
    monkeypatch.setattr(pretrain_room, "append_metrics", lambda *given: (append(*given), told_after(1)(given[1])))
    words = ("-o", "split.kind=random", *(word for each in SETTINGS for word in ("-o", each)))
    status, _, err = run(
        "pretrain", tmp_path / "set", "--preset", "demo", *words, "--out", tmp_path / "run", "--device", "cpu"
    )
    assert status == 143
    assert "stopped by SIGTERM after epoch 1; the same command goes on from there" in err
    assert supervised_room.listening is listening


@pytest.fixture
def interruptible():
    """SIGINT as it is for a command that a person typed: a shell lets what runs behind ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_is_not_held_back_and_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with listening() as check:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_are_left_alone():
    heard = []

    def work():
        with listening() as check:
            heard.append(signal.getsignal(signal.SIGTERM))
            check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [signal.getsignal(signal.SIGTERM)]
