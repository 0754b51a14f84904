"""Every step of the writers of a run fails, or is the last one: what was there before can still be read."""

import os

import pytest

from airfast import atomic
from airfast.errors import InputError
from benchmarks.reliability import FAULTS, Writer, injected, writers


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_nothing_is_lost_at_any_step(tmp_path, threads):
    threads(1)  # a child that was forked would wait for the others
    for writer in writers(tmp_path):
        found = injected(writer)
        assert found.keys() == FAULTS.keys()
        for fault, each in found.items():
            assert each["wrong"] == [], (writer.name, fault)
            assert each["injected"] >= 2


def test_a_writer_that_is_not_atomic_is_found_out(tmp_path):
    def in_place():
        file = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(file, b"half ")
        os.fsync(file)
        os.write(file, b"whole")
        os.close(file)

    found = injected(Writer("in place", in_place, (tmp_path / "f").read_text))
    assert "another answer" in found["killed"]["wrong"][0]
    assert any("OSError" in line for line in found["disk full"]["wrong"])  # not said in one line, either


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_takes_the_place_of_another(tmp_path, monkeypatch, in_one_step):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    if not in_one_step:
        monkeypatch.setattr(atomic, "change_places", lambda *_: False)
    elif not atomic.change_places(tmp_path / "new", tmp_path / "old"):
        pytest.skip("this file system knows no such step")
    else:
        atomic.change_places(tmp_path / "new", tmp_path / "old")
    atomic.replace_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_cannot_take_the_place_leaves_it_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "file").write_text("old")
    plain = atomic.Path.rename

    def rename(path, target):
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return plain(path, target)

    monkeypatch.setattr(atomic, "change_places", lambda *_: False)
    monkeypatch.setattr(atomic.Path, "rename", rename)
    with pytest.raises(OSError, match="No space left"):
        atomic.replace_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "old"


def test_prepare_has_one_writer_at_a_time(tmp_path):
    from airfast.data.prepare import prepare
    from tests.data.bvh_text import bvh

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bvh").write_text(bvh())
    with (
        atomic.alone_for(tmp_path / "set"),
        pytest.raises(InputError, match=rf"set: process {os.getpid()} on .* is at work there; use another --out"),
    ):
        prepare(tmp_path / "in", None, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
