"""Files as they appear in a folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from airfast.data.readers.choose import is_motion
from airfast.data.readers.openpose import is_openpose
from airfast.errors import InputError


def appearing(folder: Path, wait: Callable[[], None] = lambda: time.sleep(1)) -> Iterator[Path]:
    """Motion files that are not there yet, each once it has stopped growing: its size and time stood still for a wait.

    Args:
        folder: is looked through to any depth; hidden files, and frames that are a file each, are passed over. What is
            replaced by another file of the same name appears again.
        wait: until the next look.

    Raises:
        InputError: the folder has gone.
    """
    done = state(folder)
    before = done
    while True:
        wait()
        now = state(folder)
        for path in sorted(now):
            if now[path] == before.get(path) and done.get(path) != now[path]:
                yield path
        done = {path: seen for path, seen in now.items() if before.get(path) == seen}
        before = now


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of every motion file of a folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder to watch, which it is no longer")
    found = {}
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and is_motion(path) and not is_openpose(path):
            try:
                seen = path.stat()
            except OSError:  # gone between being listed and being looked at
                continue
            found[path] = (seen.st_size, seen.st_mtime_ns)
    return found
