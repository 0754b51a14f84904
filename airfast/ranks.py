"""Processes that compute one answer together: how they find each other, and how arrays pass between them.

torchrun starts them; what they say to each other goes through ``torch.distributed``. Whoever breaks off is named.
"""

import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from airfast.errors import InputError, RankFailed, in_one_line

Array = TypeVar("Array", bound=NDArray[Any])
Made = TypeVar("Made")
Words = NDArray[np.int32]
Run = tuple[int, int]  # rows from and to
PATIENCE = timedelta(days=7)  # a rank may search for hours before it answers; one that died is noticed at once
GRACE = 1.0  # seconds in which those who are left say so


class RankLost(RuntimeError):
    """An exchange broke off: another rank is not there any more."""


class Ranks:
    """The processes of a group as one of them sees it. Every exchange is taken part in by all of them.

    Attributes:
        rank: which of them this is, from 0.
        count: how many they are.
        waited: seconds that this process has spent in exchanges, waiting for others included, whatever the group.
        sent: bytes that it has handed to others; a sum over ranks counts as sent twice, as rings do it.
    """

    waited: ClassVar[float] = 0.0
    sent: ClassVar[int] = 0

    def __init__(self, group: Any) -> None:
        if not dist.is_available() or not dist.is_initialized() or dist.get_rank(group) < 0:
            raise InputError("group: expected a process group of torch.distributed that this process is in")
        if dist.get_backend(group) == "nccl":
            raise InputError("group: expected one that exchanges on the CPU (gloo), found nccl")
        self.group, self.rank, self.count = group, dist.get_rank(group), dist.get_world_size(group)
        self.begin()

    def begin(self) -> None:
        """Count from here what :meth:`account` tells."""
        self.begun = Ranks.waited, Ranks.sent

    def shards(self, n: int) -> list[Run]:
        """n rows cut into a run a rank, (first, last) each, of nearly the same length; of few rows some are empty."""
        return [(rank * n // self.count, (rank + 1) * n // self.count) for rank in range(self.count)]

    def total(self, array: Array) -> Array:
        """The sums over ranks, in place."""
        with self._exchange(2 * array.nbytes * (self.count - 1) // self.count):
            dist.all_reduce(torch.from_numpy(array), dist.ReduceOp.SUM, self.group)
        return array

    def least(self, array: Array) -> Array:
        """The smallest over ranks, in place."""
        with self._exchange(2 * array.nbytes * (self.count - 1) // self.count):
            dist.all_reduce(torch.from_numpy(array), dist.ReduceOp.MIN, self.group)
        return array

    def fill(self, array: Array) -> Array:
        """An array (N, …) of which every rank knows its shard, made whole in place."""
        for rank, (first, last) in enumerate(self.shards(len(array))):
            self.tell(array[first:last], rank)
        return array

    def tell(self, array: Any, rank: int) -> Any:
        """A contiguous array, or tensor on the CPU, as that rank has it, in place."""
        with self._exchange(array.nbytes * (self.count - 1) if rank == self.rank else 0):
            if array.nbytes:
                dist.broadcast(torch.as_tensor(array).view(torch.uint8), group=self.group, group_src=rank)
        return array

    def tell_object(self, made: Made, rank: int) -> Made:
        """What that rank has made, whatever it is."""
        told = [made]
        with self._exchange(0):
            dist.broadcast_object_list(told, group=self.group, group_src=rank)
        return told[0]

    def agree_on(self, what: str, *data: bytes | memoryview) -> None:
        """InputError, on all ranks, where one has other data than the first."""
        found = 0
        for each in data:
            found = zlib.crc32(each, found)
        of_ranks = self.each(found)
        other = np.flatnonzero(of_ranks != of_ranks[0])
        if len(other):
            raise InputError(f"group: expected the same {what} on all ranks, found others on rank {other[0]}")

    def pass_on(self, words: Words, to: int, source: int) -> Words:
        """Hand an array to one rank and take one, of whatever length, from another."""
        with self._exchange(words.nbytes + 8):
            ours, theirs = torch.tensor([len(words)]), torch.zeros(1, dtype=torch.int64)
            self._pass(ours, to, theirs, source)
            taken = np.empty(int(theirs), np.int32)
            self._pass(torch.from_numpy(words), to, torch.from_numpy(taken), source)
        return taken

    def _pass(self, ours: torch.Tensor, to: int, theirs: torch.Tensor, source: int) -> None:
        pending = [dist.irecv(theirs, group=self.group, group_src=source)] if theirs.numel() else []
        pending += [dist.isend(ours, group=self.group, group_dst=to)] if ours.numel() else []
        for each in pending:
            assert each is not None
            each.wait()

    def swap(self, parts: Sequence[Words]) -> list[Words]:
        """Hand a part to each rank and take one, of whatever length, from each, in their order."""
        lengths = np.array([len(each) for each in parts])
        theirs = np.empty_like(lengths)
        ours = np.concatenate(parts)
        with self._exchange(ours.nbytes - parts[self.rank].nbytes + 8 * self.count):
            dist.all_to_all_single(torch.from_numpy(theirs), torch.from_numpy(lengths), group=self.group)
            taken = np.empty(theirs.sum(), np.int32)
            sizes = (theirs.tolist(), lengths.tolist())
            dist.all_to_all_single(torch.from_numpy(taken), torch.from_numpy(ours), *sizes, group=self.group)
        return np.split(taken, np.cumsum(theirs)[:-1])

    def each(self, value: float) -> NDArray[np.float64]:
        """A number of every rank, (ranks,) float64."""
        values = np.zeros(self.count)
        values[self.rank] = value
        return self.total(values)

    def account(self, seconds: float) -> str:
        """In a line, what each did of so many seconds that all took: the slowest is who the others waited for."""
        waited, sent = Ranks.waited - self.begun[0], Ranks.sent - self.begun[1]
        worked = ", ".join(f"{each:.1f}" for each in self.each(seconds - waited))
        passed = self.each(sent).sum() / 1e6
        return f"{self.count} ranks: at work for {worked} s, the rest spent waiting; sent {passed:.1f} MB"

    @contextmanager
    def _exchange(self, nbytes: int) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except RuntimeError as error:
            raise RankLost(in_one_line(error)) from error
        finally:
            Ranks.waited += time.perf_counter() - started
            Ranks.sent += nbytes


def meetings(rank: int, count: int) -> Iterator[tuple[int, int]]:
    """Whom a rank meets, so that every two ranks meet once and all have as much to do: (its guest, its host).

    Of an even number two are opposite each other: each is guest and host of the other (:func:`halves`).
    """
    for step in range(1, count // 2 + 1):
        yield (rank - step) % count, (rank + step) % count


def halves(shards: Sequence[Run], host: int, guest: int) -> tuple[Run, Run]:
    """The rows of a host and of its guest that meet there.

    All with all, unless two are opposite: the higher hosts the first half of the lower's rows, and is guest with all of
    its own of the second half.
    """
    ours, theirs = shards[host], shards[guest]
    if 2 * abs(host - guest) != len(shards):
        return ours, theirs
    if host > guest:
        return ours, (theirs[0], (theirs[0] + theirs[1]) // 2)
    return ((ours[0] + ours[1]) // 2, ours[1]), theirs


@contextmanager
def launched(alike: tuple[type[Exception], ...] = ()) -> Iterator[Ranks | None]:
    """The processes that torchrun started this one among, on the CPU; None where it is alone.

    Args:
        alike: errors that all ranks meet alike; they are raised as they are.

    Raises:
        InputError, RankFailed: what ends the job, with the rank; the other ranks exit with 1 and say nothing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None
        return
    store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group("gloo", store=PrefixStore("ranks", store), rank=rank, world_size=count)
    group = dist.new_group(timeout=PATIENCE)
    try:
        yield Ranks(group)
    except Exception as error:
        raise last_word(error, PrefixStore("airfast", store), rank, count, alike) from error
    finally:
        dist.destroy_process_group()


def last_word(error: Exception, store: Any, rank: int, count: int, alike: tuple[type[Exception], ...]) -> BaseException:
    """What a rank that cannot go on raises: the first to fail says why, the others leave without a word."""
    lost: list[str] = []
    if isinstance(error, RankLost):
        with suppress(RuntimeError):  # of a store that went with the rank that kept it
            store.set(f"here/{rank}", "")
            time.sleep(GRACE)
            lost = [str(each) for each in range(count) if not store.check([f"here/{each}"])]
    elif isinstance(error, alike) and rank:
        time.sleep(GRACE)  # the first of them says it, who has written what there was to be written
    try:
        if store.add("failed", 1) > 1:
            return SystemExit(1)
    except RuntimeError:
        lost = lost or ["0"]
    if isinstance(error, RankLost):
        return RankFailed(f"rank {', '.join(lost) or 'unknown'} of {count} is gone, as rank {rank} found")
    if isinstance(error, alike):
        return error
    if isinstance(error, InputError):
        return InputError(f"rank {rank} of {count}: {error}")
    return RankFailed(f"rank {rank} of {count}: {type(error).__name__}: {in_one_line(error)}")
