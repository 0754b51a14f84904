"""The deployed encoder: which way to run it wins, and what low precision does to a linear probe.

    python -m benchmarks.deployed SET [--name bandai1] [--epochs 10]

SET is a prepared, labelled set (bandai1 for what is recorded). Writes deployed.json and .md into results/; about four
minutes on two idle cores. Features of a small encoder trained here and of an untrained one of H = 1024 are probed in
every precision, on the same splits and seeds: the difference is what the precision does.
"""

import argparse
import copy
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from airfast import DeviceClips, MotionSet, load_config, load_encoder, pretrain
from airfast.bench.flops import counts
from airfast.bench.machine import machine, title
from airfast.bench.reported import reported
from airfast.bench.subjects import choose, clips
from airfast.bench.table import Cells, line
from airfast.bench.table1 import costs
from airfast.bench.throughput import Runner, add_limits, prepared, run, summary, weight_bytes
from airfast.data.splits import split
from airfast.deploy.fold import fold
from airfast.evaluate.linear import linear_probe
from airfast.models.deployed import DeployedEncoder

RESULTS = Path(__file__).parent / "results"
SPLITS, SEEDS, REPEATS = 6, 5, 5
PROBED = ("fp32", "bf16", "int8")


def int8(network: nn.Module) -> nn.Module:
    """Weights in 8 bits, activations quantised call by call, for every linear layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will move this function to another package
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(network), {nn.Linear}, dtype=torch.qint8)


def int8_bytes(network: nn.Module) -> int:
    """A byte a weight of a linear layer, four for the rest."""
    linear = sum(each.weight.numel() for each in network.modules() if isinstance(each, nn.Linear))
    return weight_bytes(network) - 3 * linear


def which_wins(say: Any) -> list[dict[str, Any]]:
    """AIR at the paper's size, batch 1, every way, in turn."""
    (air,), place = choose(("air",)), torch.device("cpu")
    runners: list[tuple[Runner, str]] = []
    for precision in ("fp32", "bf16"):
        found = prepared(air, place, precision, ("eager", "compiled", "autotuned"), (1,), say)
        runners += [(each, precision) for each in found]
    folded = fold(air.deployed().eval())
    runners.append((Runner(air, "folded", "eager", clips(1), int8(folded), int8_bytes(folded)), "int8"))
    for turn in range(REPEATS):
        say(f"measuring, {turn + 1} of {REPEATS}")
        for runner, _ in runners:
            run(runner, place)
    return [summary(runner, precision) for runner, precision in runners]


@torch.no_grad()
def features(encoder: DeployedEncoder, motion: MotionSet) -> dict[str, Tensor]:
    """(N, D) features of a set by precision; "as trained" is what every table of this project probes."""
    read = DeviceClips.from_motion(motion, encoder.config.inputs, "cpu")
    exact = fold(encoder)
    networks = {"as trained": encoder, "fp32": exact, "bf16": fold(encoder, torch.bfloat16), "int8": int8(exact)}
    return {
        name: torch.cat([network(batch).float() for batch in read.batches(32)]) for name, network in networks.items()
    }


def probe(found: dict[str, Tensor], motion: MotionSet) -> list[dict[str, Any]]:
    """Linear probes in every precision on the same random splits and seeds; accuracy in percent."""
    labels = torch.from_numpy(motion.labels)
    right: dict[str, list[float]] = {name: [] for name in found}
    for draw in range(SPLITS):
        train, test = split(motion, "random", draw, 0.2)
        for name, values in found.items():
            sides = (values[train], labels[train], values[test], labels[test])
            hits = linear_probe(*sides, len(motion.classes), SEEDS).last == labels[test]
            right[name] += (100 * hits.double().mean(dim=1)).tolist()
    base = np.array(right["as trained"])
    scale = found["as trained"].norm(dim=1)
    return [
        {
            "precision": name,
            "accuracy": float(np.mean(values)),
            "difference": float(np.mean(values - base)),
            "standard_error": float(np.std(values - base, ddof=1) / len(base) ** 0.5),
            "feature_error": float(((found[name] - found["as trained"]).norm(dim=1) / scale).mean()),
        }
        for name, values in right.items()
    ]


def encoders(data: Path, motion: MotionSet, epochs: int) -> dict[str, DeployedEncoder]:
    """A small one trained here on all clips without their labels, and one of the paper's width, untrained."""
    config = load_config("small", overrides=(f"train.epochs={epochs}", f"air.warmup={epochs // 2}", "split.kind=none"))
    with tempfile.TemporaryDirectory() as folder:
        trained = load_encoder(pretrain(data, config, Path(folder) / "run", "cpu"))
    wide = load_config("small", overrides=("model.hidden=1024", "inputs.frames=64"))
    torch.manual_seed(0)
    untrained = DeployedEncoder(wide, motion.layout).eval()
    untrained.inputs.fit(DeviceClips.from_motion(motion, wide.inputs, "cpu").batches(64))
    return {f"trained, H = 128, {epochs} epochs": trained, "untrained, H = 1024, T = 64": untrained}


def allowed(record: dict[str, Any]) -> list[str]:
    """Precisions that cost no probe more than a point."""
    rows = [row for rows in record["probes"].values() for row in rows]
    return [kind for kind in PROBED if all(row["difference"] >= -1 for row in rows if row["precision"] == kind)]


def ways_table(record: dict[str, Any]) -> Cells:
    """A row a way, against the encoder as it was trained, run eagerly in fp32; the paper's row last."""
    rows = []
    base = record["speeds"][0]["fps"]
    for each in record["speeds"]:
        name = f"{each['form']}, {each['way']}, {each['precision']}"
        figures = (f"{each['p50_ms']:.2f}", f"{each['p99_ms']:.2f}", f"{each['fps'] / each['limit_fps']:.0%}")
        rows.append((name, f"{each['fps'] / base:.2f}", f"{each['fps']:,.1f}", *figures, f"{each['memory_mb']:,.0f}"))
    rows.append(("reported†", "", f"{reported('AIR').fps:.2f}", "", "", "", ""))
    title = "AIR (J, B and M; H = 1024, T = 64, J = 25), batch 1, ms; ×: of the first row; limit: share of it reached"
    heads = ("run", "×", "seq/s", "p50", "p99", "limit", "MB")
    return Cells(f"{title}; † printed in Table I, for an RTX 4090", heads, rows)


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    found = record["machine"]
    peaks = ", ".join(f"{value:,} GFLOP/s in {kind}" for kind, value in found["peak_gflops"].items())
    reads = ", ".join(f"{size} at {speed} GB/s" for size, speed in found["read_gb_s"].items())
    wins = max((each for each in record["speeds"] if each["precision"] in allowed(record)), key=lambda one: one["fps"])
    times = wins["fps"] / record["speeds"][0]["fps"]
    lines = [
        "<!-- generated by `python -m benchmarks.deployed`; do not edit -->",
        f"{title(found)}. Measured limits: a large product {peaks}; reading weights of {reads}.",
        "",
        ways_table(record).markdown(),
        "",
        f"Quickest of those that cost a linear probe no more than a point: **{wins['form']}, {wins['way']}, "
        f"{wins['precision']}**, {times:.1f} × the encoder as trained, run eagerly in "
        f"fp32; {wins['fps']:,.0f} sequences/s on this machine.",
        "",
        f"Linear probe on {record['set']} ({SPLITS} random splits, {SEEDS} seeds each, the same for every precision; "
        "difference to the encoder as trained, mean ± its standard error):",
        "",
        line(("encoder", "precision", "accuracy %", "difference, points", "error of a feature")),
        "|---|---|--:|--:|--:|",
    ]
    for name, rows in record["probes"].items():
        for row in rows:
            apart = f"{row['difference']:+.2f} ± {row['standard_error']:.2f}"
            cells = (f"{row['accuracy']:.1f}", apart, f"{100 * row['feature_error']:.2g} %")
            lines.append(line((name, row["precision"], *cells)))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--name", help="of the set in what is written; the set's own if not given")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    motion = MotionSet.load(given.set)
    place = torch.device("cpu")
    record: dict[str, Any] = {"machine": machine(place), "set": given.name or motion.info["name"]}
    record["speeds"] = which_wins(lambda text: print(text, flush=True))
    (air,) = choose(("air",))
    cost = {air.title: costs({kind: one.flops for kind, one in counts(air).items()})}
    record["machine"] |= add_limits(record["speeds"], cost, place)
    found = encoders(given.set, motion, given.epochs)
    record["probes"] = {name: probe(features(each, motion), motion) for name, each in found.items()}
    (given.out / "deployed.json").write_text(json.dumps(record, indent=1) + "\n")
    (given.out / "deployed.md").write_text(markdown(record))


if __name__ == "__main__":
    main()
