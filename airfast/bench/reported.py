"""Table I of the paper as it is printed: reported figures, measured by nobody here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """A row: parameters in millions, GFLOP, sequences a second on an RTX 4090 (batch and precision are not said)."""

    title: str
    parameters: float
    flops: float
    fps: float


# Source: Table I; SSAL, its tenth method, has no such figures.
TABLE_1 = (
    Reported("ST-GCN", 0.81, 1.41, 497.38),
    Reported("AGCN", 0.86, 1.54, 185.51),
    Reported("CrosSCLR", 19.24, 20.90, 57.63),
    Reported("SCD Net", 100.18, 8.23, 18.91),
    Reported("Skeleton Contrast", 9.02, 8.73, 40.96),
    Reported("CMD", 268.80, 34.24, 17.79),
    Reported("UmURL", 63.82, 3.13, 240.77),
    Reported("AIR-J", 45.75, 2.77, 174.59),
    Reported("AIR", 84.09, 5.20, 116.58),
)


def reported(title: str) -> Reported:
    """The row of a method."""
    return next(row for row in TABLE_1 if row.title == title)
