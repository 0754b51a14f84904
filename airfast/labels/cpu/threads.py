"""The processor's threads for compiled loops: plain Python threads, since Numba's kernels release the interpreter.

Numba's own parallel loops run as fast but take several times as long to compile.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

RUNS = 64
SHORTEST = 128  # rows
Each = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], list[Any]]


def alone_after_fork() -> None:
    """One thread in a child that was forked: OpenMP's others stay behind, and who waits for them waits for ever."""
    torch.set_num_threads(1)
    if faiss := sys.modules.get("faiss"):
        faiss.omp_set_num_threads(1)


os.register_at_fork(after_in_child=alone_after_fork)


@contextmanager
def threads() -> Iterator[Each]:
    """As many threads as torch may use, each alone in its products; yields what calls a function for each part.

    That call returns the results in the order of the parts, and returns only when all of them are done.
    """
    many = torch.get_num_threads()
    if many == 1:
        yield lambda work, parts: [work(*part) for part in parts]
        return
    with ThreadPoolExecutor(many, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield lambda work, parts: list(pool.map(lambda part: work(*part), parts))
        finally:
            torch.set_num_threads(many)  # the threads' own setting reaches further than themselves


def runs(n: int) -> list[tuple[int, int]]:
    """Split range(n) into work for threads: runs short enough to share out evenly, and worth a call each."""
    return ranges(n, max(1, min(RUNS, n // SHORTEST)))


def runs_of(first: int, last: int) -> list[tuple[int, int]]:
    """As `runs`, of the rows first to last."""
    return [(first + start, first + end) for start, end in runs(last - first)]


def ranges(n: int, parts: int) -> list[tuple[int, int]]:
    """Split range(n) into that many runs of nearly the same length."""
    return [(part * n // parts, (part + 1) * n // parts) for part in range(parts)]
