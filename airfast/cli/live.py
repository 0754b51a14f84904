"""``airfast predict`` on what has not come yet: a stream of frames, files that appear."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from airfast.errors import InputError

if TYPE_CHECKING:
    from airfast.deploy.predict import Predictor

LONGEST = 1 << 20  # bytes of a line; what is longer comes in pieces, none of which is a frame
notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def check_source(
    clips: Path | None, stream: bool, watch: Path | None, out: Path | None, fps: float | None, device: str
) -> Path | None:
    """Where clips come from, None for a stream; InputError unless exactly one source was asked for."""
    if [clips is not None, stream, watch is not None].count(True) != 1:
        raise InputError("expected one of CLIPS, --stream and --watch FOLDER")
    if clips is not None:
        return clips
    if out is not None:
        raise InputError("--out: predictions of what comes go to standard output, a JSON object a line")
    if watch is not None:
        if not watch.is_dir():
            raise InputError(f"{watch}: expected a folder to watch, found {'a file' if watch.exists() else 'nothing'}")
        return watch
    if fps is None:
        raise InputError("--stream: expected --fps, the frames a second of the stream")
    if device == "cuda":
        raise InputError("--device cuda: a stream is computed on the CPU, which is quicker for one window at a time")
    return None


def show_stream(
    run: Path,
    fps: float,
    window: float | None,
    hop: float | None,
    layout: str | None,
    unit: str | None,
    up: str | None,
    threshold: float,
) -> None:
    """Frames on standard input to predictions on standard output; what is odd, and a summary, on standard error."""
    import torch

    from airfast.deploy.stream import HOP, WINDOW, Stream

    torch.set_num_threads(1)  # waking a second one costs more than it saves, and the sensor needs it
    window = WINDOW if window is None else window
    hop = min(HOP, window) if hop is None else hop
    made = Stream(run, fps, window, hop, layout, unit, up, threshold, notes.print)
    with until_stopped():
        for row in made.predict(standard_input()):
            write(row)
    notes.print(made.counts.told())


def show_watch(predictor: "Predictor", folder: Path, window: float | None, hop: float | None) -> None:
    """Files that appear in a folder to predictions on standard output; what is odd about them on standard error."""
    from airfast.data.gate import summary
    from airfast.deploy.watch import appearing

    done = failed = 0
    notes.print(f"watching {folder}; Ctrl-C ends it")
    with until_stopped():
        for path in appearing(folder):
            try:
                motion = predictor.embedder.clips(path)
                found = predictor.predict(motion, window, hop)
            except InputError as error:
                notes.print(f"passed over: {error}")
                failed += 1
                continue
            for line in summary(motion.info.get("findings", [])):
                notes.print(f"odd: {line}")
            for row in found.to_dict(orient="records"):
                write({"file": path.relative_to(folder).as_posix()} | {str(name): row[name] for name in row})
            done += 1
    notes.print(f"{done} files, {failed} that could not be read")


def standard_input() -> Iterator[str]:
    """Lines of standard input as they come."""
    while line := sys.stdin.buffer.readline(LONGEST):
        yield line.decode(errors="replace")


def write(row: dict[str, Any]) -> None:
    """A row as a JSON object a line, at once."""
    short = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
    print(json.dumps(short, ensure_ascii=False), flush=True)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Ends a block quietly on Ctrl-C, or when nobody reads what it writes any more."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # Python would flush, and complain, once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
