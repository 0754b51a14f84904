"""airfast: pre-train emotion-recognition encoders on unlabelled 3D skeletons, with an exact, sparse label stage.

A public name is imported when it is first asked for: ``airfast --help`` and the preparation of data need no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from airfast._version import __version__

if TYPE_CHECKING:
    from airfast.config import Config, load_config
    from airfast.data.dataset import DeviceClips
    from airfast.data.motion import MotionSet
    from airfast.data.prepare import prepare
    from airfast.data.synthetic import synthetic_walkers
    from airfast.deploy.embed import Embedder
    from airfast.deploy.predict import Predictor
    from airfast.errors import InputError
    from airfast.evaluate.head import fit_head
    from airfast.evaluate.report import evaluate
    from airfast.labels import LabelSet, generate_labels, load_features
    from airfast.labels.estimator import JaccardDBSCAN
    from airfast.labels.graph import jaccard_graph
    from airfast.labels.hierarchy import JaccardHDBSCAN
    from airfast.labels.stability import stability
    from airfast.runs.checkpoint import load_encoder
    from airfast.skeletons.layout import Layout, load_layout
    from airfast.training.pretrain import pretrain

__all__ = [
    "Config",
    "DeviceClips",
    "Embedder",
    "InputError",
    "JaccardDBSCAN",
    "JaccardHDBSCAN",
    "LabelSet",
    "Layout",
    "MotionSet",
    "Predictor",
    "__version__",
    "evaluate",
    "fit_head",
    "generate_labels",
    "jaccard_graph",
    "load_config",
    "load_encoder",
    "load_features",
    "load_layout",
    "prepare",
    "pretrain",
    "stability",
    "synthetic_walkers",
]

HOMES = {
    "Config": "config",
    "DeviceClips": "data.dataset",
    "Embedder": "deploy.embed",
    "InputError": "errors",
    "JaccardDBSCAN": "labels.estimator",
    "JaccardHDBSCAN": "labels.hierarchy",
    "LabelSet": "labels",
    "Layout": "skeletons.layout",
    "MotionSet": "data.motion",
    "Predictor": "deploy.predict",
    "evaluate": "evaluate.report",
    "fit_head": "evaluate.head",
    "generate_labels": "labels",
    "jaccard_graph": "labels.graph",
    "load_config": "config",
    "load_encoder": "runs.checkpoint",
    "load_features": "labels",
    "load_layout": "skeletons.layout",
    "prepare": "data.prepare",
    "pretrain": "training.pretrain",
    "stability": "labels.stability",
    "synthetic_walkers": "data.synthetic",
}


class Package(ModuleType):
    """The package as a module whose public names win over submodules of the same name (evaluate, pretrain)."""

    def __getattr__(self, name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module 'airfast' has no attribute {name!r}")
        value = getattr(import_module(f"airfast.{HOMES[name]}"), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in HOMES and isinstance(value, ModuleType):
            return  # the import system sets a submodule that was imported; it is found in sys.modules all the same
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = Package
