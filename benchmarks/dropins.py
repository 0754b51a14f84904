"""The label code of cluster-contrast, SpCL and PPLR, before and after their lines are exchanged for ours.

    python -m benchmarks.dropins [--n 4000 8000 12936] [--real WORK/NAME-N.npz] [--repeats 3]

What each code does between features and labels is written here anew from its paper, dense and in loops over rows as
its authors' code is: k-reciprocal encoding (Zhong et al., CVPR 2017), the reliability of SpCL (Ge et al., NeurIPS 2020,
Eq. 7 and 8), the cross agreement of PPLR (Cho et al., CVPR 2022). Their searches, which run on a card, are FAISS's
exact search on the processor. Each way runs in a process of its own, with one thread, in turn; seconds are the
processor's. --n: of synthetic features; --real: of benchmarks.features. What is measured takes the place of its like in
results/dropins.json and .md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from airfast import JaccardDBSCAN, stability
from airfast.bench.label_baselines import dense_encoding, dense_jaccard, faiss_neighbours
from airfast.bench.labels import Case
from airfast.bench.machine import machine, peak, start_peak, title
from airfast.bench.table import line
from airfast.compat import compute_cross_agreement, compute_jaccard_distance
from benchmarks.features import kept

RESULTS = Path(__file__).parent / "results"
HOST = torch.device("cpu")
CASES = (
    Case("clustered", 4_000, 2_048),
    Case("clustered", 8_000, 2_048),
    Case("weak", 8_000, 2_048),
    Case("clustered", 12_936, 2_048),
)
LONG = 20.0  # processor seconds: what takes longer is run once
K1, K2, SAMPLES = 30, 6, 4
EPS, GAP, PPLR_EPS, AGREE = 0.6, 0.02, 0.5, 20  # the codes' own defaults
PARTS = 3  # of PPLR
Answers = dict[str, NDArray[Any]]


def distances(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """N×N Jaccard distances as the three codes have them."""
    return dense_jaccard(dense_encoding(x, faiss_neighbours(x, K1), K1, K2))


def scan(eps: float) -> DBSCAN:
    """Their DBSCAN."""
    return DBSCAN(eps=eps, min_samples=SAMPLES, metric="precomputed")


def contrast_before(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """cluster-contrast: distances, DBSCAN."""
    return {"labels": scan(EPS).fit_predict(distances(x.numpy()))}


def contrast_import(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """The same, its function imported from here."""
    return {"labels": scan(EPS).fit_predict(compute_jaccard_distance(x, k1=K1, k2=K2, print_flag=False))}


def contrast_after(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """Distances and DBSCAN together."""
    return {"labels": JaccardDBSCAN(eps=EPS, min_samples=SAMPLES, k1=K1, k2=K2).fit_predict(x).numpy()}


def spcl_before(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """SpCL: distances, DBSCAN at three eps, intersections over unions of clusters by N×N matrices of equal labels."""
    rerank = distances(x.numpy())
    found = {name: scan(eps).fit_predict(rerank) for name, eps in three().items()}
    alike = {name: same(torch.from_numpy(apart(labels))) for name, labels in found.items()}
    middle = alike["labels"]
    reliability = {
        key: (torch.minimum(middle, alike[other]).sum(1) / torch.maximum(middle, alike[other]).sum(1)).numpy()
        for key, other in (("compactness", "tight"), ("independence", "loose"))
    }
    return found | reliability


def spcl_after(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """One search, one encoding and one join for the three, clusters compared by counts."""
    found = stability(x, eps=tuple(three().values()), min_samples=SAMPLES, k1=K1, k2=K2)
    tight, middle, loose = (each.labels.numpy() for each in found.sets)
    reliability = {"compactness": found.compactness[1].numpy(), "independence": found.independence[1].numpy()}
    return {"tight": tight, "labels": middle, "loose": loose} | reliability


def three() -> dict[str, float]:
    """SpCL's eps, rising."""
    return {"tight": EPS - GAP, "labels": EPS, "loose": EPS + GAP}


def apart(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels in which every outlier is a cluster of its own."""
    noise = labels < 0
    return np.where(noise, labels.max() + np.cumsum(noise), labels)


def same(labels: torch.Tensor) -> torch.Tensor:
    """N×N float32: 1 where two samples have one label."""
    return (labels[:, None] == labels).float()


def pplr_before(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """PPLR: distances, DBSCAN, and of every sample and part the overlap of two ranked lists, by set operations."""
    labels = scan(PPLR_EPS).fit_predict(distances(x.numpy()))
    whole = faiss_neighbours(x.numpy(), AGREE + 1)[:, 1:]
    columns = []
    for p in range(parts.shape[2]):
        near = faiss_neighbours(parts[:, :, p].contiguous().numpy(), AGREE + 1)[:, 1:]
        pairs = list(zip(whole, near, strict=True))
        columns.append([len(np.intersect1d(a, b)) / len(np.union1d(a, b)) for a, b in pairs])
    return {"labels": labels, "agreement": np.array(columns, np.float32).T}


def pplr_after(x: torch.Tensor, parts: torch.Tensor) -> Answers:
    """Labels at once; the function of the same name."""
    labels = JaccardDBSCAN(eps=PPLR_EPS, min_samples=SAMPLES, k1=K1, k2=K2).fit_predict(x).numpy()
    return {"labels": labels, "agreement": compute_cross_agreement(x, parts, AGREE).numpy()}


WAYS: dict[str, dict[str, Callable[[torch.Tensor, torch.Tensor], Answers]]] = {
    "cluster-contrast": {"before": contrast_before, "one import": contrast_import, "after": contrast_after},
    "SpCL": {"before": spcl_before, "after": spcl_after},
    "PPLR": {"before": pplr_before, "after": pplr_after},
}


def run_alone(code: str, way: str, folder: Path) -> None:
    """In a process of its own: the answers into FOLDER, what they took on the standard output."""
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    work = WAYS[code][way]
    small = Case("clustered", 200, 16).features()
    work(small, torch.stack([small, small.flip(0)], 2))  # compiled loops are read, libraries loaded
    x = torch.from_numpy(np.load(folder / ("x.npy" if code == "PPLR" else "whole.npy")))
    parts = torch.from_numpy(np.load(folder / "parts.npy")) if code == "PPLR" else torch.empty(0)
    before, used = start_peak(HOST), time.process_time()
    answers = work(x, parts)
    took = {"cpu_seconds": time.process_time() - used, "peak_mb": (peak(HOST) - before) / 2**20}
    np.savez(folder / f"{code}-{way}.npz", **answers)
    print(json.dumps(took))


def measure(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """One set of features: every code's ways in turn, and how far the answers differ."""
    n, d = np.load(folder / "whole.npy", mmap_mode="r").shape
    record: dict[str, Any] = {"features": name, "n": n, "d": d, "load": os.getloadavg()[0], "codes": {}}
    for code, ways in WAYS.items():
        took: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, runs in took.items():
                if not runs or runs[0]["cpu_seconds"] <= LONG:
                    runs.append(in_process(code, way, folder))
        found = {way: dict(np.load(folder / f"{code}-{way}.npz")) for way in ways}
        record["codes"][code] = {
            way: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            | {"runs": len(runs)}
            | ({} if way == "before" else differences(found["before"], found[way]))
            for way, runs in took.items()
        }
        print(name, n, code, record["codes"][code], flush=True)
    return record


def in_process(code: str, way: str, folder: Path) -> dict[str, float]:
    """What a way takes."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks.dropins", "--alone", code, way, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | one)
    took: dict[str, float] = json.loads(done.stdout)
    return took


def differences(before: Answers, after: Answers) -> dict[str, float]:
    """Labels that differ, of all that there are, and the largest difference of what is no label."""
    labels = [key for key, values in before.items() if values.dtype.kind == "i"]
    scores = [key for key in before if key not in labels]
    found = {"different_labels": float(sum((before[key] != after[key]).sum() for key in labels))}
    if scores:
        found["largest_difference"] = max(float(np.abs(before[key] - after[key]).max()) for key in scores)
        found["different_scores"] = float(sum((np.abs(before[key] - after[key]) > 1e-6).sum() for key in scores))
    return found


def synthetic(case: Case, folder: Path) -> None:
    """x, and parts that are x with noise of their own as long as it."""
    x = case.features()
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(PARTS, *x.shape, generator=generator) * case.d**-0.5
    parts = torch.nn.functional.normalize(x + noise, dim=2)
    for name in ("whole", "x"):
        np.save(folder / f"{name}.npy", x.numpy())
    np.save(folder / "parts.npy", parts.permute(1, 2, 0).contiguous().numpy())


def real(file: Path, folder: Path) -> None:
    """X, LA and HA side by side; and for PPLR X as the whole, LA and HA as its parts."""
    whole = kept(file, concat=True)
    x, la, ha = torch.nn.functional.normalize(whole.view(len(whole), 3, -1), dim=2).unbind(1)
    np.save(folder / "whole.npy", whole.numpy())
    np.save(folder / "x.npy", x.contiguous().numpy())
    np.save(folder / "parts.npy", torch.stack([la, ha], 2).numpy())


def markdown(record: dict[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "<!-- generated by `python -m benchmarks.dropins`; do not edit -->",
        f"Between features and labels, one thread, processor seconds and peak memory above the features; median of "
        f"{record['repeats']} runs in turn (1 above {LONG:.0f} s), each in a process of its own. Before: the code's "
        "own way, written anew, its searches by FAISS on the processor. `labels unlike`: of all that the code makes "
        "(SpCL: at its three eps); where there are any, pairs lie at eps to seven digits, or neighbours tie to as "
        "many, and their float32 sums decide. `scores`: SpCL's R_comp and R_indep, PPLR's agreement of three parts "
        "(real motion: "
        f"two), the largest difference. {title(record['machine'])}.",
        "",
        "| features | N | D | code | way | seconds | × | peak MB | × | labels unlike | scores |",
        "|---|--:|--:|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for case in record["results"]:
        for code, ways in case["codes"].items():
            for way, took in ways.items():
                lines.append(row(case, code, way, took, ways["before"]))
    return "\n".join(lines) + "\n"


def row(case: dict[str, Any], code: str, way: str, took: dict[str, float], before: dict[str, float]) -> str:
    """A line of the table; ratios are before over after."""
    first = way == "before"
    score = took.get("largest_difference")
    return line(
        (
            case["features"],
            f"{case['n']:,}",
            f"{case['d']:,}",
            code,
            way,
            f"{took['cpu_seconds']:.2f}",
            "" if first else f"**{before['cpu_seconds'] / took['cpu_seconds']:.0f}**",
            f"{took['peak_mb']:,.0f}",
            "" if first else f"{before['peak_mb'] / took['peak_mb']:.0f}",
            "" if first else f"{took['different_labels']:.0f}",
            "" if score is None else f"{score:.1g}",
        )
    )


def main() -> None:
    """Measure, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="*", default=sorted({case.n for case in CASES}))
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        run_alone(given.alone[0], given.alone[1], Path(given.alone[2]))
        return
    makers: list[tuple[str, Callable[[Path], None]]] = [
        (case.kind, partial(synthetic, case)) for case in CASES if case.n in given.n
    ]
    makers += [(f"windows of {file.stem.rpartition('-')[0]}", partial(real, file)) for file in given.real]
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "dropins.json"
    kept_before = json.loads(path.read_text())["results"] if path.exists() else []
    results = {key(case): case for case in kept_before}
    for name, make in makers:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            case = measure(name, Path(folder), given.repeats)
        results[key(case)] = case
        about = machine(torch.device("cpu"), ("numpy", "numba", "scipy", "sklearn", "faiss")) | {"threads": 1}
        record = {"machine": about, "repeats": given.repeats, "results": [results[each] for each in sorted(results)]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        path.with_suffix(".md").write_text(markdown(record))


def key(case: dict[str, Any]) -> tuple[str, int, int]:
    """What a case is known by."""
    return case["features"], case["n"], case["d"]


if __name__ == "__main__":
    main()
