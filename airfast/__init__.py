"""airfast: pre-train emotion-recognition encoders on unlabelled 3D skeletons, with an exact, sparse label stage."""

from airfast._version import __version__
from airfast.config import Config, load_config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare
from airfast.data.synthetic import synthetic_walkers
from airfast.errors import InputError
from airfast.evaluate.report import evaluate
from airfast.labels import LabelSet, generate_labels, load_features
from airfast.runs.checkpoint import load_encoder
from airfast.skeletons.layout import Layout, load_layout
from airfast.training.pretrain import pretrain

__all__ = [
    "Config",
    "DeviceClips",
    "InputError",
    "LabelSet",
    "Layout",
    "MotionSet",
    "__version__",
    "evaluate",
    "generate_labels",
    "load_config",
    "load_encoder",
    "load_features",
    "load_layout",
    "prepare",
    "pretrain",
    "synthetic_walkers",
]
