"""The method that a configuration names."""

from airfast.config import Config
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.methods.cage import Cage, CageEncoder
from airfast.methods.method import Method
from airfast.models.deployed import Deployed, DeployedEncoder
from airfast.skeletons.layout import Layout


def build_method(config: Config, layout: Layout) -> Method:
    """What ``method`` trains, with weights from torch's global generator.

    Raises:
        InputError: a method that learns from labels.
    """
    if config.method == "air":
        return Air(config, layout)
    if config.method == "cage":
        return Cage(config, layout)
    raise InputError(f"method={config.method} learns from labels: airfast train-supervised --model {config.method}")


def build_deployed(config: Config, layout: Layout, scales: tuple[str, ...] = ("x",)) -> Deployed:
    """What ``method`` leaves: clips to features. ``scales`` as of :class:`DeployedEncoder`; only AIR has several.

    Raises:
        InputError: a scale that the method does not read.
    """
    missing = set(scales) - set(config.air.scales if config.method == "air" else ("x",))
    if missing:
        raise InputError(f"trained without scale {', '.join(sorted(missing))}")
    return CageEncoder(config, layout) if config.method == "cage" else DeployedEncoder(config, layout, scales)
