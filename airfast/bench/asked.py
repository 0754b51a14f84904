"""What `airfast bench` was asked for: which options go together, and where the answer is written."""

import json as format_json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airfast.bench.plot import plot as draw
from airfast.errors import InputError


@dataclass(frozen=True)
class Asked:
    """The options of `--flops` and `--fps`, read and checked."""

    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    json: Path | None
    plot: Path | None

    def write(self, record: dict[str, Any]) -> None:
        """The JSON and the picture, where they were asked for."""
        try:
            if self.json:
                self.json.write_text(format_json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if self.plot:
                draw(record, self.plot)
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None


def asked_of_table1(
    flops: bool,
    fps: bool,
    labels: bool,
    explain: bool,
    precision: str,
    batch: str,
    compiled: bool,
    full: bool,
    json: Path | None,
    plot: Path | None,
) -> Asked:
    """Check before anything is measured; raises InputError where options do not go together or cannot be met."""
    if not (flops or fps or labels or explain):
        raise InputError("bench: say what to measure: --flops, --fps, --labels (or --explain)")
    if full and not labels:
        raise InputError("--full: belongs to --labels")
    for name, given in (("--compile", compiled), ("--precision", precision != "fp32"), ("--batch", batch != "1,128")):
        if given and not fps:
            raise InputError(f"{name}: belongs to --fps")
    for name, path in (("--json", json), ("--plot", plot)):
        if path and not (flops or fps):
            raise InputError(f"{name}: belongs to --flops and --fps; --labels writes to --out")
        if path and not path.resolve().parent.is_dir():
            raise InputError(f"{name} {path}: no such folder")
    if plot and plot.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--plot {plot}: expected a name that ends in .png, .pdf or .svg")
    return Asked(tuple(precision.split(",")), numbers(batch), json, plot)


def numbers(batch: str) -> tuple[int, ...]:
    """`1,128` to (1, 128)."""
    words = batch.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise InputError(f"--batch {batch}: expected positive numbers, e.g. 1,128")
    return tuple(sorted({int(word) for word in words}))
