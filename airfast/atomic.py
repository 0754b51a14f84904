"""The one way a file is written: whole or not at all; and the one way a folder is kept from a second writer."""

import ctypes
import fcntl
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from airfast.errors import InputError


@contextmanager
def replacing(path: Path, before: Path | None = None) -> Iterator[Path]:
    """An empty file to write to, which takes the place of ``path`` once it is complete and on disk.

    What was there becomes ``before``, if such a name is given: at no moment is there neither. The new file lies in the
    same folder, under a name that nobody can foresee; what processes that were killed have left of such files is tidied
    away. An error, or the end of the process, leaves the old file as it was.

    Raises:
        InputError: one line that names ``path``, in place of any OSError.
    """
    try:
        tidy(path)
        file, part = reserve(path)
        try:
            yield part
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            if before is not None and path.exists():
                path.replace(before)
            part.replace(path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)
            os.close(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def replace_folder(new: Path, old: Path) -> None:
    """Put a complete folder in the place of another one, which then is gone; both lie on one disk, which is synced.

    They change places in one step where the system can do that; elsewhere in two, of which the first is taken back if
    the second fails. OSError where neither can be.
    """
    for file in (*new.iterdir(), new):
        sync(file)
    if not old.is_dir():
        new.rename(old)
    elif change_places(new, old):
        shutil.rmtree(new)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{old.name}.old.", dir=old.parent))
        old.rename(aside / "old")
        try:
            new.rename(old)
        except BaseException:
            (aside / "old").rename(old)
            raise
        shutil.rmtree(aside)
    sync(old.parent)


def change_places(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the system knows no such step (Linux does)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def sync(path: Path) -> None:
    """Have a file, or the names of a folder, on disk: else a power cut may take back what a rename has promised."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems know no such thing
            os.fsync(file)
    finally:
        os.close(file)


def free_space(folder: Path) -> int:
    """Bytes that can still be written to the disk of a folder, or of the nearest one above it that is there."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    about = os.statvfs(there)
    return about.f_bavail * about.f_frsize


def check_space(out: Path, needed: int, what: str) -> None:
    """Raise InputError, before any work, where a disk cannot take the bytes that will be written to it."""
    if (free := free_space(out)) < needed:
        has = f"{free / 1e6:,.0f} MB are free"
        raise InputError(f"{out}: {what} will take about {needed / 1e6:,.0f} MB, and {has}; use another --out")


def check_ending(out: Path, endings: Sequence[str]) -> None:
    """Raise InputError, before any work, unless a name ends in one of these."""
    if out.suffix not in endings:
        raise InputError(f"--out {out}: expected a name that ends in {' or '.join(endings)}")


def write_text(path: Path, text: str) -> None:
    """A text as UTF-8; as :func:`replacing`."""
    with replacing(path) as part:
        part.write_bytes(text.encode())


def reserve(path: Path) -> tuple[int, Path]:
    """A new file beside ``path`` and its open descriptor, locked for as long as it is open: so it is not a leftover."""
    while True:
        part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.part")
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks has no tidying either
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return file, part
        os.close(file)  # another process tidied it away between its making and its lock


def tidy(path: Path) -> None:
    """Remove the parts of ``path`` that nobody holds: their writers are dead."""
    start = f".{path.name[:200]}."
    for part in path.parent.iterdir():
        if not (part.name.startswith(start) and part.name.endswith(".part")):
            continue
        with suppress(OSError):
            file = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
            finally:
                os.close(file)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that write here out of a folder, which is made if there is none.

    The lock is the kernel's: it goes when the process ends, however it ends.

    Raises:
        InputError: another process holds it, which is named; or the folder cannot be written.
    """
    with lock(folder, folder / ".lock"):
        yield


@contextmanager
def alone_for(target: Path) -> Iterator[None]:
    """As :func:`alone_in`, for a folder that is replaced as a whole: the lock lies beside it."""
    with lock(target, target.absolute().with_name(f".{target.absolute().name}.lock")):
        yield


@contextmanager
def lock(what: Path, path: Path) -> Iterator[None]:
    """Hold a lock file, which is gone afterwards; InputError, about ``what``, where another process does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = take(path)
    except BlockingIOError:
        holder = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
        raise InputError(f"{what}: {holder or 'another process'} is at work there; use another --out") from None
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror or error})") from None
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is still locked, so that nobody else's is taken away
        os.close(file)


def take(path: Path) -> int:
    """The locked descriptor of a lock file that names this process; BlockingIOError where another one holds it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                os.truncate(file, 0)
                os.write(file, f"process {os.getpid()} on {platform.node()}\n".encode())
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder went, and took the file along, between the opening and the lock
