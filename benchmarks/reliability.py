"""Kill runs, fail writes, train for long, and write down what was lost: results/reliability.json, docs/reliability.md.

    python -m benchmarks.reliability kills [--each 20]   # SIGKILL at random moments, resumed by the same command
    python -m benchmarks.reliability writes              # every step of every writer fails, or is the last one
    python -m benchmarks.reliability long [--epochs 500] # what a process holds after 20 epochs and after all
    python -m benchmarks.reliability page                # the page alone, from what is recorded

By hand, not in CI: there, tests/runs/test_writes.py runs the writers of a run's states and records.
"""

import argparse
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from airfast.bench.machine import machine
from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers
from airfast.errors import LONGEST, InputError
from airfast.runs.checkpoint import BEFORE, ENCODER, STATE, load_encoder, read, save_encoder, seal
from airfast.runs.folder import METRICS, append_metrics, read_evaluation, read_metrics
from airfast.training.pretrain import begin, pretrain

HERE = Path(__file__).parent
RECORD, PAGE = HERE / "results" / "reliability.json", HERE.parent / "docs" / "reliability.md"
SHORT = (
    "inputs.frames=16",
    "model.hidden=16",
    "model.projection=16",
    "train.batch_size=16",
    "train.epochs=16",
    "split.kind=random",
)
LABELS = ("air.warmup=2", "air.cluster.k1=8", "air.alr.k=5", "air.keep_every=1")
COMMANDS = {
    "AIR, saved every epoch": ("pretrain", "--preset", "demo", *SHORT, *LABELS, "train.checkpoint_every=1"),
    "AIR, saved every tenth": ("pretrain", "--preset", "demo", *SHORT, *LABELS, "train.checkpoint_every=10"),
    "CAGE": ("pretrain", "--preset", "demo", "--method", "cage", *SHORT, "model.hidden=8", "train.checkpoint_every=1"),
    "ST-GCN, with labels": ("train-supervised", "--model", "st-gcn", *SHORT, "train.checkpoint_every=1"),
}


# Kills


def command(words: tuple[str, ...], data: Path, out: Path) -> list[str]:
    """A command of airfast: words with an equals sign are overrides."""
    told = [part for word in words[1:] for part in (("-o", word) if "=" in word else (word,))]
    return [sys.executable, "-m", "airfast.cli", words[0], str(data), "--out", str(out), "--device", "cpu", *told]


def left(run: Path) -> dict[str, str]:
    """What a finished run holds, without its seconds: a digest for each thing that a kill must not change."""
    tensors, about = read(run / STATE)
    log = [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(run)]
    found = {"state": seal(tensors, json.dumps(about)), "log": json.dumps(log)}
    for path in sorted([*run.glob("labels/*"), *run.glob("evaluate-*.json")]):
        found[path.name] = path.read_text() if path.suffix == ".json" else str(pq.read_table(path).to_pydict())
    return found


def killed(name: str, data: Path, place: Path, each: int, rng: random.Random) -> dict[str, Any]:
    """Kill one kind of run so many times, over as many runs as that takes; what differs from a run left alone.

    Half of the kills come within an epoch of a moment drawn from the epochs, the others while the process starts,
    opens its set and its last state, or evaluates.
    """
    alone = place / "alone"
    started = time.monotonic()
    subprocess.run(command(COMMANDS[name], data, alone), check=True, stdout=subprocess.DEVNULL)
    whole, length = left(alone), time.monotonic() - started
    kills, runs, differs, moments = 0, 0, [], []
    while kills < each:
        out = place / f"run{runs}"
        runs += 1
        while True:
            with subprocess.Popen(command(COMMANDS[name], data, out), stdout=subprocess.DEVNULL) as process:
                if kills < each:
                    wait_for(process, out, rng, length)
                    process.send_signal(signal.SIGKILL)
                status = process.wait()
            if status == 0:
                break
            if status != -signal.SIGKILL:
                raise SystemExit(f"{name}: ended with {status}")
            kills += 1
            moments.append(epochs_of(out))
        now = left(out)
        differs += [f"run {runs}: {key}" for key in whole.keys() | now.keys() if whole.get(key) != now.get(key)]
        shutil.rmtree(out)
    return {"kills": kills, "runs": runs, "epochs_logged_at_kills": moments, "differs": differs}


def epochs_of(out: Path) -> int:
    """Lines of a run's log."""
    return (out / METRICS).read_bytes().count(b"\n") if (out / METRICS).exists() else 0


def wait_for(process: "subprocess.Popen[bytes]", out: Path, rng: random.Random, length: float) -> None:
    """Wait until a random moment of a run, or its end."""
    if rng.random() < 0.5:
        until = epochs_of(out) + rng.randrange(1, 6)
        while process.poll() is None and epochs_of(out) < until:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
    else:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.1, 1.0) * length)


def kills(each: int) -> dict[str, Any]:
    """All kinds of run."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "set"
        synthetic_walkers(clips=60, seed=0).save(data)
        for index, name in enumerate(COMMANDS):
            folder = Path(place) / str(index)
            found[name] = killed(name, data, folder, each, random.Random(index))
            print(name, found[name], flush=True)
    return found


# Writes


@dataclass(frozen=True)
class Writer:
    """Something that writes, and what must be readable before, after and whatever happens in between."""

    name: str
    write: Callable[[], Any]
    answer: Callable[[], str]


def steps(call: Callable[[str], None]) -> dict[tuple[Any, str], Any]:
    """The steps that writers take, each announced before it is taken."""

    def told(what: str, plain: Any) -> Any:
        def one(*words: Any, **named: Any) -> Any:
            mode = str(named.get("mode", words[1] if len(words) > 1 else "r"))
            if what != "Path.open" or set(mode) & set("wax+"):  # what is opened to be read is no step of a write
                call(what)
            return plain(*words, **named)

        return one

    places = [
        (os, "open"),
        (os, "fsync"),
        (os, "replace"),
        (Path, "replace"),
        (Path, "rename"),
        (Path, "mkdir"),
        (Path, "write_bytes"),
        (Path, "open"),
        (np, "save"),
        (pq, "write_table"),
        (shutil, "copy"),
        (tempfile, "mkdtemp"),
    ]
    return {(owner, name): told(f"{owner.__name__}.{name}", getattr(owner, name)) for owner, name in places}


@contextmanager
def at_step(number: int, act: Callable[[], None]) -> Iterator[list[str]]:
    """Within, the step of that number (from 0) does something else; yields the steps as they are taken."""
    taken: list[str] = []

    def call(what: str) -> None:
        taken.append(what)
        if len(taken) == number + 1:
            act()

    plain = {(owner, name): getattr(owner, name) for owner, name in steps(lambda _: None)}
    for (owner, name), other in steps(call).items():
        setattr(owner, name, other)
    try:
        yield taken
    finally:
        for (owner, name), before in plain.items():
            setattr(owner, name, before)


def fail(number: int) -> Callable[[], None]:
    """An operating system that says no."""

    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


FAULTS: dict[str, Callable[[], None]] = {
    "disk full": fail(errno.ENOSPC),
    "permission denied": fail(errno.EACCES),
    "interrupted": interrupt,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def injected(writer: Writer) -> dict[str, dict[str, Any]]:
    """Every fault at every step of a writer that writes over what is there; how often, and what went wrong."""
    writer.write()
    before = writer.answer()
    with at_step(-1, lambda: None) as taken:
        writer.write()
    assert writer.answer() == before, f"{writer.name}: two equal writes differ"
    found = {}
    for fault, act in FAULTS.items():
        wrong = []
        for number, step in enumerate(taken):
            said = attempt(writer, number, act)
            try:
                if writer.answer() != before:
                    wrong.append(f"{step} ({number}): another answer")
            except Exception as error:
                wrong.append(f"{step} ({number}): {error}")
            if said:
                wrong.append(f"{step} ({number}): {said}")
        found[fault] = {"injected": len(taken), "wrong": wrong}
    return found


def attempt(writer: Writer, number: int, act: Callable[[], None]) -> str:
    """Write with a fault; what is wrong with how that was said. A kill is a child's, so that there is an afterwards."""
    if act is FAULTS["killed"]:
        child = os.fork()
        if not child:
            with at_step(number, act):
                writer.write()
            os._exit(0)
        os.waitpid(child, 0)
        return ""
    try:
        with at_step(number, act):
            writer.write()
    except InputError as error:
        return "" if len(str(error)) <= LONGEST and "\n" not in str(error) else f"a message of {len(str(error))}"
    except KeyboardInterrupt:
        return "" if act is interrupt else "KeyboardInterrupt"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def writers(place: Path) -> Iterator[Writer]:
    """The writers of states and records: what a run goes on from and what its tables are made of."""
    walkers = synthetic_walkers(clips=24, seed=0)
    config = load_config("demo", overrides=(*SHORT, *LABELS))
    run = place / "run"
    run.mkdir()
    state = begin(config, walkers, DeviceClips.from_motion(walkers, config.inputs, "cpu"))

    def last() -> str:
        for name in (STATE, BEFORE):
            with suppress(InputError):
                return seal(*first_of(read(run / name)))
        return "none"

    yield Writer("state", lambda: state.save(run, 3), last)
    yield Writer(
        "encoder",
        lambda: save_encoder(run, state.method.deployed, 3),
        lambda: seal(load_encoder(run).state_dict(), ""),
    )
    (run / METRICS).touch()

    def whole_lines() -> str:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a torn last line is said
            return json.dumps(read_metrics(run)[0])

    yield Writer(METRICS, lambda: append_metrics(run, {"epoch": 1, "lr": 0.1}), whole_lines)
    folder = place / "set"
    yield Writer("prepared set", lambda: walkers.save(folder), lambda: json.dumps(MotionSet.load(folder).digest()))


def first_of(known: tuple[dict[str, Any], dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """Tensors and what is known of them, as they are sealed."""
    return known[0], json.dumps(known[1])


def writers_of_results(place: Path) -> Iterator[Writer]:
    """The writers of what is made of a run."""
    from airfast.deploy.embed import Embedder, embed
    from airfast.deploy.export import export
    from airfast.deploy.head import load_head
    from airfast.evaluate.head import fit_head
    from airfast.evaluate.report import evaluate
    from airfast.labels import generate_labels
    from airfast.report.build import build_report
    from airfast.report.card import write_card

    walkers = synthetic_walkers(clips=24, seed=0)
    walkers.save(place / "walkers")
    run = pretrain(
        place / "walkers", load_config("demo", overrides=(*SHORT, *LABELS, "train.epochs=4")), place / "of", "cpu"
    )

    def text(path: Path) -> Callable[[], str]:
        return lambda: seal({}, path.read_bytes().hex())

    yield Writer(
        "evaluation",
        lambda: evaluate(run, "knn", device="cpu"),
        lambda: json.dumps(read_evaluation(run / "evaluate-knn.json")),
    )
    yield Writer("head", lambda: fit_head(run, device="cpu"), lambda: repr(load_head(run)))
    labels = generate_labels(np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    yield Writer(
        "labels", lambda: labels.save(place / "l.parquet"), lambda: str(pq.read_table(place / "l.parquet").to_pydict())
    )
    embedder = Embedder(run, "cpu")
    yield Writer("features", lambda: embed(embedder, walkers, place / "f.npy"), text(place / "f.npy"))
    page = place / "r.html"
    yield Writer(
        "report", lambda: build_report(run, page, device="cpu"), lambda: str(page.read_text().endswith("</html>\n"))
    )
    yield Writer(
        "export",
        lambda: export(run, place / "e.pt2"),
        lambda: str(torch.export.load(place / "e.pt2").module().training),
    )
    cards = (place / f"card{number}" for number in range(10**6))

    def whole_cards() -> str:
        there = place.glob("card*")
        return "whole" if all((card / ENCODER).exists() and (card / "README.md").exists() for card in there) else "half"

    yield Writer("card", lambda: write_card(run, next(cards)), whole_cards)


def writes() -> dict[str, Any]:
    """All writers."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for kind in (writers, writers_of_results):
            for writer in kind(Path(place)):
                found[writer.name] = injected(writer)
                print(writer.name, found[writer.name], flush=True)
    return found


# Long runs


def held(run: Path) -> dict[str, float]:
    """What this process and its run hold: MB of memory, open files, threads, MB of disk."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    disk = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    return {
        "memory_mb": int(status["VmRSS"].split()[0]) / 1024,
        "open_files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "disk_mb": disk / 1e6,
    }


def long(epochs: int) -> dict[str, Any]:
    """A run of the small preset in this process."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        config = load_config("small", overrides=(f"train.epochs={epochs}", "air.warmup=10", "split.kind=random"))
        wanted = (20, 100, epochs // 2, epochs)

        def note(line: dict[str, Any]) -> None:
            if line["epoch"] in wanted:
                found[str(line["epoch"])] = held(run)
                print(line["epoch"], found[str(line["epoch"])], flush=True)

        pretrain(replace(synthetic_walkers(clips=60, seed=0)), config, run, "cpu", report=note)
    return {"clips": 60, "preset": "small", "epochs": found}


# The page


def page(record: dict[str, Any]) -> str:
    """What was done to airfast and what was lost, in Markdown."""
    parts = ["# What was tried to lose a run", INTRODUCTION]
    if "kills" in record:
        parts.append("## Runs that are killed\n\n" + KILLS)
        rows = [
            f"| {name} | {each['kills']} | {each['runs']} | {', '.join(each['differs']) or 'nothing'} |"
            for name, each in record["kills"]["found"].items()
        ]
        parts.append("\n".join(["| run | kills | runs | differs from a run left alone |", "|---|--:|--:|---|", *rows]))
        parts.append(measured_on(record["kills"]))
    if "writes" in record:
        parts.append("## Writes that fail\n\n" + WRITES)
        rows = []
        for name, faults in record["writes"]["found"].items():
            wrong = [line for each in faults.values() for line in each["wrong"]]
            counts = " | ".join(str(faults[fault]["injected"]) for fault in FAULTS)
            rows.append(f"| {name} | {counts} | {'; '.join(wrong) or 'nothing'} |")
        head = f"| writer | {' | '.join(FAULTS)} | lost |"
        parts.append("\n".join([head, f"|---|{'--:|' * len(FAULTS)}---|", *rows]))
        parts.append(measured_on(record["writes"]))
    fuzz = HERE / "results" / "fuzz.json"
    if fuzz.exists():
        known = json.loads(fuzz.read_text())
        parts.append("## Files that are damaged\n\n" + FUZZ)
        kinds = ("refused", "answered", "said", "fault")
        rows = [
            f"| {name} | {' | '.join(str(each.get(kind, 0)) for kind in kinds)} |"
            for name, each in known["counts"].items()
        ]
        parts.append("\n".join([f"| file | {' | '.join(kinds)} |", f"|---|{'--:|' * len(kinds)}", *rows]))
        total = sum(sum(each.values()) for each in known["counts"].values())
        parts.append(f"{total:,} damaged files, {len(known['faults'])} faults, in {known['minutes']:g} minutes.")
        parts.append(measured_on(known))
    if "long" in record:
        found = record["long"]["found"]
        parts.append("## Runs that are long\n\n" + LONG.format(**found))
        rows = [
            f"| {epoch} | {each['memory_mb']:.0f} | {each['open_files']} | {each['threads']} | {each['disk_mb']:.1f} |"
            for epoch, each in found["epochs"].items()
        ]
        parts.append(
            "\n".join(["| epoch | memory, MB | open files | threads | disk, MB |", "|--:|--:|--:|--:|--:|", *rows])
        )
        parts.append(measured_on(record["long"]))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
Four hundred epochs on a shared node will be killed, run out of disk, and be gone on with elsewhere. What follows was
done to airfast on purpose; every table is generated by `python -m benchmarks.reliability`. What a run does about it,
and what you do, is in [Reading a run](runs.md#when-something-goes-wrong)."""
KILLS = """\
SIGKILL at random moments, from the start of the process to its end; the same command goes on. State (weights, moments,
generator), log, labels and tables are compared with those of a run that was left alone, bit by bit. AIR that is saved
every tenth epoch loses up to nine epochs of time, and no bit."""
WRITES = """\
At every step that a writer takes (a file opened, written, synced, renamed, a folder made), the disk is full,
permission is denied, Ctrl-C comes, or the process is killed; afterwards what was there before is read. How often each
was injected, and what could not be read or was not said in one line:"""
FUZZ = """\
Bytes changed, cut, added, doubled or zeroed, files cut short, a folder in a file's place, and numbers, names and
texts replaced by what nobody would write (`python -m benchmarks.fuzz`). *Refused*: one line of bounded length.
*Answered*: the answer of the whole file; of files that carry no seal (motion, tables, arrays, settings), any answer
of the right shape. *Said*: another answer, and a note why. *Fault*: anything else."""
LONG = """\
One process, the {preset} preset, {clips} synthetic clips: what it holds as its epochs go by."""


def measured_on(record: dict[str, Any]) -> str:
    """The machine of a table."""
    about = record["machine"]
    return f"*{about.get('processor', about.get('cpu', 'CPU'))}, torch {about['versions']['torch']}.*"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "writes", "long", "page"))
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=500)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if asked.what != "page":
        found = {"kills": lambda: kills(asked.each), "writes": writes, "long": lambda: long(asked.epochs)}[asked.what]()
        about = machine(torch.device("cpu"), ("numpy", "torch", "safetensors", "pyarrow"))
        record = (
            json.loads(RECORD.read_text()) if RECORD.exists() else {}
        )  # the others may have been recorded meanwhile
        record[asked.what] = {"machine": about, "found": found}
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    PAGE.write_text(page(record))


if __name__ == "__main__":
    main()
