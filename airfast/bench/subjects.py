"""What the bench measures: the models of Table I that this package holds, as they train and as they are deployed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from airfast.config import load_config
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.models.agcn import AGCN
from airfast.models.deployed import DeployedEncoder
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import load_layout

CLIP = (3, 64, 25)  # C, T, J of Table I (METHOD 2)
CLASSES = 8  # of the supervised networks: those of Emilya
NAMES = ("air", "air-j", "umurl", "st-gcn", "agcn")


@dataclass(frozen=True)
class Subject:
    """One row of the bench.

    Attributes:
        name: as `--models` takes it.
        title: as Table I of the paper calls it.
        graph: makes the network that trains; its weights are random, or none on the meta device.
        forward: one pass of that network over clips (B, 3, T, J).
        deployed: makes what runs once trained: clips to features, or to logits.
        persons: clips that Table I's figure is for. The rows of the graph networks are those of code that reads two
            people a clip, the others of code that reads one.
    """

    name: str
    title: str
    graph: Callable[[], nn.Module]
    forward: Callable[[nn.Module, Tensor], None]
    deployed: Callable[[], nn.Module]
    persons: int = 1


def choose(names: tuple[str, ...]) -> list[Subject]:
    """Subjects by name, in the order given; raises InputError for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise InputError(f"--models {unknown[0]}: expected some of {','.join(NAMES)}")
    known = {each.name: each for each in subjects()}
    return [known[name] for name in dict.fromkeys(names)]


def subjects() -> list[Subject]:
    """The five, with 25 joints and 64 frames, at the sizes of Table I."""
    layout = load_layout("kinect25")
    return [
        pretrained("air", "AIR"),
        pretrained("air-j", "AIR-J", "modalities=[joint]"),
        pretrained("umurl", "UmURL", "air.asp=none", "air.amdl=false"),
        supervised("st-gcn", "ST-GCN", lambda: STGCN(layout, CLASSES)),
        supervised("agcn", "AGCN", lambda: AGCN(layout, CLASSES)),
    ]


def pretrained(name: str, title: str, *overrides: str) -> Subject:
    """AIR's parity graph (preset paper-parity), or a part of it."""
    config, layout = load_config("paper-parity", overrides=overrides), load_layout("kinect25")
    return Subject(name, title, lambda: Air(config, layout), one_pass, lambda: DeployedEncoder(config, layout))


def supervised(name: str, title: str, build: Callable[[], nn.Module]) -> Subject:
    """A network that is deployed as it trains."""
    return Subject(name, title, build, lambda network, clips: network(clips), build, persons=2)


def one_pass(graph: nn.Module, clips: Tensor) -> None:
    """Everything that pre-training computes for a clip before the losses: singles, multis, projections, logits."""
    assert isinstance(graph, Air)
    multi = graph.features(clips)
    graph.project([clips] * len(graph.config.modalities), multi)
    for scale, head in graph.heads.items():
        assert isinstance(head.weight, Tensor)
        head(multi[scale], len(head.weight))


def clips(batch: int) -> Tensor:
    """(B, 3, T, J) random clips, in metres about the root."""
    return torch.randn(batch, *CLIP, generator=torch.Generator().manual_seed(0)) * 0.3
