"""A run as a file for a device: size, latency and answers of ONNX beside torch, positions in, classes out.

    python -m benchmarks.exported SET

SET is a prepared, labelled set (bandai1 for what is recorded). Two encoders are trained here without labels, each gets
a logistic head, and every way of running it is timed clip by clip, in turn, at one and at two threads; classes are
those of the run's test clips. Writes exported.json and .md into results/.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airfast import MotionSet, fit_head, load_config, load_encoder, pretrain
from airfast.bench.machine import machine, title
from airfast.deploy.fold import fold
from airfast.deploy.head import TENSORS, Head, load_head
from airfast.deploy.onnx_export import export_onnx
from airfast.deploy.pipeline import Pipeline, pipeline
from airfast.runs.folder import read_split
from airfast.runtime import Model

RESULTS = Path(__file__).parent / "results"
CASES = {"H = 128, T = 32": (128, 32, 20), "H = 1024, T = 64": (1024, 64, 3)}  # hidden, frames, epochs
ROUNDS, CALLS = 5, 60

Way = Callable[[np.ndarray, float], np.ndarray]  # type: ignore[type-arg]


def trained(data: Path, hidden: int, frames: int, epochs: int, place: Path) -> Path:
    """A run with a head."""
    overrides = (
        f"model.hidden={hidden}",
        f"inputs.frames={frames}",
        f"train.epochs={epochs}",
        f"air.warmup={epochs // 2}",
    )
    run = pretrain(data, load_config("small", overrides=(*overrides, "split.kind=random")), place, "cpu")
    fit_head(run, device="cpu")
    return run


def ways(run: Path, threads: int) -> dict[str, tuple[Way, int]]:
    """Every way of running it, and the bytes it takes on disk."""
    head = load_head(run)
    network = pipeline(load_encoder(run), head)

    half = pipeline(load_encoder(run), head)
    half.encoder = fold(load_encoder(run), torch.bfloat16)
    found: dict[str, tuple[Way, int]] = {
        f"torch, {precision}": (by_torch(each), bytes_of(each, head))
        for precision, each in (("fp32", network), ("bf16", half))
    }
    for precision in ("fp32", "int8"):
        path = run / f"{precision}.onnx"
        model = Model(path, threads)
        answer = lambda positions, fps, model=model: model(positions, fps)["probability"][0]  # noqa: E731
        found[f"ONNX Runtime, {precision}"] = (answer, path.stat().st_size)
    return found


def by_torch(network: Pipeline) -> Way:
    """Positions and rate to probabilities (C,)."""

    def answer(positions: np.ndarray, fps: float) -> np.ndarray:  # type: ignore[type-arg]
        with torch.inference_mode():
            return network(torch.from_numpy(positions)[None], torch.tensor([fps]))[1][0].numpy()

    return answer


def bytes_of(network: Pipeline, head: Head) -> int:
    """Bytes of all weights."""
    tensors = [*network.state_dict().values(), *(getattr(head, name) for name in TENSORS)]
    return sum(each.numel() * each.element_size() for each in tensors)


def case(data: Path, motion: MotionSet, name: str) -> list[dict[str, Any]]:
    """One encoder, every way."""
    with tempfile.TemporaryDirectory() as folder:
        run = trained(data, *CASES[name], Path(folder) / "run")
        parity = {precision: export_onnx(run, run / f"{precision}.onnx", precision) for precision in ("fp32", "int8")}
        test = [motion.names.index(each) for each in read_split(run)["test"]]
        clips = [(motion.clip(i), float(motion.fps[i])) for i in test]
        rows = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            chosen = ways(run, threads)
            seconds: dict[str, list[float]] = {way: [] for way in chosen}
            for turn in range(ROUNDS):
                for way, (answer, _) in chosen.items():
                    for call in range(CALLS):
                        positions, fps = clips[(turn * CALLS + call) % len(clips)]
                        started = time.perf_counter()
                        answer(positions, fps)
                        if call >= 5:  # the first ones warm up
                            seconds[way].append(time.perf_counter() - started)
            said = {way: [int(answer(*clip).argmax()) for clip in clips] for way, (answer, _) in chosen.items()}
            for way, (_, size) in chosen.items():
                rows.append(
                    {
                        "encoder": name,
                        "tests": len(clips),
                        "way": way,
                        "threads": threads,
                        "mb": size / 1e6,
                        "p50_ms": 1e3 * statistics.median(seconds[way]),
                        "p99_ms": 1e3 * float(np.quantile(seconds[way], 0.99)),
                        "accuracy": float(np.mean(np.array(said[way]) == motion.labels[test])),
                        "same_class": float(np.mean(np.array(said[way]) == said["torch, fp32"])),
                        "probability": parity[way[-4:]].probability if way.startswith("ONNX") else 0.0,
                    }
                )
    return rows


def present_best() -> str:
    """What the encoder alone has reached, compiled, at the paper's size."""
    known = json.loads((RESULTS / "deployed.json").read_text())
    best = max((row for row in known["speeds"] if row.get("batch") == 1), key=lambda row: row["fps"])
    way = f"{best['form']}, {best['way']}, {best['precision']}"
    about = known["machine"]
    return (
        f"{best['fps']:.0f}/s for the encoder alone, from prepared clips on ({way}; {about['cpu']}, {about['units']})"
    )


def markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    lines = [
        "<!-- generated by `python -m benchmarks.exported`; do not edit -->",
        title(record["machine"]) + ".",
        "",
        f"Positions of one whole clip ({record['data']}) to its class; facing, velocities, resampling and head are in "
        f"it. ms a clip, {ROUNDS} rounds in turn; /s: clips a second, one after another; ×: of torch in fp32 at as "
        f"many threads; same: test clips ({record['tests']}) of the class that torch says. The encoders were trained "
        "for a few epochs: their accuracies say only whether ways agree. The present best, of another machine and "
        f"another question: {present_best()}.",
        "",
        "| encoder | way | threads | MB | p50 | p99 | /s | × | accuracy | same |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows = record["rows"]
    for row in rows:
        base = next(
            each["p50_ms"]
            for each in rows
            if (each["encoder"], each["threads"], each["way"]) == (row["encoder"], row["threads"], "torch, fp32")
        )
        lines.append(
            f"| {row['encoder']} | {row['way']} | {row['threads']} | {row['mb']:.1f} | {row['p50_ms']:.2f} "
            f"| {row['p99_ms']:.2f} | {1e3 / row['p50_ms']:.0f} | {base / row['p50_ms']:.2f} "
            f"| {100 * row['accuracy']:.1f} | {100 * row['same_class']:.1f}% |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    motion = MotionSet.load(given.data)
    about = machine(torch.device("cpu"), ("onnx", "onnxruntime"))
    rows = [row for name in CASES for row in case(given.data, motion, name)]
    record = {"machine": about, "data": "bandai1", "tests": rows[0]["tests"], "rows": rows}
    (RESULTS / "exported.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "exported.md").write_text(markdown(record))
    print(markdown(record))


if __name__ == "__main__":
    main()
