"""A run that several ranks make: who may, one state for all, and a signal that all hear before the same batch.

Everything but batches, features and labels is done by every rank alike, from the same state and the same random
numbers; the first rank alone reads and writes the folder.
"""

import time
from collections.abc import Callable

from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.errors import InputError
from airfast.ranks import Ranks
from airfast.runs.checkpoint import TrainingState
from airfast.training.stopping import Stopped


def check_shareable(ranks: Ranks, config: Config, clips: DeviceClips) -> None:
    """Raise InputError, on all ranks, for what they cannot share, or where one would train something else."""
    if clips.frames.is_cuda:
        raise InputError("group: ranks share the training of CPUs; expected --device cpu, found cuda")
    fewest = len(clips) // -(-len(clips) // config.train.batch_size)  # as training cuts them
    if fewest < ranks.count:
        raise InputError(f"group: expected a batch of at least one clip a rank, found {fewest} for {ranks.count} ranks")
    ranks.agree_on("configuration", config.to_yaml().encode())
    ranks.agree_on("clips", clips.frames.numpy().data, clips.lengths.numpy().data)


def take_state(ranks: Ranks, state: TrainingState, done: int) -> int:
    """The first rank's state, and the epochs behind it, on all."""
    done, held = ranks.tell_object((done, state.held(done) if ranks.rank == 0 else None), 0)
    if held is not None and ranks.rank:
        state.take(held)
    return done


class AtWork:
    """Seconds that each rank was at work, and not waiting for others, in the stages of an epoch.

    What all take by the clock is what the slowest takes: at work, it is the one that stands out.
    """

    def __init__(self, ranks: Ranks | None) -> None:
        self.ranks, self.last, self.laps = ranks, time.perf_counter() - Ranks.waited, dict[str, float]()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to a stage, less what went by in exchanges."""
        now = time.perf_counter() - Ranks.waited
        self.laps[stage], self.last = now - self.last, now

    def by_rank(self) -> dict[str, dict[str, list[float]]]:
        """For the log: by stage, of each rank; nothing of a process alone. Every rank asks."""
        if self.ranks is None:
            return {}
        told = {stage: self.ranks.each(seconds) for stage, seconds in self.laps.items()}
        return {"at_work": {stage: [round(each, 4) for each in seconds.tolist()] for stage, seconds in told.items()}}


def heard_by_all(ranks: Ranks, check: Callable[[], None]) -> Callable[[], None]:
    """A check for signals that raises :class:`Stopped` on all ranks before the same batch, if any has heard one."""

    def check_all() -> None:
        heard = 0
        try:
            check()
        except Stopped as stopped:
            heard = stopped.number
        if number := int(ranks.each(heard).max()):
            raise Stopped(number)

    return check_all
