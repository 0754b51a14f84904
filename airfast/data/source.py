"""Where a run's clips come from: a prepared folder, a set in memory, or the embedded synthetic walkers."""

from pathlib import Path

from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers

EMBEDDED = "embedded synthetic walkers"

Source = MotionSet | Path | str | None


def open_motion(source: Source, whole: bool = True) -> MotionSet:
    """The set itself, the prepared set in a folder, or the embedded one for None; InputError as MotionSet.load says.

    A folder is checked whole, or, for a look at a clip of it, opened at once and its frames not checked at all.
    """
    if isinstance(source, MotionSet):
        return source
    if source in (None, EMBEDDED):
        return synthetic_walkers()
    return MotionSet.load(Path(source)) if whole else MotionSet.open(Path(source))


def describe_source(source: Source) -> str | None:
    """What to write down so that :func:`open_motion` finds the set again; None for one that was in memory only."""
    if isinstance(source, MotionSet):
        return None
    return EMBEDDED if source is None else str(Path(source).resolve())
