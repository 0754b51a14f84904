"""Labels and training by several processes beside one: seconds, bytes exchanged, memory a rank; what follows on paper.

    python -m benchmarks.ranks [N …] [--train METHOD …] [--ranks 2] [--repeats 3]

Each process has one thread. One process and several run in turn, each time anew, on the same features; medians are
shown, and ratios by the clock and by the processor, which what else runs on a machine disturbs less. Writes ranks.json,
ranks.md and ranks-paper.md into results/; what is not asked for is kept as it was measured before.
"""

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from airfast.bench.labels import OPTIONS, PACKAGES, Case
from airfast.bench.machine import machine, peak, start_peak
from airfast.config import load_config
from airfast.data.synthetic import synthetic_walkers
from airfast.labels import generate_labels
from airfast.ranks import Ranks, launched
from airfast.training.pretrain import pretrain

RESULTS = Path(__file__).parent / "results"
HOST = torch.device("cpu")
KINDS = ("clustered", "weak")
STEPS = ("knn", "encode", "edges", "cluster")
MEASURED = (1_000_000, 256, 9.2)  # rows, columns, seconds of one H200: benchmarks/results/gpu.json
ARITHMETIC = (1_000_000, 256, 5.3)  # of an RTX 4090, by the table of docs/gpu-arithmetic.md
CARDS = {  # how many, one's (N, D, s), GB, GB/s of the way between two, and whose figures these are
    "8 × RTX 4090": (8, ARITHMETIC, 24, 32, "PCIe 4.0 × 16, one direction; NVIDIA's Ada whitepaper has no NVLink"),
    "64 × H100": (
        64,
        MEASURED,
        80,
        50,
        "an NDR InfiniBand port a card, 400 Gb/s; the H200's chip, NVIDIA's data sheets",
    ),
}
ROW_BYTES = 1_500  # that a rank hands on for each row of the set: more than any run below did, see `sent`


def work(kind, n, d):
    """One rank's part; prints what it took."""
    torch.set_num_threads(1)
    with launched() as ranks:
        group = None if ranks is None else ranks.group
        generate_labels(Case("clustered", 600, 16).features(), group=group)  # compiled loops are read
        features = Case(kind, n, d).features()
        if ranks is not None:
            ranks.each(0)  # all begin together
        before, started, used = start_peak(HOST), time.perf_counter(), time.process_time()
        found = generate_labels(features, group=group, **OPTIONS)
        record = {
            "seconds": time.perf_counter() - started,
            "processor_seconds": time.process_time() - used,
            "steps": found.seconds,
            "working_mb": (peak(HOST) - before) / 2**20,
            "note": found.notes[-1] if ranks is not None else "",
            "labels": hashlib.sha256(found.labels.numpy().tobytes()).hexdigest(),
            "clusters": found.num_clusters,
        }
    print(json.dumps(record))


def train(method, clips):
    """One rank's part of three epochs, AIR's last two with labels; prints what training took in them."""
    torch.set_num_threads(1)
    over = ("train.epochs=3", "split.kind=none", *(["air.warmup=1"] if method == "air" else []))
    config = load_config("small", overrides=over, method=method)
    with launched() as ranks, tempfile.TemporaryDirectory() as place:
        group = None if ranks is None else ranks.group
        motion = synthetic_walkers(clips=clips, seed=0)
        if ranks is not None:
            ranks.each(0)
        before, used, seconds, lines = start_peak(HOST), time.process_time(), time.perf_counter(), []
        pretrain(motion, config, Path(place) / "run", "cpu", report=lines.append, group=group)
        record = {
            "seconds": time.perf_counter() - seconds,
            "processor_seconds": time.process_time() - used,
            "steps": {},
            "working_mb": (peak(HOST) - before) / 2**20,
            "losses": [each["loss"] for each in lines],
            "sent": Ranks.sent,
            "steps_taken": config.train.epochs * -(-clips // config.train.batch_size),
        }
    print(json.dumps(record))


def run(kind, n, d, count):
    """The records of so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    words = [sys.executable, "-m", "benchmarks.ranks", "--work", kind, str(n), str(d)]
    started = [
        subprocess.Popen(
            words, env=told | {"RANK": str(rank), "WORLD_SIZE": str(count)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(count)
    ]
    said = [each.communicate()[0] for each in started]
    if any(each.returncode for each in started):
        raise SystemExit("a process failed")
    return [json.loads(each.splitlines()[-1]) for each in said]


def in_turn(kind, n, d, count, repeats):
    """The records of one process and of several."""
    ways = {1: [], count: []}
    for _ in range(repeats):
        for ranks, records in ways.items():
            records.append(run(kind, n, d, ranks))
    return ways


def middle(records):
    """Medians over repeats of the rank that took most."""
    steps = records[0][0]["steps"]
    of_most = {
        name: statistics.median(max(each[name] for each in r) for r in records)
        for name in ("seconds", "processor_seconds", "working_mb")
    }
    return of_most | {
        "steps": {s: statistics.median(max(each["steps"][s] for each in r) for r in records) for s in steps}
    }


def compare_training(method, clips, count, repeats):
    """Three epochs of the preset small by one process and by several."""
    load = os.getloadavg()[0]
    ways = in_turn(method, clips, 0, count, repeats)
    one, several = (ways[ranks][0][0]["losses"] for ranks in ways)
    first = ways[count][0][0]
    return {
        "method": method,
        "clips": clips,
        "sent_mb": first["sent"] / 1e6,
        "steps_taken": first["steps_taken"],
        "ranks": count,
        "one": middle(ways[1]),
        "several": middle(ways[count]),
        "losses": [one, several],
        "apart": max(abs(a - b) / abs(a) for a, b in zip(one, several, strict=True)),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def compare(kind, n, d, count, repeats):
    """Labels by one process and by several."""
    load = os.getloadavg()[0]
    ways = in_turn(kind, n, d, count, repeats)
    digests = {each["labels"] for records in ways.values() for record in records for each in record}
    sent = float(ways[count][0][0]["note"].rpartition("sent ")[2].removesuffix(" MB"))
    return {
        "kind": kind,
        "n": n,
        "d": d,
        "ranks": count,
        "repeats": repeats,
        "same_labels": len(digests) == 1,
        "clusters": ways[1][0][0]["clusters"],
        "one": middle(ways[1]),
        "several": middle(ways[count]),
        "sent_mb": sent,
        "all": {ranks: [[each["seconds"] for each in r] for r in records] for ranks, records in ways.items()},
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def ratios(r):
    """Several processes over one, by the clock and by the processor."""
    clock, processor = ((r["several"][name], r["one"][name]) for name in ("seconds", "processor_seconds"))
    return (
        f"{clock[0] / clock[1]:.2f} ({clock[0]:.1f} of {clock[1]:.1f} s)",
        f"**{processor[0] / processor[1]:.2f}** ({processor[0]:.1f} of {processor[1]:.1f} s)",
    )


def training_row(r):
    """Three epochs of a method."""
    one, several = r["one"], r["several"]
    cells = [
        r["method"],
        *ratios(r),
        f"{r['apart']:.0e}",
        f"{r['sent_mb'] / r['steps_taken']:.2f} MB" if "sent_mb" in r else "not counted",
        f"{several['working_mb']:.0f} of {one['working_mb']:.0f} MB",
        f"{r['load'][0]} to {r['load'][1]}",
    ]
    return f"| {' | '.join(cells)} |"


TRAINING = "| method | by the clock | by the processor | losses apart | sent a step and rank | memory a rank | load |"
HEAD = (
    "| features | N | labels | by the clock | by the processor | knn | encode | edges | sent | memory a rank | load |"
)


def table(records, training, found):
    """What was measured, as a page."""
    return "\n".join(
        [
            "<!-- generated by `python -m benchmarks.ranks`; do not edit -->",
            f"{records[0]['ranks']} processes of one thread beside 1 of one thread, medians of the repeats in turn, "
            f"D = {records[0]['d']}, on {found['cores']} cores that had other work (load):",
            "",
            HEAD,
            "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(row(each) for each in records),
            "",
            f"Training, preset `small`, three epochs of {training[0]['clips']} synthetic clips, AIR's last two "
            f"with labels, {training[0]['ranks']} processes of one thread beside 1:",
            "",
            TRAINING,
            "|---|--:|--:|--:|--:|--:|---|",
            *(training_row(each) for each in training),
            "",
            machine_line(found),
        ]
    )


def row(r):
    """One set: ratios first."""
    one, several = r["one"], r["several"]
    cells = [
        r["kind"],
        f"{r['n']:,}",
        "the same" if r["same_labels"] else "**differ**",
        *ratios(r),
        *(f"{several['steps'][step]:.1f} of {one['steps'][step]:.1f} s" for step in STEPS[:3]),
        f"{r['sent_mb']:.0f} MB, {r['sent_mb'] * 1e6 / r['n'] / r['ranks']:.0f} bytes a row and rank",
        f"{several['working_mb']:.0f} of {one['working_mb']:.0f} MB",
        f"{r['load'][0]} to {r['load'][1]}",
    ]
    return f"| {' | '.join(cells)} |"


def machine_line(found):
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{found['cpu']} ({found['units']}), {versions}, {found['date']}."


def paper():
    """Seconds that exact labels would take on cards, were the stage shared among them as it is among processors."""
    head = "| cards | N × 256 | search and sets | exchange | features a card | |"
    rows = []
    for name, (count, (n0, d0, seconds), memory, way, _) in CARDS.items():
        for n in (10**6, 10**7, 10**8):
            each = seconds * (n / n0) ** 2 / count
            passed = ROW_BYTES * n / (way * 1e9)
            held = 2 * 4 * n * d0 / 1e9  # as given, and of unit length
            fits = "fits" if held < memory * 0.6 else f"no room beside them in {memory} GB: they would have to go round"
            rows.append(f"| {name} | {n:,} | {each:,.1f} s | {passed:,.2f} s | {held:,.0f} GB | {fits} |")
    said = "; ".join(f"{name}: {way} GB/s, {whose}" for name, (*_, way, whose) in CARDS.items())
    return "\n".join(
        [head, "|---|--:|--:|--:|--:|---|", *rows, "", f"{said}. A rank hands on {ROW_BYTES:,} bytes a row."]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="*")
    parser.add_argument("--train", nargs="*", default=[])
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    before = json.loads((RESULTS / "ranks.json").read_text())
    labels = {(each["kind"], each["n"]): each for each in before["labels"]}
    training = {each["method"]: each for each in before["training"]}
    for n in given.n:
        for kind in KINDS:
            labels[kind, n] = compare(kind, n, given.d, given.ranks, given.repeats if n < 50_000 else 1)
    for method in given.train:
        training[method] = compare_training(method, 256, given.ranks, given.repeats)
    found = machine(HOST, PACKAGES)
    records, training = sorted(labels.values(), key=lambda r: r["n"]), list(training.values())
    record = {"machine": found, "labels": records, "training": training}
    (RESULTS / "ranks.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "ranks.md").write_text(table(records, training, found) + "\n")
    (RESULTS / "ranks-paper.md").write_text(paper() + "\n")
    print(table(records, training, found), paper(), sep="\n\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        kind, n, d = sys.argv[2], *map(int, sys.argv[3:])
        work(kind, n, d) if kind in KINDS else train(kind, n)
    else:
        main()
