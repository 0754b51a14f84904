"""Pre-training by any method: what it decides before an epoch, then a step a batch (Algorithm 1 without its labels)."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from airfast.atomic import alone_in, check_space
from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.skeleton import as_configured
from airfast.data.source import Source, open_motion
from airfast.data.splits import Indices, copied, split
from airfast.device import Stopwatch, describe_machine, pick_device
from airfast.errors import InputError, NonFinite, NonFiniteLoss, Note
from airfast.methods.choose import build_method
from airfast.methods.method import Epoch, Method
from airfast.ranks import Ranks
from airfast.runs.checkpoint import Held, TrainingState, save_encoder
from airfast.runs.folder import (
    append_metrics,
    describe_split,
    open_run,
    save_table,
    write_environment,
)
from airfast.skeletons.layout import Layout
from airfast.training.optimiser import set_learning_rate
from airfast.training.shared_run import AtWork, check_shareable, heard_by_all, take_state
from airfast.training.step import TrainingStep
from airfast.training.stopping import Stopped, listening

Metrics = dict[str, Any]
NOT_FINITE = "not-finite.safetensors"
OUT_OF_MEMORY = (MemoryError, RuntimeError)  # of torch, whose allocators raise kinds of RuntimeError
FEWEST = 4  # clips that anything can be learnt from


def pretrain(
    data: Source,
    config: Config,
    out: Path | str,
    device: str = "auto",
    resume: str = "auto",
    report: Callable[[Metrics], None] | None = None,
    group: Any = None,
) -> Path:
    """Pre-train an encoder on the clips of a set and leave a run folder behind.

    The folder holds ``config.yaml``, ``split.json``, ``metrics.jsonl`` (a line an epoch), of AIR ``labels/`` (a Parquet
    file of every ``air.keep_every``-th epoch and the last), ``encoder.safetensors``, ``state.safetensors`` and the one
    before it.

    Args:
        data: a prepared folder, a set in memory, or None for the embedded synthetic walkers. Class labels are never
            trained on; they only measure label quality.
        config: the resolved configuration.
        out: the run folder.
        device: auto, cpu or cuda.
        resume: auto (go on where this folder's run stopped, if it has one), never (a folder that holds a run is an
            error), or the path of a ``state.safetensors``.
        report: called with each epoch's metrics as soon as they are known; of a group by its first process.
        group: processes of torch.distributed (gloo) that train together, on the CPU, each of which makes this call
            with the same arguments: batches, features and labels are shared, losses are those of one up to rounding,
            the log has the seconds that each was at work, and the first process reads and writes the folder.

    Returns:
        The run folder.

    Raises:
        InputError: too few clips, a folder that cannot be written or that holds another run.
        NonFiniteLoss: loss or features left the finite numbers; the state is in ``not-finite.safetensors`` and the one
            after the last whole epoch is what the folder goes on from.
        Stopped: SIGTERM, SIGHUP or SIGINT came; the state after the last whole epoch is in the folder.

    Source: Algorithm 1; METHOD 3 to 6.
    """
    out, place = Path(out), pick_device(device)
    whole = open_motion(data)
    motion = as_configured(whole, config)
    train, test = choose_split(motion, config)
    for line in copied(motion, train, test):
        warnings.warn(f"split: {line}", Note, stacklevel=2)
    split_record = describe_split(data, whole, motion, train, test)
    motion_train = motion.select(train)
    clips = DeviceClips.from_motion(motion_train, config.inputs, place)
    state = begin(config, motion_train, clips)
    method = state.method
    ranks = None if group is None else Ranks(group)
    writes = ranks is None or ranks.rank == 0
    if ranks is not None:
        check_shareable(ranks, config, clips)
        method.ranks = ranks
    with ExitStack() as while_it_runs:
        check = while_it_runs.enter_context(listening())
        done = 0
        if writes:
            while_it_runs.enter_context(alone_in(out))
            check_space(out, space(state, len(train), config), "the run")
            done = open_run(out, config, resume, state, split_record)
            write_environment(out, describe_machine(place))
        if ranks is not None:
            done, check = take_state(ranks, state, done), heard_by_all(ranks, check)
        step = TrainingStep(state, clips)
        held: Held | None = None  # the state after the last whole epoch, where it is not on disk
        for epoch in range(done, config.train.epochs):
            set_learning_rate(state.optimiser, method.rate(epoch))
            torch.manual_seed(config.seed * 100_003 + epoch)  # dropout draws from torch's own generator
            decided, at_work = None, AtWork(ranks)
            try:
                decided = method.begin_epoch(epoch, clips, state.optimiser)
                at_work.lap("labels")
                clock = Stopwatch(place)
                metrics = train_epoch(step, decided, epoch, check)
            except (Stopped, NonFinite, *OUT_OF_MEMORY) as error:
                if held:
                    held.save(out)
                into = out if writes else None
                raise interrupted(error, into, state, epoch, motion_train.names, decided is None) from None
            clock.lap("training")
            at_work.lap("training")
            metrics |= {"seconds": {**decided.seconds, **clock.laps}, **at_work.by_rank(), **decided.facts}
            if not writes:
                continue
            last = epoch + 1 == config.train.epochs
            if decided.table is not None and (last or (epoch + 1) % config.air.keep_every == 0):
                save_table(out, decided.table, epoch + 1)
            append_metrics(out, metrics)  # before the state: a run that dies in between logs the epoch again, not never
            if last or (epoch + 1) % config.train.checkpoint_every == 0:
                save_encoder(out, method.deployed, epoch + 1)
                state.save(out, epoch + 1)
                held = None
            else:
                held = state.held(epoch + 1)
            if report:
                report(metrics)
    return out


def space(state: TrainingState, clips: int, config: Config) -> int:
    """Bytes that a run leaves, about: two states and one that is being written, each with two moments; the tables."""
    weights = sum(each.nbytes for each in state.method.state_dict().values())
    tables = config.train.epochs // config.air.keep_every + 1 if config.method == "air" else 0
    return 9 * int(weights) + clips * (40 * tables + 100) + config.train.epochs * 1000


class Interrupted(Protocol):
    """The state of a run that an error ends."""

    @property
    def config(self) -> Config:
        """Of the run."""

    def held(self, epoch: int) -> Held:
        """The state after ``epoch`` epochs, copied to the host."""


def interrupted(
    error: Exception, out: Path | None, state: Interrupted, epoch: int, names: Sequence[str], deciding: bool = False
) -> Exception:
    """What to raise in place of an error that ends an epoch, after its state was saved to be looked at.

    Args:
        error: what came.
        out: the run folder; None for a process that does not write there.
        state: of the run.
        epoch: counted from 0.
        names: of the training clips.
        deciding: whether it came before the first batch, while the method looked at all clips.
    """
    if isinstance(error, Stopped):
        return Stopped(error.number, epoch)
    if isinstance(error, NonFinite):
        if out is None:
            return NonFiniteLoss(error.what)
        state.held(epoch).save_as(out / NOT_FINITE)
        some = ", ".join(names[each] for each in error.clips[:4])
        more = f" and {len(error.clips) - 4} more" if len(error.clips) > 4 else ""
        return NonFiniteLoss(
            f"{error.what}; clips {some}{more}; weights as they are now: {out / NOT_FINITE}; "
            "a smaller train.lr, or train.precision=fp32, is the first thing to try"
        )
    if not is_out_of_memory(error):
        return error
    if deciding:
        what = f"out of memory before its first batch, while all {len(names)} clips are looked at"
        return InputError(f"epoch {epoch + 1}: {what}; a smaller model.hidden or inputs.frames takes less")
    size = state.config.train.batch_size
    return InputError(
        f"epoch {epoch + 1}: out of memory with train.batch_size={size}; try -o train.batch_size={max(1, size // 2)}"
        + ("" if state.config.train.precision == "bf16" else ", or on a GPU -o train.precision=bf16")
        + " with another --out: it is another run"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory was asked for in vain: torch's on a GPU, its plain one on the CPU, Python's."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def choose_split(motion: MotionSet, config: Config) -> tuple[Indices, Indices]:
    """Training and test clips (indices); an unlabelled set is all training."""
    everything, nothing = np.arange(len(motion)), np.arange(0)
    settings = config.split
    if settings.kind == "none" or (settings.kind == "random" and (motion.labels < 0).all()):
        train, test = everything, nothing
    else:
        train, test = split(motion, settings.kind, config.seed, settings.test_fraction, settings.held_out)
    if len(train) < FEWEST:
        raise InputError(f"{len(train)} clips to train on; at least {FEWEST} are needed")
    return train, test


def begin(config: Config, motion: MotionSet, clips: DeviceClips) -> TrainingState:
    """The state before the first epoch; it depends on the configuration and the training clips alone."""
    place = clips.device
    method = initial(config, motion.layout).to(place)
    method.meet(motion, clips)
    return TrainingState(method, method.optimiser(), Generator(device=place).manual_seed(config.seed))


def initial(config: Config, layout: Layout) -> Method:
    """The network with the weights of its seed; made on the CPU, so that they are the same for every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_method(config, layout)


def train_epoch(step: TrainingStep, decided: Epoch, epoch: int, check: Callable[[], None] = lambda: None) -> Metrics:
    """One pass over the clips in equal batches; the mean of every loss term, read from the device once.

    Raises:
        NonFinite: with the epoch, the first batch (both counted from 1) and its clips.
        Stopped: raised by ``check``, which is called before every batch.
    """
    state = step.state
    batches = epoch_batches(len(step.clips), state.method.config.train.batch_size, state.generator, decided.clips)
    taken = []
    for batch in batches:
        check()
        taken.append(step(batch).clone())
    losses = torch.stack(taken)
    finite = losses[:, -1].isfinite().cummin(dim=0).values.sum()  # steps before the first that was not
    good, *means = torch.cat([finite[None], losses.mean(dim=0)]).tolist()
    if good < len(batches):
        first = round(good)
        raise NonFinite(f"epoch {epoch + 1}, batch {first + 1}: the loss is not finite", batches[first].tolist())
    return {
        "epoch": epoch + 1,
        "lr": state.optimiser.param_groups[0]["lr"],
        **dict(zip(step.terms, means, strict=True)),
    }


def epoch_batches(count: int, size: int, generator: Generator, clips: Tensor | None = None) -> tuple[Tensor, ...]:
    """The clips in random order, in batches of one size of at most ``size`` (B,).

    One size pins the shapes of a step; at most one clip fewer than there are batches sits an epoch out. Where only
    some of the clips are trained on, their number is another every epoch, and a new size would be a new capture: there
    every batch is full, the last with clips of the first.

    Args:
        count: N clips of the set.
        size: of a batch, at most.
        generator: whose device the batches are on.
        clips: (n,) those to train on; None for all.
    """
    place = generator.device
    if clips is not None:
        size = min(len(clips), size)
        order = torch.randperm(len(clips), generator=generator, device=place)
        return torch.split(clips[torch.cat([order, order[: -len(order) % size]])], size)
    steps = -(-count // size)
    size = count // steps
    return torch.split(torch.randperm(count, generator=generator, device=place)[: steps * size], size)
