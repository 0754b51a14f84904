"""Damage what airfast reads, over and over, and see what becomes of it: the right answer, or one line.

    python -m benchmarks.fuzz --minutes 20 [--seed 0]

A damaged file must be refused (InputError: one line of bounded length), or its answer must be that of the whole file,
or a Note must say what was left out. Anything else is a fault: another exception, more than LIMIT seconds, and, of
files that are sealed, another answer without a word. Of files that carry no seal (motion, tables, arrays, settings) any
answer of the right shape will do. The tests run a slice of this; by hand it writes results/fuzz.json, with the seed of
every fault.
"""

import argparse
import json
import random
import re
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from airfast.bench.machine import machine
from airfast.config import load_config
from airfast.data.motion import MotionSet
from airfast.data.readers.choose import read_file
from airfast.data.readers.labels import Columns, read_labels
from airfast.data.synthetic import synthetic_walkers
from airfast.deploy.head import FOLDER, HEAD, REPORT, load_head
from airfast.errors import LONGEST, InputError, Note
from airfast.evaluate.head import fit_head, read_report
from airfast.evaluate.report import evaluate
from airfast.labels import load_features
from airfast.runs.checkpoint import ENCODER, STATE, load_encoder, read_state, seal
from airfast.runs.folder import (
    METRICS,
    read_config,
    read_environment,
    read_evaluation,
    read_metrics,
    read_split,
)
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import pretrain

RESULTS = Path(__file__).parent / "results"
LIMIT = 20  # seconds
NASTY = (
    "9" * 5000,
    "-1",
    "0",
    "1e37",
    "1e400",
    "nan",
    "NaN",
    "null",
    "true",
    '""',
    "[]",
    "{}",
    '"' + "x" * 9000 + '"',
    "[" * 2000,
    "\x1b[31m",
    "2147483648",
    "0.1.2",
    "\u202e",
)
SETTINGS = (
    "inputs.frames=8",
    "model.hidden=8",
    "model.projection=8",
    "train.batch_size=16",
    "train.epochs=3",
    "train.checkpoint_every=1",
    "air.warmup=1",
    "air.cluster.k1=8",
    "air.alr.k=5",
    "split.kind=random",
)


@dataclass(frozen=True)
class Target:
    """A file, what is asked of it, and whether its answer is that of the whole file or none."""

    name: str
    path: Path
    ask: Callable[[], str]
    exact: bool = True


def targets(place: Path) -> list[Target]:
    """A prepared set, a run with all it leaves, and one file of everything else that is read; in a folder."""
    walkers = synthetic_walkers(clips=32, seed=0)
    folder, run = place / "set", place / "run"
    walkers.save(folder)
    config = load_config("demo", overrides=SETTINGS)
    pretrain(folder, config, run, "cpu")
    evaluate(run, "knn", device="cpu")
    fit_head(run, device="cpu")

    def set_of() -> str:
        return json.dumps(MotionSet.load(folder).digest())

    def weights(tensors: dict[str, Any]) -> str:
        return seal(tensors, "")

    told = json.dumps
    of_run = [
        Target("config.yaml", run / "config.yaml", lambda: read_config(run).to_yaml()),
        Target("split.json", run / "split.json", lambda: told(read_split(run))),
        Target("environment.json", run / "environment.json", lambda: told(read_environment(run))),
        Target(METRICS, run / METRICS, lambda: told(read_metrics(run))),
        Target(ENCODER, run / ENCODER, lambda: weights(load_encoder(run).state_dict())),
        Target(STATE, run / STATE, lambda: weights(read_state(run / STATE, config)[0]["method"])),
        Target(
            "evaluate-knn.json", run / "evaluate-knn.json", lambda: told(read_evaluation(run / "evaluate-knn.json"))
        ),
        Target(f"{FOLDER}/{HEAD}", run / FOLDER / HEAD, lambda: repr(load_head(run))),
        Target(f"{FOLDER}/{REPORT}", run / FOLDER / REPORT, lambda: told(read_report(run / FOLDER / REPORT))),
    ]
    of_set = [
        Target(f"set/{each}", folder / each, set_of) for each in ("positions.npy", "clips.parquet", "prepared.json")
    ]
    return [*of_run, *of_set, *of_inputs(place, walkers)]


def of_inputs(place: Path, walkers: MotionSet) -> Iterator[Target]:
    """Files that people bring."""
    from tests.data.bvh_text import bvh
    from tests.data.readers import formats
    from tests.data.readers.formats import walk

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 6)).astype(np.float32)
    np.save(place / "f.npy", rows)
    np.savez_compressed(place / "f.npz", features=rows)
    save_file({"features": torch.from_numpy(rows)}, place / "f.safetensors")
    pd.DataFrame(rows, columns=[f"c{i}" for i in range(6)]).to_parquet(place / "f.parquet")
    for ending in ("npy", "npz", "safetensors", "parquet"):
        path = place / f"f.{ending}"
        yield Target(f"features.{ending}", path, lambda path=path: shape_of(load_features(path)), exact=False)
    texts = {
        "labels.csv": ("file,label,subject\n" + "".join(f"{i}.bvh,a{i % 3},s{i % 2}\n" for i in range(9)), None),
        "layout.json": (json.dumps(walkers.layout.record(), indent=1), None),
        "settings.yaml": (load_config("demo").to_yaml(), None),
    }
    for name, (text, _) in texts.items():
        (place / name).write_text(text)
    yield Target(
        "labels.csv", place / "labels.csv", lambda: str(len(read_labels(place / "labels.csv", Columns()))), False
    )
    yield Target("layout.json", place / "layout.json", lambda: load_layout(str(place / "layout.json")).name, False)
    yield Target(
        "settings.yaml", place / "settings.yaml", lambda: load_config("demo", place / "settings.yaml").preset, False
    )
    made = {
        "bvh": lambda folder: write_bvh(folder, bvh()),
        "npz": lambda folder: write_npz(folder, walk(4)),
        "skeleton": lambda folder: formats.write_ntu(folder, walk(25, 3)),
        "pkl": lambda folder: formats.write_pyskl(folder, walk(17, 3)),
        "jsonl": lambda folder: formats.write_lines(folder, walk(3, 3)),
        "json": lambda folder: formats.write_mediapipe(folder, walk(33, 3)),
        "csv": lambda folder: formats.write_table(folder, walk(3, 3), ("a", "b", "c")),
        "smg": lambda folder: formats.write_smg(folder, walk(25, 3)),
        "egbm": lambda folder: formats.write_egbm(folder, walk(25, 3)),
        "imigue": lambda folder: formats.write_imigue(folder, walk(35, 3)),
        "openpose": lambda folder: formats.write_openpose(folder, walk(25, 3)),
    }
    for kind, write in made.items():
        folder = place / f"motion-{kind}"
        folder.mkdir()
        path = write(folder)
        yield Target(f"motion.{kind}", path, lambda path=path: motion_of(path), exact=False)


def write_bvh(folder: Path, text: str) -> Path:
    (folder / "a.bvh").write_text(text)
    return folder / "a.bvh"


def write_npz(folder: Path, positions: Any) -> Path:
    np.savez(folder / "a.npz", positions=positions, fps=30)
    return folder / "a.npz"


def shape_of(rows: torch.Tensor) -> str:
    assert rows.ndim == 2
    return str(tuple(rows.shape))


def motion_of(path: Path) -> str:
    clips = read_file(path, "x")
    assert clips
    assert all(each.positions.ndim == 3 and each.positions.shape[2] == 3 for each in clips)
    return str(len(clips))


def damaged(whole: bytes, rng: random.Random) -> bytes | None:
    """The bytes of a file after one to three accidents; None for a folder in its place."""
    if rng.random() < 0.01:
        return None
    data = bytearray(whole)
    for _ in range(rng.randint(1, 3)):
        at, span = rng.randrange(len(data) + 1), rng.choice((1, 1, 4, 64, len(data) // 2 + 1))
        how = rng.randrange(9)
        if how == 0:
            data[at : at + span] = rng.randbytes(min(span, len(data) - at))
        elif how == 1:
            del data[at : at + span]
        elif how == 2:
            data[at:at] = rng.randbytes(min(span, 64))
        elif how == 3:
            del data[at:]
        elif how == 4:
            data[at : at + span] = bytes(min(span, len(data) - at))
        elif how == 5:
            data[at:at] = data[at : at + span]
        else:
            data = bytearray(reworded(bytes(data), rng))
    return bytes(data)


def reworded(data: bytes, rng: random.Random) -> bytes:
    """A number, text or name of a text file replaced by something that no writer would put there."""
    words = list(re.finditer(rb'"[^"\n]{0,80}"|-?[0-9][0-9.eE+-]*|true|null|\[\]|[A-Za-z_]{3,}', data[:200_000]))
    if not words:
        return data
    word = rng.choice(words[:40] if rng.random() < 0.5 else words)  # where a file says what it is
    return data[: word.start()] + rng.choice(NASTY).encode() + data[word.end() :]


class TooSlow(Exception):
    """An answer took more than LIMIT seconds."""


@contextmanager
def within_limit() -> Iterator[None]:
    def leave(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, leave)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def verdict(target: Target, right: str) -> tuple[str, str]:
    """What became of a damaged file, and, of a fault, what it was."""
    with warnings.catch_warnings(record=True) as heard, within_limit():
        warnings.simplefilter("always")
        try:
            answer = target.ask()
        except InputError as error:
            short = "\n" not in str(error) and len(str(error)) <= LONGEST + 3
            return ("refused", "") if short else ("fault", f"a message of {len(str(error))} characters")
        except TooSlow:
            return "fault", f"more than {LIMIT} s"
        except Exception:
            return "fault", traceback.format_exc(limit=-3)
    if answer == right or not target.exact:
        return "answered", ""
    said = [str(each.message) for each in heard if issubclass(each.category, Note)]
    return ("said", "") if said else ("fault", f"another answer without a word: {answer[:200]}")


def attack(target: Target, whole: bytes, right: str, seed: str) -> tuple[str, str]:
    """Damage a file as a seed says, look, and put it back."""
    rng = random.Random(seed)
    data = damaged(whole, rng)
    target.path.unlink()
    try:
        if data is None:
            target.path.mkdir()
        else:
            target.path.write_bytes(data)
        if data == whole:
            return "answered", ""
        return verdict(target, right)
    finally:
        if target.path.is_dir():
            shutil.rmtree(target.path)
        target.path.write_bytes(whole)


def run_fuzz(seconds: float, rounds: int, seed: int, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Attack every target in turn until the time is over or each had its rounds."""
    counts: dict[str, Counter[str]] = {}
    faults: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as place:
        known = [(each, each.path.read_bytes(), each.ask()) for each in targets(Path(place))]
        ends, done = time.monotonic() + seconds, 0
        while done < rounds and time.monotonic() < ends:
            for target, whole, right in known:
                name = f"{seed}/{target.name}/{done}"
                what, why = attack(target, whole, right, name)
                counts.setdefault(target.name, Counter())[what] += 1
                if what == "fault":
                    faults.append({"target": target.name, "seed": name, "what": why})
                    say(f"{name}: {why}")
            done += 1
    return {"rounds": done, "counts": {name: dict(each) for name, each in counts.items()}, "faults": faults}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = run_fuzz(60 * asked.minutes, 10**9, asked.seed, print)
    about = {"machine": machine(torch.device("cpu"), ("numpy", "pyarrow", "safetensors")), "minutes": asked.minutes}
    (RESULTS / "fuzz.json").write_text(json.dumps(about | {"seed": asked.seed} | found, indent=1) + "\n")
    total = sum(sum(each.values()) for each in found["counts"].values())
    print(f"{total} damaged files of {len(found['counts'])} kinds, {len(found['faults'])} faults")


if __name__ == "__main__":
    main()
