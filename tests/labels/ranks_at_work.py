"""What three ranks do in test_ranks.py: python ranks_at_work.py FOLDER PORT PORT PORT PORT; prints how each ended."""

import contextlib
import gc
import json
import os
import signal
import sys

import numpy as np
import pandas  # noqa: F401 (a table is written)
import torch.distributed as dist
from label_sets import FEATURES, clustered, duplicates, lattice

from airfast.cli import app
from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.labels.cpu import products, shards
from airfast.ranks import launched
from tests.forked import fork_ranks

COUNT = 3


def copies_elsewhere():
    """A row whose many copies all lie with the last rank."""
    x = np.random.default_rng(7).normal(size=(600, 8)).astype(np.float32)
    x[0] = x[400:] = x[599]
    return x


SETS = FEATURES | {  # more than a tile a rank, of three
    "clustered, large": lambda: clustered(1600, 16, 40, 0.5, 0),
    "weak, large": lambda: clustered(1700, 48, 30, 3.0, 1),
    "ties, large": lambda: lattice(1650, 2),
    "duplicates beyond the buffer": lambda: duplicates(1648, 206, 3),
    "copies elsewhere": copies_elsewhere,
    "nearly the same": lambda: (1 + 1e-4 * np.random.default_rng(6).normal(size=(400, 40))).astype(np.float32),
}
OPTIONS = {
    "as they are": {},
    "several eps": {"eps": (0.3, 0.8, 1.0)},
    "small lists": {"k1": 7, "k2": 1, "min_samples": 2},
    "euclidean": {"metric": "euclidean", "eps": 0.5},
    "cosine": {"metric": "cosine", "eps": 0.2},
    "cannot link": {"eps": 0.8, "cannot_link": True},
}
CASES = [(name, "as they are") for name in SETS]
CASES += [(name, each) for name in ("clustered", "ties, large") for each in OPTIONS if each != "as they are"]
WAYS = ("small blocks", "bfloat16 first", "bfloat16 on some")  # how a case is come by, that the answer must not tell


def answers(name, options, **more):
    """Everything that is said of a set, by eps."""
    x = SETS[name]()
    told = OPTIONS[options] | more
    if "cannot_link" in told:
        told |= {"groups": np.arange(len(x)) % 3}
    found = generate_labels(x, clustered(len(x), 16, 9, 0.5, 21), **told)
    sets = found if isinstance(found, tuple) else (found,)
    return [each.numpy() for s in sets for each in (s.labels, s.core, s.agreement, s.cluster_size)]


def label_everything(ranks):
    """Arrays by way, ranks, case and place; ranks 0, 0 and 1, and all three."""
    groups = {count: dist.new_group(list(range(count))) for count in (1, 2, 3)}
    found = {}

    def label(way, cases):
        for count, group in groups.items():
            if ranks.rank < count:
                for case in cases:
                    for place, each in enumerate(answers(*case, group=group)):
                        found[f"{way}|{count}|{'|'.join(case)}|{place}"] = each

    label("plain", CASES)
    shards.BLOCK = 101
    label("small blocks", [(name, "as they are") for name in ("clustered", "weak", "two points", "clustered, large")])
    fast, plain = lambda unit: [products.half(unit), products.single(unit)], shards.candidates
    large = [(name, "as they are") for name in SETS if "large" in name or name == "nearly the same"]
    shards.candidates = fast
    label("bfloat16 first", large)
    shards.candidates = fast if ranks.rank == 0 else plain
    label("bfloat16 on some", large[:1])
    shards.candidates = plain
    return found


def refusals(ranks):
    """What is said, on this rank, of what ranks cannot do."""
    x = SETS["clustered"]()
    other = x + np.float32(1) if ranks.rank == 1 else x
    tried = {
        "approximate": lambda: generate_labels(x, knn="ivf", group=ranks.group),
        "groups": lambda: generate_labels(x, groups=x[:, 0] > 0, k1=(3, 3), k2=(1, 1), group=ranks.group),
        "features": lambda: generate_labels(other, group=ranks.group),
        "options": lambda: generate_labels(x, eps=0.5 if ranks.rank < 2 else 0.6, group=ranks.group),
        "nobody's": lambda: generate_labels(x, group=alone),
    }
    alone = dist.new_group([0])
    said = {}
    for name, call in tried.items():
        try:
            call()
        except InputError as error:
            said[name] = str(error)
    return said


def command(port, *words):
    """A command as torchrun would have it run, in this process."""
    os.environ["MASTER_PORT"] = port
    sys.argv = ["airfast", *words]
    with contextlib.suppress(SystemExit):
        app.main()
    gc.collect()  # an error still holds what the others are to see closed; the process would have ended here


def vanish(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def work(place, ports, rank):
    """All that one rank does."""
    os.environ["MASTER_PORT"] = ports[0]
    with launched() as ranks:
        found = label_everything(ranks)
        said = refusals(ranks)
        note = generate_labels(SETS["clustered"](), group=ranks.group).notes[-1]
    np.savez(place / f"{rank}.npz", **found)
    (place / f"{rank}.json").write_text(json.dumps({"said": said, "note": note}))
    for which in (0, 1):  # the first of them fails where rank 1 alone has no file
        features = place / ("none.npy" if which == 0 and rank == 1 else "good.npy")
        sys.stderr = (place / f"{('failed', 'labelled')[which]}-{rank}.txt").open("w", buffering=1)
        sys.stdout = sys.stderr
        command(ports[1 + which], "label", str(features), "--out", str(place / f"out-{which}-{rank}.parquet"))
    sys.stderr = (place / f"gone-{rank}.txt").open("w", buffering=1)
    if rank == 2:
        shards.jaccard.mark = vanish  # in the middle, while the others wait for its flags
    command(ports[3], "label", str(place / "good.npy"), "--out", str(place / "gone.parquet"))


if __name__ == "__main__":
    answers("clustered", "as they are")  # what it reads, Numba's caches above all, no rank reads again
    fork_ranks(COUNT, work)
