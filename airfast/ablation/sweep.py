"""Many runs, unattended: a few processes at a time, finished ones skipped, interrupted ones resumed."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from airfast.atomic import write_text
from airfast.config import Config
from airfast.errors import InputError
from airfast.runs.folder import describe_folder, read_evaluation

POLL_SECONDS = 0.5
LIVES = 3  # times a run is started before a kill counts as its failure
EVALUATIONS = ("evaluate-linear.json", "evaluate-knn.json")


@dataclass(frozen=True)
class Job:
    """A run to be made: its folder, and the configuration it is made with."""

    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    def log(self) -> Path:
        """What the run printed; beside its folder, as is the configuration it was started with."""
        return self.folder.with_name(f"{self.name}.log")

    def finished(self) -> bool:
        """Whether it was trained and evaluated to its end: its tables can be read."""
        try:
            return all(bool(read_evaluation(self.folder / each)["rows"]) for each in EVALUATIONS)
        except InputError:
            return False

    def epochs_done(self) -> int:
        """Epochs it has behind it, as its log of metrics tells."""
        path = self.folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0


@dataclass(frozen=True)
class SweepState:
    """How far a sweep is.

    Attributes:
        epochs, epochs_in_all: epochs done, of finished runs too, and to do.
        runs, runs_in_all: runs finished and wanted.
        news: what happened since the last call: runs finished, killed, failed.
    """

    epochs: int
    epochs_in_all: int
    runs: int
    runs_in_all: int
    news: tuple[str, ...]


def run_sweep(
    data: Path, jobs: Sequence[Job], workers: int, device: str, report: Callable[[SweepState], None]
) -> list[str]:
    """Make every run that is not finished, by ``airfast pretrain`` in processes of its own.

    A run goes on where its last saved state stopped. One whose process is killed is started again (three lives); one
    that fails is left, and the others go on. If this process ends, so do its children.

    Args:
        data: a prepared set.
        jobs: the runs, in the order in which they are started; their folders lie in one folder.
        workers: runs at a time; the cores are shared out among them.
        device: auto, cpu or cuda.
        report: called twice a second, and when all is done.

    Returns:
        A line for every run that failed.

    Raises:
        InputError: a folder holds a run of another configuration or set, another sweep is at work there, or a run's
            input was wrong.
    """
    for job in jobs:
        check_folder(job, data)
    queue = deque(job for job in jobs if not job.finished())
    running: dict[Job, subprocess.Popen[bytes]] = {}
    lives = {job.name: LIVES for job in queue}
    failed: list[str] = []
    with locked(jobs[0].folder.parent) as lock, ending_children(running):
        while queue or running:
            while queue and len(running) < workers:
                job = queue.popleft()
                running[job] = start(data, job, workers, device, lock)
            news = [line for job in list(running) for line in reap(job, running, queue, lives, failed)]
            report(state_of(jobs, news))
            if running:
                time.sleep(POLL_SECONDS)
    report(state_of(jobs, []))
    return failed


def check_folder(job: Job, data: Path) -> None:
    """Raise InputError where a run's folder holds one of another configuration, or of another set."""
    found = describe_folder(job.folder)
    if found is None:
        return
    text, source = found
    if text != job.config.to_yaml() or source != str(data.resolve()):
        what = "another set" if text == job.config.to_yaml() else "another configuration"
        raise InputError(f"{job.folder}: holds a run of {what}; use another --out, or remove it")


def start(data: Path, job: Job, workers: int, device: str, lock: int) -> "subprocess.Popen[bytes]":
    """Start a run; it holds the sweep's lock too, so that an orphan keeps others out until it ends."""
    settings = job.folder.with_name(f"{job.name}.yaml")
    write_text(settings, job.config.to_yaml())
    command = [sys.executable, "-m", "airfast.cli", "pretrain", str(data), "--config", str(settings)]
    command += ["--preset", job.config.preset, "--out", str(job.folder)]
    threads = str(max(1, len(os.sched_getaffinity(0)) // workers))
    limits = {name: os.environ.get(name, threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    with job.log().open("ab") as log:
        return subprocess.Popen(
            [*command, "--device", device],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | limits,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends its children
        )


def reap(
    job: Job,
    running: dict[Job, "subprocess.Popen[bytes]"],
    queue: deque[Job],
    lives: dict[str, int],
    failed: list[str],
) -> Iterator[str]:
    """Take a run off the list if its process has ended, and say how it ended."""
    status = running[job].poll()
    if status is None:
        return
    del running[job]
    lives[job.name] -= 1
    if status == 0 and job.finished():
        yield f"finished {job.name}"
    elif (number := signal_of(status)) and lives[job.name]:
        queue.appendleft(job)
        yield f"killed by signal {number} after {job.epochs_done()} epochs, started again: {job.name}"
    else:
        said = job.log().read_text(encoding="utf-8", errors="replace").strip().splitlines()
        line = f"{job.name}: {said[-1] if said else f'exit status {status}'}"
        if status == 2:
            raise InputError(f"{line} ({job.log()})")
        failed.append(line)
        yield f"failed {line}"


def signal_of(status: int) -> int:
    """The signal that ended a process, by itself or because the run heard it and stopped; 0 for none."""
    return -status if status < 0 else max(0, status - 128)


def state_of(jobs: Sequence[Job], news: list[str]) -> SweepState:
    """How far the runs are."""
    return SweepState(
        epochs=sum(job.epochs_done() for job in jobs),
        epochs_in_all=sum(job.config.train.epochs for job in jobs),
        runs=sum(job.finished() for job in jobs),
        runs_in_all=len(jobs),
        news=tuple(news),
    )


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Keep a second sweep out of a folder; the lock is let go when the last process that holds it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another sweep, or a run that one left behind, is at work there") from None
        yield file.fileno()


@contextmanager
def ending_children(running: dict[Job, "subprocess.Popen[bytes]"]) -> Iterator[None]:
    """End the runs at work when this process is told to end (SIGTERM, Ctrl-C) or fails."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
        signal.signal(signal.SIGTERM, before)
