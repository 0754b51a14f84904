"""How much of an exact search can be passed over with proof, and what the search that does so takes.

    python -m benchmarks.bounds [--real WORK/NAME-N.npz ...] [--n 12936]

x·y ≤ p(x)·p(y) + |r(x)|·|r(y)|, where p are the coordinates along m leading directions and r is what is left. A pair
need not be multiplied out where that lies below the k-th similarity that its rows are known to have. Three counts, on a
sample of rows against all: pairs that stay of the k-th similarity as the search ends, which nobody knows beforehand,
asked of one row alone; pairs that stay of what both rows know from their own cluster and the nearest others (k-means,
512 rows a cluster on average); and tiles of 64² rows, ordered by cluster, of which one such pair stays, which is what a
processor could pass over. The gain is the whole product over m columns and the share that stays: an upper bound, since
what stays is scattered and k-means costs nothing in it.

Then processor seconds of one thread: the search of all float32 products, and that of airfast/labels/cpu/bounded.py, in
turn. What is measured takes the place of its like in results/bounds.json and .md.
"""

import argparse
import json
import os
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.bench.labels import Case
from airfast.bench.machine import machine, title
from airfast.bench.table import line
from airfast.labels.cpu.bounded import play_bounded
from airfast.labels.cpu.knn import TILE as TILE_ROWS
from airfast.labels.cpu.knn import no_candidates, search, settled
from airfast.labels.cpu.products import exact_settings, single
from airfast.labels.cpu.threads import Each, threads
from benchmarks.features import TAKEN, kept

RESULTS = Path(__file__).parent / "results"
K = 30
DIRECTIONS = (8, 16, 32, 64, 128, 256)
CLUSTER, NEAREST, TILE = 512, 4, 64
SAMPLE = 16  # tiles of rows that are counted
ERROR = 1e-5  # of float32 sums, allowed for
Rows = NDArray[np.float32]


def count(x: Rows) -> dict[str, Any]:
    """Shares that stay, by how many directions, and the gain at most."""
    n, d = x.shape
    x = x[by_cluster(x)]
    _, basis = np.linalg.eigh(x.T @ x)
    turned = np.ascontiguousarray(x @ basis[:, ::-1])
    known = from_cluster(turned)
    energy = np.cumsum(turned**2, axis=1)
    first = np.random.default_rng(0).choice(n // TILE, min(SAMPLE, n // TILE), replace=False) * TILE
    some = (first[:, None] + np.arange(TILE)).ravel()
    final = kth(turned[some] @ turned.T)
    found = []
    for m in (each for each in DIRECTIONS if each < d):
        rest = np.sqrt(np.maximum(energy[:, -1] - energy[:, m - 1], 0))
        bound = turned[some, :m] @ turned[:, :m].T + rest[some, None] * rest + ERROR
        stay = {"final": bound >= final[:, None], "known": bound >= np.minimum(known[some, None], known)}
        whole = n // TILE * TILE
        tiles = stay["known"][:, :whole].reshape(len(first), TILE, whole // TILE, TILE).any((1, 3)).mean()
        shares = {name: float(each.mean()) for name, each in stay.items()} | {"tiles": float(tiles)}
        found.append({"m": m} | shares | {f"gain_{name}": 1 / (m / d + share) for name, share in shares.items()})
    about = {"n": n, "d": d, "known": float(np.median(known)), "final": float(np.median(final))}
    return about | {"directions": found, "load": os.getloadavg()[0]}


def searched(x: Rows) -> dict[str, Any]:
    """Processor seconds of both searches, whether bounds were found to pay, and neighbours that differ."""
    products = single(torch.from_numpy(x))

    def whole(each: Each) -> Any:
        return search(x, K, products, each, np.inf)

    def bounded(each: Each) -> Any:
        rows = no_candidates(0, len(x), K)
        return settled(x, K, products, each, rows) if play_bounded(K, products, each, TILE_ROWS, rows) else None

    seconds, found = {}, {}
    with exact_settings(), threads() as each:
        for name, work in (("whole", whole), ("bounded", bounded)):
            started = time.process_time()
            found[name] = work(each)
            seconds[name] = time.process_time() - started
    pays = found["bounded"] is not None
    different = int((found["whole"][0] != found["bounded"][0]).sum()) if pays else 0
    return {"seconds": seconds, "pays": pays, "different": different}


def kth(similarity: Rows) -> Rows:
    """The K-th largest of each row, itself among them."""
    taken: Rows = np.partition(similarity, similarity.shape[1] - K, axis=1)[:, -K]
    return taken


def by_cluster(x: Rows) -> NDArray[np.int64]:
    """An order of the rows in which those of a cluster of k-means (six rounds, on directions) stand together."""
    random = np.random.default_rng(0)
    centres = x[random.choice(len(x), max(1, len(x) // CLUSTER), replace=False)]
    for _ in range(6):
        own = (x @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, own, x)
        centres = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(min=1e-12)
    # clusters that resemble each other side by side, by the leading direction of the centres
    place = np.argsort(np.argsort(centres @ np.linalg.svd(centres - centres.mean(0), full_matrices=False)[2][0]))
    order: NDArray[np.int64] = np.argsort(place[own], kind="stable")
    return order


def from_cluster(x: Rows) -> Rows:
    """(N,) a lower bound of each row's K-th similarity: that among runs of CLUSTER rows, its own and the nearest."""
    runs = np.arange(0, len(x), CLUSTER)
    means = np.add.reduceat(x, runs) / np.diff(np.append(runs, len(x)))[:, None]
    near = np.argsort(-(means @ means.T), axis=1)
    known = np.empty(len(x), np.float32)
    for place, start in enumerate(runs):
        looked = {place, *near[place, : NEAREST + 1].tolist()}
        others = np.concatenate([x[runs[each] : runs[each] + CLUSTER] for each in looked])
        known[start : start + CLUSTER] = kth(x[start : start + CLUSTER] @ others.T)
    return known


def markdown(record: dict[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "<!-- generated by `python -m benchmarks.bounds`; do not edit -->",
        f"The exact search by one thread, float32, in processor seconds, one run each. {title(record['machine'])}.",
        "",
        line(("features", "N", "D", "all products", "by bounds", "×", "neighbours that differ", "load")),
        "|---|" + "--:|" * 7,
        *(line(took(each)) for each in record["results"]),
        "",
        f"Share of pairs (of tiles of {TILE}²) that the bound by m leading directions leaves, and the gain over the "
        "whole product at most.",
        "",
        line(("features", "N", "D", "m", "pairs, final k-th", "×", "pairs, k-th of clusters", "×", "tiles", "×")),
        "|---|" + "--:|" * 9,
    ]
    for each in record["results"]:
        for at in each["directions"]:
            cells = [cell for name in ("final", "known", "tiles") for cell in (f"{at[name]:.1%}", gain(at, name))]
            lines.append(line((each["features"], f"{each['n']:,}", f"{each['d']:,}", str(at["m"]), *cells)))
    return "\n".join(lines) + "\n"


def took(each: dict[str, Any]) -> tuple[str, ...]:
    """A line of what the searches took; where bounds do not pay, what finding that out took."""
    whole, bounded = each["seconds"]["whole"], each["seconds"]["bounded"]
    ratio = f"**{whole / bounded:.1f}**" if each["pays"] else "given up"
    size = (each["features"], f"{each['n']:,}", f"{each['d']:,}")
    return (*size, f"{whole:.2f}", f"{bounded:.2f}", ratio, str(each["different"]), f"{each['load']:.1f}")


def gain(at: dict[str, float], name: str) -> str:
    """Ratio of the whole product to what is left of it."""
    return f"{at[f'gain_{name}']:.1f}"


def main() -> None:
    """Count, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    parser.add_argument("--n", type=int, default=12_936, help="of synthetic features beside")
    given = parser.parse_args()
    torch.set_num_threads(1)
    searched(Case("clustered", 2_000, 256).features().numpy())  # compiled
    path = RESULTS / "bounds.json"
    earlier = json.loads(path.read_text())["results"] if path.exists() else []
    results = {(each["features"], each["n"]): each for each in earlier}
    makers = [
        *(
            (f"{file.stem.rpartition('-')[0]}, {parts}", partial(kept, file, parts != "X"))
            for file, parts in product(given.real, TAKEN)
        ),
        ("clustered", Case("clustered", given.n, 512).features),
    ]
    for name, make in makers:
        x = make().numpy()
        results[name, len(x)] = {"features": name} | count(x) | searched(x)
        print(name, len(x), results[name, len(x)], flush=True)
        record = {"machine": machine(torch.device("cpu")), "results": [results[key] for key in sorted(results)]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        path.with_suffix(".md").write_text(markdown(record))


if __name__ == "__main__":
    main()
