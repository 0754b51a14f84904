"""What the bench measures: the models of Table I that this package holds, as they train and as they are deployed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from airfast.config import load_config
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.methods.choose import build_deployed, build_method
from airfast.methods.contrast import Embedding, NetworkContrast, head
from airfast.methods.crossclr import CrosSCLR
from airfast.methods.mgrl import MASKED, MGRL, STILL
from airfast.methods.scdnet import CLUES, Clues, SCDNet
from airfast.models.agcn import AGCN
from airfast.models.backbone import Backbone
from airfast.models.ctrgcn import DualEncoder
from airfast.models.deployed import DeployedEncoder
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import load_layout

CLIP = (3, 64, 25)  # C, T, J of Table I (METHOD 2)
CLASSES = 8  # of the supervised networks: those of Emilya
NAMES = ("air", "air-j", "umurl", "crossclr", "cmd", "isc", "scd-net", "cage", "ssal", "mgrl", "st-gcn", "agcn")
CONTRASTED = 128  # entries of a key


@dataclass(frozen=True)
class Subject:
    """One row of the bench.

    Attributes:
        name: as `--models` takes it.
        title: as Table I of the paper calls it.
        graph: makes the network that trains; its weights are random, or none on the meta device.
        forward: one pass of that network over clips (B, 3, T, J).
        deployed: makes what runs once trained: clips to features, or to logits.
        shared_heads: whether heads share layers, as CrosSCLR's do, which the paper's counter counts several times.
        reproduced: whether the paper's counter gives Table I's row.
        persons: clips that Table I's figure is for. The rows of the graph networks are those of code that reads two
            people a clip, the others of code that reads one.
    """

    name: str
    title: str
    graph: Callable[[], nn.Module]
    forward: Callable[[nn.Module, Tensor], None]
    deployed: Callable[[], nn.Module]
    persons: int = 1
    shared_heads: bool = False
    reproduced: bool = True


def choose(names: tuple[str, ...]) -> list[Subject]:
    """Subjects by name, in the order given; raises InputError for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise InputError(f"--models {unknown[0]}: expected some of {','.join(NAMES)}")
    known = {each.name: each for each in subjects()}
    return [known[name] for name in dict.fromkeys(names)]


def subjects() -> list[Subject]:
    """All of them, with 25 joints and 64 frames, at the sizes of Table I, or where it has none as published."""
    layout = load_layout("kinect25")
    return [
        pretrained("air", "AIR"),
        pretrained("air-j", "AIR-J", "modalities=[joint]"),
        pretrained("umurl", "UmURL", "air.asp=none", "air.amdl=false"),
        replace(sibling("crossclr", "CrosSCLR", "model.hidden=64"), shared_heads=True),
        sibling("cmd", "CMD"),
        sibling("isc", "Skeleton Contrast", "isc.pair=graph+image"),
        replace(sibling("scd-net", "SCD Net"), reproduced=False),
        sibling("cage", "CAGE"),
        sibling("ssal", "SSAL"),
        sibling("mgrl", "MGRL"),
        supervised("st-gcn", "ST-GCN", lambda: STGCN(layout, CLASSES)),
        supervised("agcn", "AGCN", lambda: AGCN(layout, CLASSES)),
    ]


def pretrained(name: str, title: str, *overrides: str) -> Subject:
    """AIR's parity graph (preset paper-parity), or a part of it."""
    config, layout = load_config("paper-parity", overrides=overrides), load_layout("kinect25")
    return Subject(name, title, lambda: Air(config, layout), one_pass, lambda: DeployedEncoder(config, layout))


def sibling(name: Any, title: str, *overrides: str) -> Subject:
    """A sibling of AIR as published (preset paper).

    CMD and ISC have linear heads in Table I, which are their public code's defaults. Of CrosSCLR's heads, those of bone
    and motion stand on that of joints, as in its public code.
    """
    config, layout = load_config("paper", overrides=overrides, method=name), load_layout("kinect25")

    def graph() -> nn.Module:
        method = build_method(config, layout)
        if name in ("crossclr", "cmd", "isc"):
            assert isinstance(method, NetworkContrast)
            ours, theirs = heads_of_table1(method), heads_of_table1(method)
            method.heads = ours
            for each, behind in method.followers.items():
                behind.head = theirs[each]
        return method

    forward = {"scd-net": clues_pass, "mgrl": three_passes}.get(name, contrast_pass)
    return Subject(name, title, graph, forward, lambda: build_deployed(config, layout))


def heads_of_table1(method: NetworkContrast) -> nn.ModuleDict:
    """Linear ones; CrosSCLR's have hidden layers, and share them."""
    widths = {}
    for each in method.names:
        network = method.leader(each).network
        assert isinstance(network, Backbone)
        widths[each] = network.width
    if not isinstance(method, CrosSCLR):
        return nn.ModuleDict({each: nn.Linear(width, CONTRASTED) for each, width in widths.items()})
    first, *others = method.names
    width = widths[first]
    heads = nn.ModuleDict({first: head(width, CONTRASTED)})
    for each in others:
        heads[each] = nn.Sequential(nn.Linear(width, width), nn.ReLU(), heads[first])
    return heads


def contrast_pass(graph: nn.Module, clips: Tensor) -> None:
    """Every network that learns and every one that follows, once, with its head."""
    assert isinstance(graph, NetworkContrast)
    for name in graph.names:
        for each in (graph.leader(name), graph.followers[name]):
            assert isinstance(each, Embedding)
            each.head(each.network(clips))


def clues_pass(graph: nn.Module, clips: Tensor) -> None:
    """Both encoders of SCD-Net with their heads."""
    assert isinstance(graph, SCDNet)
    for each in (graph.leader("clues"), graph.followers["clues"]):
        assert isinstance(each, Clues)
        assert isinstance(each.encoder, DualEncoder)
        clues = each.encoder.clues(clips)
        for name, feature in zip(CLUES, (*clues, torch.cat(clues, dim=1)), strict=True):
            each.heads[name](feature)


def three_passes(graph: nn.Module, clips: Tensor) -> None:
    """MGRL's network and projector on the clip, on some of its joints, and on some of its frames."""
    assert isinstance(graph, MGRL)
    network = graph.deployed.networks["joint"]
    joints, frames = clips.shape[-1], clips.shape[2]
    seen = torch.arange(joints - round(MASKED * joints), device=clips.device)
    for feature in (network(clips), network(clips, seen), network(clips[:, :, : frames - frames // STILL])):
        graph.projector(feature)


def supervised(name: str, title: str, build: Callable[[], nn.Module]) -> Subject:
    """A network that is deployed as it trains."""
    return Subject(name, title, build, lambda network, clips: network(clips), build, persons=2)


def one_pass(graph: nn.Module, clips: Tensor) -> None:
    """Everything that pre-training computes for a clip before the losses: singles, multis, projections, logits."""
    assert isinstance(graph, Air)
    multi = graph.features(clips)
    graph.project([clips] * len(graph.config.modalities), multi)
    for scale, each in graph.heads.items():
        assert isinstance(each.weight, Tensor)
        each(multi[scale], len(each.weight))


def clips(batch: int) -> Tensor:
    """(B, 3, T, J) random clips, in metres about the root."""
    return torch.randn(batch, *CLIP, generator=torch.Generator().manual_seed(0)) * 0.3
