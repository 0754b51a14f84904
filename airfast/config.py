"""One frozen schema of everything a run may be told; presets; YAML files and ``key=value`` overrides."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airfast.errors import InputError, nearest, shown
from airfast.reading import SETTINGS, read_text
from airfast.skeletons.modalities import Modality

Preset = Literal["demo", "small", "paper", "paper-parity"]
Method = Literal["air", "cage", "crossclr", "cmd", "isc", "scd-net", "ssal", "mgrl", "st-gcn", "agcn"]
Pooling = Literal["max", "mean"]
Count = int | Literal["auto"]


LARGEST = 2**31
QUOTED = 100  # characters of an override that an error quotes


class Section(BaseModel):
    """A part of the configuration: frozen; unknown keys, and numbers that nothing could be made of, are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for name, value in self:
            if isinstance(value, int) and value >= LARGEST:
                raise ValueError(f"{name}: expected less than {LARGEST}, got {shown(value)}")
        return self


class Inputs(Section):
    """How clips become tensors (METHOD 8). ``inputs=paper`` sets all of it to the letter of the paper."""

    frames: int = Field(32, ge=2, description="T, frames a clip is resampled to")
    joints: Literal["native", "canonical"] = Field("native", description="canonical: 24 joints, for transfer")
    facing: Literal["clip", "first", "none"] = Field(
        "clip", description="turn each clip until its mean shoulder line is on x; first: that of its first frame"
    )
    velocity: Literal["true", "resampled"] = Field("true", description="motion in m/s, or x[t+1] − x[t] once resampled")
    standardise: bool = Field(True, description="per-coordinate mean 0 and sd 1 over the training clips")
    pooling: tuple[Pooling, ...] = Field(("mean", "max"), min_length=1, description="tokens to one vector")
    augmentation: Literal["mild", "family", "method"] = Field(
        "mild",
        description="family: crop 0.1–1, corruption or shear; method: as published, AIR by family",
    )


PAPER_INPUTS = Inputs(
    frames=64, facing="first", velocity="resampled", standardise=False, pooling=("max",), augmentation="method"
)


class Model(Section):
    """Sizes of the network."""

    hidden: int = Field(128, ge=8, multiple_of=2, description="H of a transformer; channels of a graph network's start")
    projection: int = Field(512, ge=2, description="Z, what alignment compares")


class Train(Section):
    """Optimisation: epochs, batches, the rate and its drops."""

    epochs: int = Field(120, ge=1)
    batch_size: int = Field(64, ge=2)
    lr: float = Field(1e-3, gt=0)
    drops: tuple[float, ...] = Field((350 / 450,), description="shares of the epochs after which lr is divided by 10")
    weight_decay: float = Field(5e-4, ge=0)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of matrix products in a training step; auto: bf16 on CUDA, fp32 on the CPU"
    )
    checkpoint_every: int = Field(10, ge=1, description="epochs between saved training states")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch (counted from 0): ``lr``, divided by 10 at each of ``drops``."""
        passed = sum(epoch >= round(share * self.epochs) for share in self.drops)
        return float(self.lr / 10**passed)

    @model_validator(mode="after")
    def _agree(self) -> "Train":
        if list(self.drops) != sorted(self.drops) or any(not 0 < share <= 1 for share in self.drops):
            raise ValueError("drops: shares of the epochs, rising, above 0 and at most 1")
        return self


class Split(Section):
    """What pre-training may not see, so that it can be tested on."""

    kind: Literal["random", "subject", "group", "family", "declared", "none"] = Field(
        "random",
        description="random: stratified 4:1; family: of groups that resemble each other; declared: as the source says",
    )
    test_fraction: float = Field(0.2, gt=0, lt=1)
    held_out: str = Field("", description="the subject, group or family to test on; else the seed draws")

    @model_validator(mode="after")
    def _agree(self) -> "Split":
        if self.held_out and self.kind not in ("subject", "group", "family"):
            raise ValueError(f"held_out is of kind=subject, group or family, not {self.kind}")
        return self


class Cluster(Section):
    """The label stage (METHOD 3). ``auto`` neighbourhoods grow with the set: repeated takes would fill small ones."""

    feature: Literal["concat", "x"] = Field("concat", description="what is clustered: y_X, y_LA, y_HA, or y_X alone")
    metric: Literal["jaccard", "euclidean", "cosine"] = "jaccard"
    eps: float | Literal["auto"] = Field(
        0.6, description="largest distance of two neighbours; auto: each epoch anew, where labels change least"
    )
    min_samples: int = Field(4, ge=1, description="DBSCAN's, the sample itself counts")
    k1: Count = Field("auto", description="neighbours, itself included; auto: N/16 within 8..120")
    k2: Count = Field("auto", description="query expansion; auto: k1/5, at least 3")
    outliers: Literal["mask", "drop", "singleton"] = "mask"
    weight: float = Field(0.1, ge=0, description="of L_class in Eq. 7; the paper's is 1")
    dbscan: Literal["auto", "cuml", "graph"] = Field("auto", description="on a GPU; auto: cuML where it fits")
    backend: Literal["auto", "cpu", "cuda"] = "auto"

    def neighbours(self, clips: int) -> tuple[int, int]:
        """k1 and k2 for a set of so many clips."""
        k1 = min(120, max(8, clips // 16)) if self.k1 == "auto" else self.k1
        return k1, max(3, round(k1 / 5)) if self.k2 == "auto" else self.k2


class Alr(Section):
    """Appendage label refinement (METHOD 4)."""

    enabled: bool = True
    k: int = Field(20, ge=1, description="neighbours compared by Eq. 1, itself excluded")


class Mgaa(Section):
    """Multi-granularity appendage alignment (METHOD 5)."""

    single_scales: Literal["x", "all"] = Field("x", description="scales with a single-modality feature; all: literal")
    vcreg: bool = Field(True, description="variance and covariance terms; false: the letter of the paper")
    weight: float = Field(5.0, ge=0, description="of Eq. 5 + Eq. 6 while vcreg is on")


class AirSettings(Section):
    """What AIR alone reads (METHOD 1 to 5)."""

    asp: Literal["both", "la", "ha", "none"] = Field(
        "both", description="part skeletons that are read; without any, X alone is aligned and clustered"
    )
    partition: Literal["appendages", "equal"] = Field(
        "appendages", description="what LA and HA are: body parts, or equal runs of joints (Fig. 6)"
    )
    nuisance: Literal["none", "group", "subject"] = Field(
        "none",
        description="a known action or person that features are not to follow: they are standardised within it before "
        "clustering, and the variance terms look within it (METHOD 8)",
    )
    amdl: bool = Field(True, description="discrete labels; without them alignment alone")
    warmup: int = Field(60, ge=0, description="epochs of alignment alone, before there are labels")
    keep_every: int = Field(10, ge=1, description="of which epochs labels/ keeps a file, and of the last; 1: of all")
    own_parts: bool = Field(
        True, description="LA and HA learn from X with a network of their own; false, the paper's: all share one"
    )
    heads: tuple[Literal["x", "la", "ha"], ...] = Field(("x", "ha"), description="scales with a cluster head")
    head: Literal["linear", "mlp"] = Field("mlp", description="on y_s; mlp: behind a hidden layer; linear: the paper's")
    capacity: Count = Field("auto", description="rows of a head; auto grows by multiples of 128")
    cluster: Cluster = Cluster()
    alr: Alr = Alr()
    mgaa: Mgaa = Mgaa()

    @field_validator("asp", mode="before")
    @classmethod
    def _switched(cls, value: Any) -> Any:
        return ("none", "both")[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _agree(self) -> "AirSettings":
        eps = self.cluster.eps
        if eps == "auto" and self.cluster.metric != "jaccard":
            raise ValueError(f"cluster.eps: auto is of cluster.metric=jaccard, not {self.cluster.metric}")
        if eps != "auto" and not 0 < eps <= (1 if self.cluster.metric == "jaccard" else math.inf):
            raise ValueError(f"cluster.eps: a Jaccard distance is at most 1, and above 0, got {eps}")
        if self.alr.enabled and self.amdl and "ha" not in self.heads and self.asp != "none":
            raise ValueError("alr.enabled needs the head of HA (air.heads), whose predictions refine the labels")
        if "x" not in self.heads:
            raise ValueError("heads must hold x")
        return self

    @property
    def scales(self) -> tuple[str, ...]:
        """The skeletons that are read: x, la, ha with ASP, x without."""
        return {"both": ("x", "la", "ha"), "la": ("x", "la"), "ha": ("x", "ha"), "none": ("x",)}[self.asp]

    @property
    def appendage(self) -> str | None:
        """The part skeleton that refines the labels (Eq. 1 to 3): HA, or LA where it is the only one."""
        return {"both": "ha", "la": "la", "ha": "ha", "none": None}[self.asp]

    @property
    def classified(self) -> tuple[str, ...]:
        """The scales that have a cluster head; that of HA stands on LA where LA is the only part skeleton."""
        wanted = {*self.heads, self.appendage if "ha" in self.heads else None}
        return tuple(scale for scale in self.scales if scale in wanted) if self.amdl else ()


class Contrast(Section):
    """What the methods with a momentum network and a queue share."""

    queue: Count = Field("auto", description="K, keys kept; auto: about half of the set, at most as published")
    momentum: float | Literal["auto"] = Field("auto", description="m; auto: 0.999, less where an epoch has few steps")
    temperature: float = Field(0.07, gt=0, description="τ")
    dim: int = Field(128, ge=2, description="entries of a key")
    mask_own: bool = Field(False, description="hide a clip's own old keys from it")

    @model_validator(mode="after")
    def _agree(self) -> "Contrast":
        if self.queue != "auto" and self.queue < 1:
            raise ValueError(f"queue: at least 1 key, got {self.queue}")
        if self.momentum != "auto" and not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum: between 0 and 1, got {self.momentum}")
        return self


class CageSettings(Section):
    """What CAGE alone reads (Lu et al., AAAI 2023). GE-CLR: ``bank=plain``, ``cross=none``, ``deploy=cartesian``."""

    bank: Literal["cooperation", "hybrid", "ambiguity", "plain"] = Field(
        "cooperation", description="negatives: queue and ambiguous samples, both in one queue, ambiguous alone, queue"
    )
    cross: Literal["guide", "both", "none"] = Field(
        "guide", description="guide: the spherical query learns from Cartesian keys; both: and the other way round"
    )
    polar: Literal["y", "z"] = Field("y", description="axis of the spherical coordinates; y is the vertical")
    speed: float = Field(4, gt=0, description="of an ambiguous sample: every 4th frame; 0.3: 30 % of the clip")
    deploy: Literal["both", "cartesian", "spherical"] = Field("both", description="networks whose features are used")

    @field_validator("speed")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise ValueError("every so many frames: a whole number from 1 on, or a share below 1")
        return value


class CrosSCLRSettings(Section):
    """What CrosSCLR alone reads (Li et al., CVPR 2021)."""

    cross_from: float = Field(0.5, ge=0, le=1, description="share of the epochs after which modalities mine positives")
    topk: int = Field(1, ge=0, description="positives that a modality mines for another")
    context: bool = Field(True, description="similarities in both modalities, multiplied, are logits too")


class BiGRUSettings(Section):
    """The recurrent network of CMD and ISC."""

    hidden: int = Field(128, ge=2, description="entries of a state; the papers' is 1024")
    reverse: bool = Field(False, description="the second half runs backward, and so has seen the last frame alone")


class CMDSettings(Section):
    """What CMD alone reads (Mao et al., ECCV 2022)."""

    weight: float = Field(1, ge=0, description="of what modalities teach one another")


class ISCSettings(Section):
    """What ISC alone reads (Thoker et al., MM 2021)."""

    pair: Literal["seq+graph", "graph+image", "seq+image", "seq", "graph", "image"] = Field(
        "seq+graph", description="representations that are contrasted; one: with itself"
    )
    deploy: Literal["first", "second", "both"] = Field("first", description="of the pair, whose features are used")
    input_norm: bool = Field(True, description="a BatchNorm before the recurrent network; the public code has none")

    @property
    def representations(self) -> tuple[str, ...]:
        """Those of the pair."""
        return tuple(self.pair.split("+"))

    @property
    def deployed(self) -> tuple[str, ...]:
        """Those that are kept."""
        return {"first": self.representations[:1], "second": self.representations[1:]}.get(
            self.deploy, self.representations
        )

    @model_validator(mode="after")
    def _agree(self) -> "ISCSettings":
        if len(self.representations) == 1 and self.deploy != "first":
            raise ValueError(f"deploy: {self.deploy} of one representation; pair={self.pair} has first alone")
        return self


class SCDSettings(Section):
    """What SCD-Net alone reads (Wu et al., AAAI 2024)."""

    masks: Literal["both", "graph", "segment", "none"] = Field("both", description="joints, frames: what views lose")
    heads: int = Field(4, ge=1, description="of attention; the paper's is 8")


class SSALSettings(Section):
    """What SSAL alone reads (Song et al., 2024)."""

    strong: Literal["both", "jitter", "mask"] = Field("both", description="what the strong view suffers")
    image: bool = Field(True, description="the branch of Fourier filters beside the graph")
    drop: bool = Field(True, description="a strong query also without what stands out of the graph's features")
    weight: float = Field(1, ge=0, description="β, of the divergence between ordinary and strong queries")


class MGRLSettings(Section):
    """What MGRL alone reads (Shah et al., FG 2024)."""

    merge: Literal["clips", "groups", "none"] = Field(
        "clips", description="whose legs: those of the nearest clip, of the nearest of another group, its own (PSTL)"
    )
    share: float = Field(0.2, ge=0, le=1, description="of the clips, those nearest to another, that are merged")
    random_frames: int = Field(0, ge=0, description="frames that are hidden beside the fastest fifth")
    attention: bool = Field(False, description="over the frames, after the network")


SECTIONS: dict[Method, tuple[str, ...]] = {
    "air": ("air",),
    "cage": ("contrast", "cage"),
    "crossclr": ("contrast", "crossclr"),
    "cmd": ("contrast", "bigru", "cmd"),
    "isc": ("contrast", "bigru", "isc"),
    "scd-net": ("contrast", "scd"),
    "ssal": ("contrast", "ssal"),
    "mgrl": ("mgrl",),
    "st-gcn": (),
    "agcn": (),
}


class Config(Section):
    """Everything that defines a run. Of the sections of methods, those of ``method`` count and no other is taken."""

    preset: Preset = "small"
    seed: int = Field(0, ge=0)
    method: Method = "air"
    modalities: tuple[Modality, ...] = Field(("joint", "bone", "motion"), min_length=1)
    inputs: Inputs = Inputs()
    model: Model = Model()
    train: Train = Train()
    split: Split = Split()
    air: AirSettings = AirSettings()
    contrast: Contrast = Contrast()
    cage: CageSettings = CageSettings()
    crossclr: CrosSCLRSettings = CrosSCLRSettings()
    bigru: BiGRUSettings = BiGRUSettings()
    cmd: CMDSettings = CMDSettings()
    isc: ISCSettings = ISCSettings()
    scd: SCDSettings = SCDSettings()
    ssal: SSALSettings = SSALSettings()
    mgrl: MGRLSettings = MGRLSettings()

    @model_validator(mode="before")
    @classmethod
    def _sections(cls, settings: Any) -> Any:
        method = settings.get("method", "air")
        if not isinstance(method, str):
            raise ValueError(f"method: expected a name, got {shown(method)}")
        for name in OF_METHODS:
            readers = [each for each, read in SECTIONS.items() if name in read]
            if name in settings and method in SECTIONS and method not in readers:
                raise ValueError(f"{name} is read by method={', '.join(readers)}, not by method={method}")
        return settings

    @field_validator("inputs", mode="before")
    @classmethod
    def _named_inputs(cls, value: Any) -> Any:
        named = {"paper": PAPER_INPUTS, "default": Inputs()}
        return named.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agree(self) -> "Config":
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities: one is named twice")
        if self.method in JOINTS_ALONE and self.modalities != ("joint",):
            raise ValueError(f"modalities: method={self.method} reads joints alone, modalities=[joint]")
        if self.method == "scd-net" and len(self.modalities) > 1:
            raise ValueError("modalities: method=scd-net reads one, modalities=[joint]")
        return self

    def record(self) -> dict[str, Any]:
        """Every key that the method reads, as saved with every run; :func:`validate` takes it back."""
        idle = OF_METHODS - {*SECTIONS[self.method]}
        return self.model_dump(mode="json", exclude=idle)

    def to_yaml(self) -> str:
        """The resolved configuration, as saved with every run."""
        return yaml.safe_dump(self.record(), sort_keys=False)


JOINTS_ALONE = ("cage", "isc", "ssal", "mgrl")
OF_METHODS = {name for sections in SECTIONS.values() for name in sections}

PAPER: dict[str, Any] = {
    "inputs": "paper",
    "model": {"hidden": 1024, "projection": 4096},
    "train": {"epochs": 450, "batch_size": 128, "lr": 5e-4},
}
PRESETS: dict[Preset, dict[str, Any]] = {
    "demo": {
        "model": {"hidden": 64, "projection": 64},
        "train": {"epochs": 25, "batch_size": 32},
        "split": {"kind": "subject"},
    },
    "small": {},
    "paper": PAPER,
    "paper-parity": PAPER,
}

AIR_PAPER = {"warmup": 50, "head": "linear", "own_parts": False, "cluster": {"k1": 30, "k2": 6, "weight": 1.0}}
AIR: dict[Preset, dict[str, Any]] = {
    "demo": {"air": {"nuisance": "subject", "warmup": 8}},
    "small": {},
    "paper": {"air": AIR_PAPER},
    "paper-parity": {"air": AIR_PAPER | {"heads": ["x", "la", "ha"], "capacity": 2543}},
}
# SGD with the published rates and drops (FAMILY 5 to 9). These networks learn to standardise what they read.
CONTRAST: dict[str, Any] = {"inputs": {"standardise": False}, "model": {"hidden": 16}}
JOINTS: dict[str, Any] = {"modalities": ["joint"], "inputs": {"standardise": False, "velocity": "resampled"}}
CAGE = CONTRAST | JOINTS | {"train": {"lr": 0.1, "drops": [150 / 300, 250 / 300], "weight_decay": 1e-4}}
CAGE_PAPER = CAGE | {"model": {"hidden": 64}, "train": CAGE["train"] | {"epochs": 300, "batch_size": 32}}
CROSSCLR = CONTRAST | {"train": {"lr": 0.1, "drops": [250 / 300], "weight_decay": 1e-4}}
CROSSCLR_PAPER = CROSSCLR | {"train": CROSSCLR["train"] | {"epochs": 300, "batch_size": 128}}
CMD = CONTRAST | {"train": {"lr": 0.01, "drops": [350 / 450], "weight_decay": 1e-4}}
RECURRENT_PAPER = {"bigru": {"hidden": 1024}, "train": CMD["train"] | {"epochs": 450, "batch_size": 64}}
CMD_PAPER = CMD | RECURRENT_PAPER
ISC = CMD | JOINTS
SCD = CMD | JOINTS | {"model": {"hidden": 128}, "contrast": {"temperature": 0.2}}
SCD_PAPER = SCD | {"model": {"hidden": 2048}, "scd": {"heads": 8}, "train": RECURRENT_PAPER["train"]}
SSAL = CROSSCLR | JOINTS
SSAL_PAPER = SSAL | {"train": CROSSCLR["train"] | {"epochs": 300, "batch_size": 32}}
# Adam at 1.25e-3 for a batch of 32; the rate follows the batch, rises for a twentieth of the epochs, then falls to 0.
MGRL = CONTRAST | JOINTS | {"train": {"lr": 2.5e-3, "drops": [], "weight_decay": 1e-5}}
MGRL_DEMO = MGRL | {"train": MGRL["train"] | {"lr": 1.25e-3}}
MGRL_PAPER = MGRL | {
    "model": {"hidden": 16, "projection": 6144},
    "train": MGRL["train"] | {"lr": 1.25e-3, "epochs": 200, "batch_size": 32},
}
ISC_PAPER = ISC | RECURRENT_PAPER | {"model": {"hidden": 64}}
# SGD as 2s-AGCN was trained: 0.1 with a drop after 60 % of the epochs (its second one is left out), decay 1e-4. It took
# 50 epochs on NTU RGB+D; a small set has few steps an epoch, hence 80 and batches of 32.
SUPERVISED = {
    "modalities": ["joint"],
    "train": {"epochs": 80, "batch_size": 32, "lr": 0.1, "drops": [0.6], "weight_decay": 1e-4},
}
METHODS: dict[Method, dict[Preset, dict[str, Any]]] = {
    "air": AIR,
    "cage": {"demo": CAGE, "small": CAGE, "paper": CAGE_PAPER, "paper-parity": CAGE_PAPER},
    "crossclr": {"demo": CROSSCLR, "small": CROSSCLR, "paper": CROSSCLR_PAPER, "paper-parity": CROSSCLR_PAPER},
    "cmd": {"demo": CMD, "small": CMD, "paper": CMD_PAPER, "paper-parity": CMD_PAPER},
    "isc": {"demo": ISC, "small": ISC, "paper": ISC_PAPER, "paper-parity": ISC_PAPER},
    "scd-net": {"demo": SCD, "small": SCD, "paper": SCD_PAPER, "paper-parity": SCD_PAPER},
    "ssal": {"demo": SSAL, "small": SSAL, "paper": SSAL_PAPER, "paper-parity": SSAL_PAPER},
    "mgrl": {"demo": MGRL_DEMO, "small": MGRL, "paper": MGRL_PAPER, "paper-parity": MGRL_PAPER},
    "st-gcn": dict.fromkeys(PRESETS, SUPERVISED),
    "agcn": dict.fromkeys(PRESETS, SUPERVISED),
}

# Keys of versions before 0.2, and where they are now.
MOVED = {
    **{name: f"air.{name}" for name in ("asp", "partition", "nuisance", "amdl", "cluster", "alr", "mgaa")},
    **{f"model.{name}": f"air.{name}" for name in ("heads", "head", "capacity", "own_parts")},
    "train.warmup": "air.warmup",
    "train.lr_drop": "train.drops",
    "train.lr_late": "train.drops",
}


def load_config(
    preset: str = "small", file: Path | None = None, overrides: tuple[str, ...] = (), **changes: Any
) -> Config:
    """Resolve a configuration: preset, then method, then the YAML file, ``key=value`` overrides, and ``changes``.

    Args:
        preset: demo, small, paper or paper-parity.
        file: YAML with any part of the schema.
        overrides: each ``key=value`` with a dotted key and a YAML value, e.g. ``modalities=[joint]``, ``air.alr.k=10``.
        changes: top-level keys, for callers in Python.

    Raises:
        InputError: an unknown preset, method or key (with the nearest known name), a wrong value, an unreadable file.
    """
    if preset not in PRESETS:
        raise InputError(f"preset: unknown {preset!r}{nearest(preset, PRESETS)}; known: {', '.join(PRESETS)}")
    layers = [read_yaml(file) if file else {}, *map(parse_override, overrides), changes]
    method = next((layer["method"] for layer in reversed(layers) if "method" in layer), "air")
    if method == "umurl":
        raise InputError("method: umurl is AIR without its modules, -o air.asp=none -o air.amdl=false")
    if not isinstance(method, str) or method not in METHODS:
        raise InputError(f"method: unknown {shown(method)}{nearest(str(method), METHODS)}; known: {', '.join(METHODS)}")
    settings: dict[str, Any] = {"preset": preset}
    for layer in (PRESETS[preset], METHODS[method][preset], *layers):
        settings = merge(settings, layer)
    return validate(settings)


def validate(settings: dict[str, Any]) -> Config:
    """Settings to a configuration; the first thing wrong with them as one line."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise InputError(explain(error)) from None


def merge(base: dict[str, Any], layer: dict[str, Any]) -> dict[str, Any]:
    """``layer`` over ``base``, section by section; ``inputs=paper`` is spelt out, and later layers can refine it."""
    merged = dict(base)
    for key, value in layer.items():
        if key == "inputs" and isinstance(value, str) and value in ("paper", "default"):
            value = (PAPER_INPUTS if value == "paper" else Inputs()).model_dump()
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """``train.lr=10`` to ``{"train": {"lr": 10}}``; the value is YAML."""
    key, separator, value = text.partition("=")
    text = text if len(text) <= QUOTED else f"{text[:QUOTED]}…"
    if not separator or not key:
        raise InputError(f"-o {text}: expected key=value")
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise InputError(f"-o {text}: the value is {error}") from None
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def parse_yaml(text: str) -> Any:
    """YAML to plain values; ValueError, with a short reason, for all that is none or is beyond bounds."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML ({' '.join(str(error).split())})") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists in lists
        raise ValueError("not YAML that makes sense here (a number too long, or nested too deeply)") from None


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML file of settings."""
    text = read_text(file, SETTINGS)
    try:
        settings = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    if not isinstance(settings, dict):
        raise InputError(f"{file}: expected keys and values, found {type(settings).__name__}")
    return settings


def explain(error: ValidationError) -> str:
    """The first problem of a validation as one line with the key's dotted name."""
    first = error.errors()[0]
    names = [str(part) for part in first["loc"]]
    union = len(names) > 1 and names[-1] in ("int", "float")  # of a number with auto: what pydantic tried first
    names = names[:-1] if union else names
    key = ".".join(names)
    if first["type"] == "extra_forbidden":
        if key in MOVED:
            return f"config: {key} is {MOVED[key]} now"
        return f"config: unknown key {shown(key)}{way_out(names)}"
    message = first["msg"].removeprefix("Value error, ") + (", or auto" if union else "")
    if isinstance(first["input"], dict) and first["type"] == "value_error":  # keys of a section that do not agree
        return f"config: {key}.{message}" if key else f"config: {message}"
    return f"config: {key}: {message}, got {shown(first['input'])}"


def way_out(names: list[str]) -> str:
    """What an unknown key is likely to mean: one of that name elsewhere, one of its section that is spelt alike."""
    section: type[BaseModel] = Config
    for name in names[:-1]:
        section = subsection(section, name) or Config
    known = list(section.model_fields)
    elsewhere = [key for key in dotted(Config) if key.rpartition(".")[2] == names[-1]]
    if elsewhere:
        return f" (did you mean {' or '.join(map(repr, elsewhere[:3]))}?)"
    return nearest(names[-1], known) or f", known are {', '.join(known)}"


def dotted(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every key below a section, with the names that lead to it."""
    for name in section.model_fields:
        below = subsection(section, name)
        yield from [f"{above}{name}"] if below is None else dotted(below, f"{above}{name}.")


def subsection(section: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a key is; None for one that holds a value."""
    annotation = section.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
