"""What the rows of frozen features say together, in one line."""

from collections.abc import Sequence

import numpy as np

from airfast.evaluate.table import Row, half_width

BESIDE = {"untrained": "its untrained twin", "hand-made": "hand-made statistics"}


def conclusion(rows: Sequence[Row]) -> str:
    """The pre-trained encoder beside what it must beat, from the fewest labels and from all: points of accuracy.

    Seed by seed: a draw of labels, or a probe's weights, is the same for all. A difference whose 95 % interval holds 0
    is called level. The interval is of draws and probes alone, and says nothing of other splits or other encoders.

    Args:
        rows: with those of the linear protocol or of few labels, or of both.

    Returns:
        A sentence; empty where the rows are of neither.
    """
    known = {(row.features, row.probe, row.each): row for row in rows}
    fewest = min((row.each for row in rows if row.each is not None), default=None)
    asked = {
        f"{fewest} labelled clip{'s' if fewest != 1 else ''} a class": ("logistic", fewest),
        "all labels": ("linear", None),
    }
    said = []
    for how, key in asked.items():
        if ("pre-trained", *key) not in known:
            continue
        ours = known["pre-trained", *key]
        found = [
            f"{placed(ours, known[name, *key])} {title}" for name, title in BESIDE.items() if (name, *key) in known
        ]
        said.append(f"with {how} {' and '.join(found)}")
    return f"the pre-trained encoder is, {'; '.join(said)}" if said else ""


def placed(ours: Row, other: Row) -> str:
    """``3.2 points above``, ``3.2 points below`` or ``level with``."""
    differences = np.subtract(ours.values("accuracy"), other.values("accuracy")) * 100
    gain, half = float(differences.mean()), half_width(list(differences), ours.shared)
    if half is None or abs(gain) <= half:
        return "level with"
    return f"{abs(gain):.1f} points {'above' if gain > 0 else 'below'}"
