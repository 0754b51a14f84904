"""Rows in blocks that fit the device's memory; a block that does not fit after all is halved.

What a row of each step takes, in bytes, for N samples of D columns, k neighbours fetched as f = k + max(k/2, 16):

    kNN      8·min(N, COLUMNS) + 6·D + 64·f     a tile of products, top-k's copy of it, the queries, the candidates
    encode   24·N                               a dense row of totals, its mask, the indices of what is kept
    edges    24·N

The paper's preset with N = 100,000 clips has D = 3·2,048 features. Beside a step there are, in GB: the features of the
three scales 2.5, their concatenation 2.5, its unit rows 2.5 and their float16 1.2, the unit rows of two views 1.6; V
and its inverted lists, 48 bytes for each of about 300 entries a row, 1.4; network and optimiser 1.4. That is 13 GB;
no step takes more than BLOCK_MB beside it, and FAISS 0.5 GB of its own: 16 of a card's 24 GB.
"""

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

Result = TypeVar("Result")
BLOCK_MB = 2048  # more working memory than this makes no block faster


def by_rows(
    n: int, row_bytes: int, memory_mb: int, work: Callable[[int, int], Result], block_mb: int = BLOCK_MB
) -> Iterator[Result]:
    """`work(first, last)` for consecutive ranges that cover n rows, in order, of at most the smaller limit of memory.

    After a torch.OutOfMemoryError the range is halved, and stays so; `work` must not depend on where a range ends.
    Raises torch.OutOfMemoryError when one row does not fit.
    """
    step = max(1, (min(memory_mb, block_mb) << 20) // row_bytes)
    first = 0
    while first < n:
        last = min(n, first + step)
        try:
            result = work(first, last)
        except torch.OutOfMemoryError:
            if last - first == 1:
                raise
            step = (last - first) // 2
            failed = True
        else:
            failed = False
        if failed:  # only here: inside `except` the error's traceback still holds what the failed range allocated
            release()
        else:
            yield result
            first = last


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on the device, torch's unused cache included; of the host for CPU tensors.

    What a captured CUDA graph keeps between its replays is cached too, in a pool of its own that nobody else is given.
    """
    if device.type != "cuda":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    every = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    shared = [each for each in every if tuple(each["segment_pool_id"]) == (0, 0)]
    index = torch.cuda.current_device() if device.index is None else device.index
    cached = sum(each["total_size"] - each["allocated_size"] for each in shared if each["device"] == index)
    return int(torch.cuda.mem_get_info(device)[0] + cached)


def release() -> None:
    """Give torch's cached memory back to the device, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
