"""The method that a configuration names."""

from airfast.config import Config
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.methods.cage import Cage, CageEncoder
from airfast.methods.cmd import CMD, CMDEncoder
from airfast.methods.crossclr import CrosSCLR, CrosSCLREncoder
from airfast.methods.isc import ISC, ISCEncoder
from airfast.methods.method import Method
from airfast.methods.mgrl import MGRL, MGRLEncoder
from airfast.methods.scdnet import SCDNet, SCDNetEncoder
from airfast.methods.ssal import SSAL, SSALEncoder
from airfast.models.deployed import Deployed, DeployedEncoder
from airfast.skeletons.layout import Layout


def build_method(config: Config, layout: Layout) -> Method:
    """What ``method`` trains, with weights from torch's global generator.

    Raises:
        InputError: a method that learns from labels.
    """
    match config.method:
        case "air":
            return Air(config, layout)
        case "cage":
            return Cage(config, layout)
        case "crossclr":
            return CrosSCLR(config, layout)
        case "cmd":
            return CMD(config, layout)
        case "isc":
            return ISC(config, layout)
        case "scd-net":
            return SCDNet(config, layout)
        case "ssal":
            return SSAL(config, layout)
        case "mgrl":
            return MGRL(config, layout)
    raise InputError(f"method={config.method} learns from labels: airfast train-supervised --model {config.method}")


def build_deployed(config: Config, layout: Layout, scales: tuple[str, ...] = ("x",)) -> Deployed:
    """What ``method`` leaves: clips to features. ``scales`` as of :class:`DeployedEncoder`; only AIR has several.

    Raises:
        InputError: a scale that the method does not read.
    """
    missing = set(scales) - set(config.air.scales if config.method == "air" else ("x",))
    if missing:
        raise InputError(f"trained without scale {', '.join(sorted(missing))}")
    match config.method:
        case "cage":
            return CageEncoder(config, layout)
        case "crossclr":
            return CrosSCLREncoder(config, layout)
        case "cmd":
            return CMDEncoder(config, layout)
        case "isc":
            return ISCEncoder(config, layout)
        case "scd-net":
            return SCDNetEncoder(config, layout)
        case "ssal":
            return SSALEncoder(config, layout)
        case "mgrl":
            return MGRLEncoder(config, layout)
    return DeployedEncoder(config, layout, scales)
