"""What a run leaves behind: the encoder and the training state, as safetensors, written whole or not at all."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Generator, Tensor, nn

from airfast._version import __version__
from airfast.atomic import replacing
from airfast.config import Config
from airfast.errors import InputError, in_one_line
from airfast.methods.choose import build_deployed
from airfast.methods.method import Method
from airfast.models.deployed import Deployed
from airfast.reading import parse_json
from airfast.runs.older import as_recorded
from airfast.skeletons.layout import layout_from_record

ENCODER, STATE, BEFORE = "encoder.safetensors", "state.safetensors", "state.before.safetensors"
"""The encoder, the last state, and the one before it, which is gone on from where the last one is damaged."""


class Damaged(InputError):
    """A file that is not as it was written, where the one before it may be."""


def seal(tensors: dict[str, Tensor], about: str) -> str:
    """SHA-256 over what is known of tensors and their names, kinds, shapes and bytes, in the order of their names."""
    sha = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def older_seal(tensors: dict[str, Tensor]) -> str:
    """The digest of files made before ``about`` was sealed too: names and bytes of the tensors alone."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any], before: Path | None = None) -> None:
    """Tensors and what is known of them, with their digest, in one file; raises InputError if it cannot be written.

    What was there is kept as ``before``, if that is given.
    """
    host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    known = json.dumps(about)
    with replacing(path, before) as part:
        part.write_bytes(save(host, {"airfast": __version__, "seal": seal(host, known), "about": known}))


def read(path: Path, *wanted: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`write` wrote, of which ``wanted`` has to be known.

    Raises:
        InputError: the file is missing, foreign, damaged (then it is a Damaged) or of another kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:  # a damaged header ends in whatever safetensors and torch happen to raise
        raise Damaged(f"{path}: damaged or not a safetensors file ({in_one_line(error)})") from None
    if not {"airfast", "about"} <= header.keys():
        raise Damaged(f"{path}: not written by airfast, or damaged")
    sealed = header.get("seal") == seal(tensors, header["about"])
    if not sealed and ("seal" in header or header.get("sha256") != older_seal(tensors)):
        raise Damaged(f"{path}: damaged, its contents do not match their SHA-256")
    try:
        about: dict[str, Any] = parse_json(header["about"])
        missing = set(wanted) - about.keys()
    except (ValueError, AttributeError):
        raise Damaged(f"{path}: damaged, what is known of it is not JSON") from None
    if missing:
        raise InputError(f"{path}: a file of another kind, it says nothing of {', '.join(sorted(missing))}")
    return tensors, about


def save_encoder(run: Path, encoder: Deployed, epoch: int) -> None:
    """An encoder with the configuration and layout that rebuild it."""
    about = {
        "config": encoder.config.record(),
        "layout": {"name": encoder.layout.name, "record": encoder.layout.record()},
        "epoch": epoch,
    }
    write(run / ENCODER, encoder.state_dict(), about)


def load_encoder(run: Path | str, scales: tuple[str, ...] = ("x",)) -> Deployed:
    """The pre-trained encoder of a run, in eval mode, on the CPU.

    Args:
        run: a run folder or an ``encoder.safetensors``.
        scales: features to give side by side: x alone as deployed (METHOD 2), or, of an AIR encoder, x, la and ha.

    Raises:
        InputError: no such file, a damaged one, one of an older network, or a scale the run was not trained with.
    """
    path = Path(run)
    tensors, about = read(path / ENCODER if path.is_dir() else path, "config", "layout")
    config = as_recorded(about["config"])
    layout = layout_from_record(about["layout"]["record"], about["layout"]["name"], str(path))
    try:
        encoder = build_deployed(config, layout, scales)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    wanted = encoder.state_dict().keys()
    fill(encoder, {name: tensor for name, tensor in tensors.items() if name in wanted}, path)
    return encoder.eval()


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Give a network its saved tensors; raises InputError where they are of another network."""
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if {name: value.shape for name, value in tensors.items()} != shapes:
        raise InputError(f"{path}: of a version of airfast whose network was another; train it again")
    network.load_state_dict(tensors)


def about_of(path: Path) -> dict[str, Any]:
    """What is known of an encoder or a classifier, from its header alone; empty where there is no such file.

    Raises:
        Damaged: the header cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            known: dict[str, Any] = parse_json((file.metadata() or {})["about"])
        return {"config": known["config"], "epoch": int(known["epoch"])}
    except Exception as error:  # as in read
        raise Damaged(f"{path}: damaged or not a safetensors file ({in_one_line(error)})") from None


@dataclass
class TrainingState:
    """Everything the rest of a run depends on."""

    method: Method
    optimiser: torch.optim.Optimizer
    generator: Generator

    def save(self, run: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs."""
        write_state(run, self.method, self.method.config, self.optimiser, self.generator, epoch)

    @property
    def config(self) -> Config:
        """Of the run."""
        return self.method.config

    def held(self, epoch: int) -> "Held":
        """The state after ``epoch`` epochs, copied to the host."""
        return held_state(self.method, self.method.config, self.optimiser, self.generator, epoch)

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it.

        Raises:
            InputError: a damaged file, or one of a run with another configuration (the first differing key is named).
        """
        groups, epoch = read_state(path, self.method.config)
        self._take(groups, path)
        return epoch

    def take(self, held: "Held") -> None:
        """Take over a state of the same run that another process holds."""
        self._take(grouped(held.tensors), Path(STATE))

    def _take(self, groups: "Groups", path: Path) -> None:
        load_network(groups, path, self.method)
        self.optimiser = self.method.optimiser()  # heads that have grown are other parameters than before
        load_rest(groups, self.optimiser, self.generator)


Groups = dict[str, dict[str, Tensor]]


def write_state(
    run: Path, network: nn.Module, config: Config, optimiser: torch.optim.Optimizer, generator: Generator, epoch: int
) -> None:
    """Weights, the optimiser's moments and the generator after ``epoch`` epochs."""
    write(run / STATE, *tensors_of(network, config, optimiser, generator, epoch), run / BEFORE)


def held_state(
    network: nn.Module, config: Config, optimiser: torch.optim.Optimizer, generator: Generator, epoch: int
) -> "Held":
    """The same, copied to the host, to be written later."""
    tensors, about = tensors_of(network, config, optimiser, generator, epoch)
    return Held({name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}, about)


@dataclass(frozen=True)
class Held:
    """The state of a run at the end of an epoch that was not written."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]

    def save(self, run: Path) -> None:
        """Write it."""
        write(run / STATE, self.tensors, self.about, run / BEFORE)

    def save_as(self, path: Path) -> None:
        """Write it to a file of its own, to be looked at."""
        write(path, self.tensors, self.about)


def tensors_of(
    network: nn.Module, config: Config, optimiser: torch.optim.Optimizer, generator: Generator, epoch: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A state as a file holds it."""
    tensors = {f"method.{name}": value for name, value in network.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        known = {name: value for name, value in moments.items() if value is not None}
        tensors |= {f"optimiser.{index}.{name}": value for name, value in known.items()}
    tensors["generator"] = generator.get_state()
    return tensors, {"epoch": epoch, "config": config.record()}


def read_state(path: Path, config: Config) -> tuple[Groups, int]:
    """The tensors of a state by group, and the epochs it has behind it; raises InputError if it is of another run."""
    tensors, about = read(path, "config", "epoch")
    same_run(path, about["config"], config)
    if "generator" not in tensors:
        raise InputError(f"{path}: not a training state; expected a {STATE}")
    return grouped(tensors), int(about["epoch"])


def grouped(tensors: dict[str, Tensor]) -> Groups:
    """The tensors of a state by what they are of."""
    groups: Groups = {"method": {}, "optimiser": {}, "generator": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return groups


def load_network(groups: Groups, path: Path, network: nn.Module) -> None:
    """Give a network the weights that :func:`read_state` read; raises InputError where it is another one."""
    if groups["method"].keys() != network.state_dict().keys():
        raise InputError(f"{path}: the state of another kind or version of run; use another --out")
    network.load_state_dict(groups["method"])


def load_rest(groups: Groups, optimiser: torch.optim.Optimizer, generator: Generator) -> None:
    """Give an optimiser and a generator what :func:`read_state` read."""
    state = optimiser.state_dict()
    state["state"] = {}
    for name, tensor in groups["optimiser"].items():
        index, _, moment = name.partition(".")
        state["state"].setdefault(int(index), {})[moment] = tensor
    optimiser.load_state_dict(state)
    generator.set_state(groups["generator"][""])


def same_run(path: Path, saved: dict[str, Any], config: Config) -> None:
    """Raise InputError unless both configurations are the same, naming the first key that differs."""
    if differs := difference(as_recorded(saved), config):
        key, theirs, ours = differs
        raise InputError(f"{path}: a run with {key} = {theirs!r}, not {ours!r}; use another --out")


def difference(first: Config, second: Config) -> tuple[str, Any, Any] | None:
    """The first key whose values differ, and both; None where the configurations are the same."""
    one, other = flatten(first.record()), flatten(second.record())
    return next(((key, one.get(key), value) for key, value in other.items() if one.get(key) != value), None)


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
