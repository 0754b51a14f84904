"""What four ranks do in test_shared_run.py: python shared_run_at_work.py FOLDER PORT; prints how each ended."""

import json
import os
import shutil
import signal
import warnings
from functools import cache

import numpy as np
import torch
import torch.distributed as dist

from airfast.config import load_config
from airfast.data.synthetic import synthetic_walkers
from airfast.errors import InputError, NonFiniteLoss
from airfast.labels import generate_labels
from airfast.labels.statistics import adjusted_mutual_information
from airfast.methods.air import amdl
from airfast.methods.air.air import Air
from airfast.ranks import launched
from airfast.runs.checkpoint import BEFORE, STATE
from airfast.training.pretrain import pretrain
from airfast.training.stopping import Stopped
from tests.conftest import TINY
from tests.forked import fork_ranks

COUNT = 4
COUNTS = (2, 4)
OVER = (*TINY, "train.epochs=4", "train.checkpoint_every=2", "train.batch_size=15")  # which no number of ranks divides


@cache
def walkers():
    return synthetic_walkers(clips=48, seed=0)


def train(place, name, ranks, group, *over, base=OVER, method="air"):
    """A run in place/name; a rank that is not to write is given another folder to write into. What it ends with."""
    out = place / (name if ranks.rank == 0 else f"{name}-{ranks.rank}")
    try:
        pretrain(walkers(), load_config("demo", overrides=(*base, *over), method=method), out, "cpu", group=group)
    except (InputError, NonFiniteLoss, Stopped) as error:  # whatever else it is, others must not wait for this rank
        return f"{type(error).__name__}: {error}"
    return "done"


def round_otherwise():
    """As a processor of another kind might."""
    plain = amdl.clustered
    amdl.clustered = lambda *told: plain(*told) * (1 + 2.0**-22)


def interrupted(place, ranks, group):
    """The second rank hears a signal before its last epoch."""
    plain = Air.begin_epoch

    def begin_epoch(self, epoch, clips, optimiser):
        if epoch == 3 and ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, epoch, clips, optimiser)

    Air.begin_epoch = begin_epoch
    try:
        return train(place, "stopped", ranks, group)
    finally:
        Air.begin_epoch = plain


def work(place, ports, rank):
    """All that one rank does."""
    warnings.simplefilter("ignore")
    os.environ["MASTER_PORT"] = ports[0]
    if rank == 1:
        round_otherwise()
    said = {}
    with launched() as ranks:
        groups = {count: dist.new_group(list(range(count))) for count in COUNTS}
        for count, group in groups.items():
            if rank < count:
                said[f"run of {count}"] = train(place, f"run-{count}", ranks, group)
        if rank == 0:  # the run of two as it was after its second epoch, to go on with four
            shutil.copytree(place / "run-2", place / "resumed")
            (place / "resumed" / BEFORE).rename(place / "resumed" / STATE)
        dist.barrier()
        said["resumed"] = train(place, "resumed", ranks, groups[4])
        if rank < 2:
            said["stopped"] = interrupted(place, ranks, groups[2])
            said["exploded"] = train(place, "exploded", ranks, groups[2], "train.lr=1e18")
            said["another method"] = train(place, "refused", ranks, groups[2], base=(), method="cmd")
            said["another seed"] = train(place, "refused", ranks, groups[2], f"seed={rank}")
        said["small batches"] = train(place, "refused", ranks, groups[4], "train.batch_size=3")
    (place / f"{rank}.json").write_text(json.dumps(said))


def load():
    """Have read, before there are ranks, what each would read for itself; no step: autograd does not outlive a fork."""
    walkers()
    generate_labels(np.eye(40, dtype=np.float32)).to_frame()  # Numba's caches and pandas
    adjusted_mutual_information(np.eye(2, dtype=np.int64))  # scikit-learn
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch's compiler, two seconds, which nothing here uses


if __name__ == "__main__":
    load()
    fork_ranks(COUNT, work)
