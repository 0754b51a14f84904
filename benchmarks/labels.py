"""Declared pairs of the label stage: ours against the dense reference, CSR + Numba, and FAISS's search alone.

    python -m benchmarks.labels [--quick] [--device cuda] [--repeats 3]
    python -m benchmarks.labels --real WORK/NAME-N.npz ... [--repeats 3]

--real: on features that benchmarks.features wrote (of X, and of X, LA and HA side by side) beside synthetic ones of as
many rows and columns, by one thread and in processor seconds; writes labels-real.json and .md.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from airfast.bench.labels import FULL, QUICK, Case, Rows, run_label_bench, run_real_bench
from benchmarks.features import TAKEN, kept

RESULTS = Path(__file__).parent / "results"


def real(files: list[Path]) -> Iterator[Case | Rows]:
    """Of every file what it holds, and synthetic features of the shape of its X."""
    for file in files:
        name = file.stem.rpartition("-")[0]
        cases = [Rows(f"{name}, {parts}", kept(file, parts != "X")) for parts in TAKEN]
        yield from cases
        yield from (Case(kind, cases[0].n, cases[0].d) for kind in ("clustered", "weak"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="N up to 4,000 only")
    parser.add_argument("--real", type=Path, nargs="+")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.real:
        run_real_bench(given.out, real(given.real), given.repeats)
    else:
        run_label_bench(given.out, QUICK if given.quick else FULL, given.device, given.repeats)
