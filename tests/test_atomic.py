"""Files are whole or as they were, and two processes never write one run."""

import os
import signal
import subprocess
import sys

import pytest

from airfast.atomic import alone_in, replacing, write_text
from airfast.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from airfast.atomic import alone_in, replacing
with {what} as part:
    if part:
        part.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def holder(what, path):
    """A process inside a block of one of the two, to be killed there."""
    text = HOLD.format(what=f"{what}(Path({str(path)!r}))")
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "table.json"
    write_text(path, "old")

    def fail(part):
        part.write_text("half")
        assert path.read_text() == "old"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        fail(part)
    assert path.read_text() == "old"
    write_text(path, "naïve")
    assert path.read_bytes() == "naïve".encode()
    assert os.listdir(tmp_path) == ["table.json"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_names_of_parts_cannot_be_foreseen(tmp_path):
    path, victim = tmp_path / "table.json", tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".table.json.part").symlink_to(victim)  # the name that parts once had
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert victim.read_text() == "precious"


def test_an_error_of_the_system_is_one_line_that_names_the_file(tmp_path):
    path = tmp_path / "gone" / "table.json"
    with pytest.raises(InputError, match=r"gone/table\.json: cannot be written \(No such file or directory\)$"):
        write_text(path, "")
    full = tmp_path / "full.json"
    with (
        pytest.raises(InputError, match=r"full\.json: cannot be written \(No space left on device\)$"),
        replacing(full),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_the_old_file_and_its_part_is_tidied_but_not_a_living_ones(tmp_path):
    path = tmp_path / "table.json"
    path.write_text("old")
    process = holder("replacing", path)
    write_text(path, "new")
    assert len(list(tmp_path.glob(".*.part"))) == 1
    kill(process)
    assert path.read_text() == "new"
    assert len(list(tmp_path.glob(".*.part"))) == 1
    write_text(path, "newer")
    assert os.listdir(tmp_path) == ["table.json"]


def test_a_folder_has_one_writer_until_it_ends_or_is_killed(tmp_path):
    run = tmp_path / "run"
    process = holder("alone_in", run)
    with (
        pytest.raises(InputError, match=rf"run: process {process.pid} on \S+ is at work there; use another"),
        alone_in(run),
    ):
        pass
    kill(process)
    assert (run / ".lock").exists()
    with alone_in(run):
        assert (run / ".lock").read_text().startswith(f"process {os.getpid()} ")
        with pytest.raises(InputError, match=f"process {os.getpid()}"), alone_in(run):
            pass
    assert not list(run.iterdir())
