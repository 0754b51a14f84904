"""What four ranks do in test_shared_run.py: python shared_run_at_work.py FOLDER PORT; prints how each ended."""

import json
import os
import shutil
import signal
import warnings
import zlib
from functools import cache

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from airfast.config import load_config
from airfast.data.synthetic import synthetic_walkers
from airfast.errors import InputError, NonFiniteLoss, RankFailed
from airfast.labels import generate_labels
from airfast.labels.statistics import adjusted_mutual_information
from airfast.methods.air import amdl
from airfast.methods.air.air import Air
from airfast.methods.method import Epoch, Method
from airfast.methods.shared_batch import batch_mean, through
from airfast.ranks import Ranks, launched
from airfast.runs.checkpoint import BEFORE, STATE
from airfast.training import pretrain as room
from airfast.training.pretrain import pretrain
from airfast.training.stopping import Stopped
from tests.conftest import TINY
from tests.forked import fork_ranks

COUNT = 4
COUNTS = (2, 4)
OVER = (*TINY, "train.epochs=4", "train.checkpoint_every=2", "train.batch_size=15")  # which no number of ranks divides

TWO_STEPS = (
    *("inputs.frames=16", "model.hidden=8", "train.batch_size=7"),
    *("train.epochs=1", "train.checkpoint_every=1", "split.kind=none"),
)
SIBLINGS = {  # and what takes each through all of its networks and terms within two steps
    "cage": ("inputs.frames=32", "cage.bank=hybrid", "cage.cross=none", "cage.deploy=cartesian"),
    "cmd": ("bigru.hidden=8", "train.epochs=2"),
    "crossclr": ("crossclr.cross_from=0", "modalities=[joint,motion]"),
    "isc": ("isc.pair=graph+image",),
    "mgrl": ("model.projection=16", "train.lr=1e-4"),
    "scd-net": (),
    "ssal": (),
}
AS_ONE = {each: (*TWO_STEPS, *more) for each, more in SIBLINGS.items()} | {"air": OVER}


@cache
def walkers(method="air"):
    return synthetic_walkers(clips=48 if method == "air" else 14, seed=0)


class Layers(nn.Module):
    """What ranks have to share within a network, with the exact answers that one process gives."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout(0.3)
        self.layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.2, batch_first=True)

    def forward(self, maps):
        """(B, 3, T, J) to what is normalised, dropped, dropped as it lies transposed, and attended to with drops."""
        dropped = self.drop(maps), self.drop(maps.transpose(1, 2))
        return self.norm(maps), *dropped, self.layer(maps.flatten(1, 2))


def layers(ranks=None):
    """Outputs of the layers, statistics, gradients, and the next random number."""
    drawn = torch.Generator().manual_seed(1)
    maps = (3 + torch.randn(7, 3, 4, 8, generator=drawn)).requires_grad_()
    torch.manual_seed(0)
    network = Layers()
    normed, *others = through(ranks, network, maps)
    (normed * torch.randn(normed.shape, generator=drawn)).sum().backward()
    norm = network.norm
    gradients = {"maps": maps.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    if ranks is not None:  # as average_gradients has them, and of rows the own
        gradients = {key: torch.from_numpy(ranks.total(each.numpy())) / ranks.count for key, each in gradients.items()}
    said = {
        "normed": normed,
        "mean": norm.running_mean,
        "variance": norm.running_var,
        **gradients,
        "next": torch.rand(1),
    }
    said |= {f"drawn {place}": each for place, each in enumerate(others)}
    rows = slice(None) if ranks is None else slice(*ranks.shards(7)[ranks.rank])
    said["share"] = batch_mean(ranks, (maps[rows] > 3).float())
    return {key: each.detach().numpy() for key, each in said.items()}


def train(place, name, ranks, group, *over, method="air"):
    """A run in place/name; a rank that is not to write is given another folder to write into. What it ends with."""
    out = place / (name if ranks.rank == 0 else f"{name}-{ranks.rank}")
    config = load_config("demo", overrides=(*AS_ONE[method], *over), method=method)
    try:
        pretrain(walkers(method), config, out, "cpu", group=group)
    except (InputError, NonFiniteLoss, Stopped) as error:  # whatever else it is, others must not wait for this rank
        return f"{type(error).__name__}: {error}"
    return "done"


def siblings(place, ranks, group, said):
    """A run of each by two ranks, and after it a checksum of all weights, statistics, queues and random numbers."""
    begun, begin = [], room.begin
    room.begin = lambda *told: begun.append(begin(*told)) or begun[-1]
    for method in SIBLINGS:
        said[method] = train(place, f"{method}-2", ranks, group, method=method)
        tensors = begun[-1].method.state_dict() | {"drawn": begun[-1].generator.get_state()}
        said[f"state of {method}"] = {name: zlib.crc32(each.numpy().tobytes()) for name, each in tensors.items()}
    room.begin = begin


def half_way(place, run, other):
    """A run as it was after its second-last saved epoch, to go on with."""
    shutil.copytree(place / run, place / other)
    (place / other / BEFORE).rename(place / other / STATE)


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


def gone_before_the_second(self, epoch, clips, optimiser):
    """The last rank is, before the second epoch."""
    if epoch == 1 and self.ranks.rank == COUNT - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Epoch()


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
        if rank < 2:
            np.savez(place / f"layers-{rank}.npz", **layers(Ranks(groups[2])))
            siblings(place, ranks, groups[2], said)
        if rank == 0:  # runs of two, to go on with four
            half_way(place, "run-2", "resumed")
            half_way(place, "cmd-2", "cmd-4")
        dist.barrier()
        said["resumed"] = train(place, "resumed", ranks, groups[4])
        said["cmd resumed"] = train(place, "cmd-4", ranks, groups[4], method="cmd")
        if rank < 2:
            said["stopped"] = interrupted(place, ranks, groups[2])
            said["exploded"] = train(place, "exploded", ranks, groups[2], "train.lr=1e18")
            said["another seed"] = train(place, "refused", ranks, groups[2], f"seed={rank}")
        said["small batches"] = train(place, "refused", ranks, groups[4], "train.batch_size=3")
    (place / f"{rank}.json").write_text(json.dumps(said))
    os.environ["MASTER_PORT"] = ports[1]
    try:
        with launched() as ranks:
            Method.begin_epoch = gone_before_the_second
            train(place, "cut-short", ranks, ranks.group, method="cmd")
    except (RankFailed, SystemExit) as ended:
        (place / f"gone-{rank}").write_text(f"{type(ended).__name__}: {ended}")


def load():
    """Have read, before there are ranks, what each would read for itself; no step: autograd does not outlive a fork."""
    walkers()
    generate_labels(np.eye(40, dtype=np.float32)).to_frame()  # Numba's caches and pandas
    adjusted_mutual_information(np.eye(2, dtype=np.int64))  # scikit-learn
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch's compiler, two seconds, which nothing here uses


if __name__ == "__main__":
    load()
    fork_ranks(COUNT, work)
