"""Where a run's clips come from: a prepared folder, a set in memory, or the embedded synthetic walkers."""

from pathlib import Path

from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers

EMBEDDED = "embedded synthetic walkers"

Source = MotionSet | Path | str | None


def open_motion(source: Source) -> MotionSet:
    """The set itself, the prepared set in a folder, or the embedded one for None; InputError as MotionSet.load says."""
    if isinstance(source, MotionSet):
        return source
    return synthetic_walkers() if source in (None, EMBEDDED) else MotionSet.load(Path(source))


def describe_source(source: Source) -> str | None:
    """What to write down so that :func:`open_motion` finds the set again; None for one that was in memory only."""
    if isinstance(source, MotionSet):
        return None
    return EMBEDDED if source is None else str(Path(source).resolve())
