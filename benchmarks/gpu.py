"""Everything a GPU is asked to prove, by one command that is meant to take less than eight minutes.

    python -m benchmarks.gpu [--data SET] [--dry] [--seconds 420] [--out FOLDER]

SET is a prepared set (`airfast data prepare`, benchmarks/convert_bandai2.py) on whose features the label stage is
measured beside synthetic ones; without it, on the embedded walkers. Writes gpu.json and gpu.md after every record, so
that a run cut short loses nothing. Each section has its share of the time and stops after the record that exceeds it;
an error ends its section and is written down. --dry walks through every measurement at toy size, on the CPU in Triton's
interpreter where there is no GPU; it measures nothing.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SECONDS = 420  # of all sections together; libraries to import and kernels to compile come on top
SHARES = {"parity": 0.2, "copies": 0.06, "epoch": 0.08, "dbscan": 0.08, "real": 0.2, "stage": 0.38}


def sections(device, dry, data=None):
    """Each section's name and what begins its stream of records."""
    from airfast.bench import gpu
    from airfast.data.source import open_motion

    scale = gpu.DRY if dry else gpu.FULL
    return {
        "parity": lambda: gpu.parity(reference_sets(dry), device),
        "copies": lambda: gpu.copies(scale, device),
        "epoch": lambda: gpu.epoch(scale, device),
        "dbscan": lambda: gpu.dbscan(scale, device),
        "real": lambda: gpu.real_stage(scale, open_motion(data), device),
        "stage": lambda: gpu.stage(scale, device),
    }


def reference_sets(dry):
    """The feature sets of tests/labels, and the field's where they are."""
    sys.path.insert(0, str(ROOT / "tests" / "labels"))
    from label_sets import FEATURES, FIELD

    if dry:
        return {name: FEATURES[name] for name in ("two points",)}
    import numpy as np

    field = {path.stem: lambda path=path: np.load(path)["features"] for path in sorted(FIELD.glob("labels_*.npz"))}
    return FEATURES | field


def run(dry, out, data=None, seconds=SECONDS):
    """All sections; returns what the JSON holds."""
    import torch

    from airfast.bench import gpu
    from airfast.device import pick_device

    device = pick_device("auto" if dry else "cuda")
    started = time.perf_counter()
    report = {"machine": gpu.describe(device), "seconds": 0.0, "stopped": {}}
    out.mkdir(parents=True, exist_ok=True)
    for name, begin in sections(device, dry, data).items():
        report[name] = []
        begun, share = time.perf_counter(), SHARES[name] * seconds
        try:
            for record in begin():
                report[name].append(record)
                print(name, json.dumps(record)[:200], flush=True)
                report["seconds"] = time.perf_counter() - started
                write(report, out)
                if time.perf_counter() - begun > share:
                    report["stopped"][name] = f"stopped after its {share:.0f} seconds"
                    break
        except Exception as error:  # what fails on this machine is a result too; the other sections still run
            report["stopped"][name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if device.type == "cuda":
            torch.cuda.empty_cache()
    write(report, out)
    return report


def write(report, out):
    from airfast.bench.gpu_report import markdown

    (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "gpu.md").write_text(markdown(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a prepared set; the embedded walkers if none")
    parser.add_argument("--dry", action="store_true", help="at toy size, without a GPU if there is none")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of all sections; imports and compiling on top")
    parser.add_argument("--out", type=Path, help="benchmarks/results; a temporary place has to be named for a dry run")
    given = parser.parse_args()
    if given.dry and given.out is None:
        parser.error("--dry measures nothing: name a folder with --out")
    import torch

    if given.dry and not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported
    from airfast.errors import InputError

    try:
        found = run(given.dry, given.out or RESULTS, given.data, given.seconds)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if any("Error" in why for why in found["stopped"].values()) else 0)
