"""The label stage on a cluster of Dask: each worker is a rank, and what they share is what torchrun's ranks share."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airfast.errors import InputError, RankFailed
from airfast.labels.engine import generate_labels
from airfast.labels.features import load_features
from airfast.labels.result import LabelSet
from airfast.ranks import launched


def labels_on_dask(client: Any, features: str | Path, view: str | Path | None = None, **options: Any) -> LabelSet:
    """The labels that one process would find, by all workers of a cluster together.

    Args:
        client: a ``dask.distributed.Client`` whose workers are processes; each should have the threads of a rank, and
            its machine the features of a rank beside them.
        features: (N, D), a file as ``airfast label`` reads it, at the same path for every worker.
        view: (N, D2), the same, to compare them with.
        options: of :func:`airfast.generate_labels`.

    Raises:
        InputError, RankFailed: what ended it, with the worker's rank; no worker at all.
    """
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    if not workers:
        raise InputError("dask: expected a cluster with a worker at least, found none")
    head = workers[0]
    place = {"MASTER_ADDR": head.split("://")[-1].rpartition(":")[0], "WORLD_SIZE": str(len(workers))}
    place["MASTER_PORT"] = str(client.submit(free_port, workers=[head], pure=False).result())
    ranks = [
        client.submit(a_rank, place | {"RANK": str(rank)}, features, view, options, workers=[worker], pure=False)
        for rank, worker in enumerate(workers)
    ]
    ended = client.gather(ranks)
    for error in ended:
        if isinstance(error, InputError | RankFailed):
            raise error
    found: LabelSet = ended[0]
    return found


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


def a_rank(
    place: Mapping[str, str], features: str | Path, view: str | Path | None, options: Mapping[str, Any]
) -> LabelSet | Exception | None:
    """One worker's part: the labels where it is the first, nothing where it is another, or what ended it."""
    before = {name: os.environ.get(name) for name in place}
    os.environ.update(place)
    try:
        with launched() as ranks:
            second = None if view is None else load_features(view)
            group = None if ranks is None else ranks.group
            found = generate_labels(load_features(features), second, **options, group=group)
            return found if ranks is None or ranks.rank == 0 else None
    except (InputError, RankFailed) as error:
        return error
    except SystemExit:  # of a rank that another's failure ended: it has nothing to say, and the worker lives on
        return None
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
