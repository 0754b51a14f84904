"""A run that is told to end ends at a boundary between epochs, from which it goes on to the same bits."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""What Slurm and Docker, a terminal that closes, and Ctrl-C send."""


class Stopped(Exception):
    """A run was told to end; what its folder holds goes on from the last epoch.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, epochs: int | None = None) -> None:
        self.number = number
        after = "before its first epoch was over" if not epochs else f"after epoch {epochs}"
        super().__init__(f"stopped by {signal.Signals(number).name} {after}; the same command goes on from there")


@contextmanager
def listening() -> Iterator[Callable[[], None]]:
    """Within, a first signal is only noted, and the function that is given raises :class:`Stopped` once it was.

    A second one acts as it would have without. Outside the main thread, where Python hears no signals, nothing changes.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        put_back()

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def check() -> None:
        if heard:
            raise Stopped(heard[0])

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield check
    finally:
        put_back()
