"""How long motion takes through the door: files to a prepared set, and a prepared set opened.

    python -m benchmarks.prepare FOLDER [--dataset bandai] [--copies 17]

FOLDER holds BVH files. They are prepared as they are, and again with so many copies of each, whose numbers differ a
little (a copy would be a finding). Writes results/prepare.json and .md; say nothing else runs, or the load says it.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from airfast import MotionSet
from airfast.bench.machine import machine

RESULTS = Path(__file__).parent / "results"
REPEATS = 3
Record = dict[str, Any]


def copied(source: Path, place: Path, copies: int) -> Path:
    """The files of a folder, so many times, with the first number of the last frame another in each."""
    for file in sorted(source.rglob("*.bvh")):
        text = file.read_text()
        head, last = text.rstrip().rsplit("\n", 1)
        number = re.search(r"\S+", last)
        assert number is not None
        for copy in range(copies):
            moved = f"{float(number[0]) + 0.01 * copy:.6f}{last[number.end() :]}"
            (place / f"{file.stem}{copy:02d}.bvh").write_text(f"{head}\n{moved}\n")
    return place


def prepared(source: Path, out: Path, dataset: str) -> float:
    """Seconds of ``airfast data prepare``, from the shell's side."""
    command = [sys.executable, "-m", "airfast", "data", "prepare", str(source), "--dataset", dataset, "--out", str(out)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def timed(work: Any) -> float:
    """The median seconds of REPEATS calls."""
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def measured(source: Path, place: Path, dataset: str, repeats: int) -> Record:
    """One folder: its size, the median seconds of preparing it, and of opening what came out."""
    files = list(source.rglob("*.bvh"))
    load = os.getloadavg()[0]
    out = place / "set"
    seconds = [prepared(source, out, dataset) for _ in range(repeats)]
    return {
        "files": len(files),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6),
        "prepare": statistics.median(seconds),
        "runs": repeats,
        "set_megabytes": round(sum(file.stat().st_size for file in out.iterdir()) / 1e6),
        "open": timed(lambda: MotionSet.open(out)),
        "load": timed(lambda: MotionSet.load(out)),
        "largest_process_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "load_average": load,
    }


def markdown(record: Record) -> str:
    """The record as a page."""
    lines = [
        "# Files to a prepared set",
        "",
        "`airfast data prepare` from the shell's side (start of Python included), median of the runs; then the set "
        "opened (`MotionSet.open`: no frame is read) and loaded (`MotionSet.load`: mapped, every byte's checksum "
        f"compared). {record['machine']['cpu']}, {record['machine']['cores']} cores.",
        "",
        "| BVH files | MB | prepared, s | MB a second | set, MB | opened, s | loaded, s | largest process, MB | load |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in record["rows"]:
        cells = [
            f"{each['files']:,}",
            f"{each['megabytes']:,}",
            f"{each['prepare']:.1f}",
            f"{each['megabytes'] / each['prepare']:.0f}",
            f"{each['set_megabytes']:,}",
            f"{each['open']:.3f}",
            f"{each['load']:.2f}",
            f"{each['largest_process_mb']:,}",
            f"{each['load_average']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", default="bandai")
    parser.add_argument("--copies", type=int, default=17)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows.append(measured(given.folder, place, given.dataset, REPEATS))
        (place / "many").mkdir()
        many = copied(given.folder, place / "many", given.copies)
        rows.append(measured(many, place, given.dataset, 1))
        shutil.rmtree(many)
    record = {"machine": machine(torch.device("cpu"), ("numpy", "numba")), "rows": rows}
    (RESULTS / "prepare.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "prepare.md").write_text(markdown(record))


if __name__ == "__main__":
    main()
