"""Declared pairs of the label stage: ours against the dense reference, CSR + Numba, and FAISS's search alone.

python -m benchmarks.labels [--quick] [--device cuda] [--repeats 3]
"""

import argparse
from pathlib import Path

from airfast.bench.labels import FULL, QUICK, run_label_bench

RESULTS = Path(__file__).parent / "results"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="N up to 4,000 only")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    run_label_bench(given.out, QUICK if given.quick else FULL, given.device, given.repeats)
