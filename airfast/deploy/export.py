"""A run's encoder as one file that PyTorch runs without this package, for devices at the edge."""

import io
import warnings
from pathlib import Path

import torch
from torch import nn

from airfast.atomic import check_ending, replacing
from airfast.deploy.fold import fold
from airfast.errors import InputError
from airfast.models.deployed import DeployedEncoder
from airfast.runs.checkpoint import load_encoder

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def export(run: Path | str, out: Path | str, precision: str = "fp32") -> Path:
    """Write the encoder as a `torch.export` program: clips (B, C, T, J) float32 to features (B, D) float32.

    That of AIR is folded. Clips are as :class:`airfast.data.dataset.DeviceClips` gives them; C, T and J are the run's,
    any B from 1 on.

    Args:
        run: a run folder or an ``encoder.safetensors``.
        out: a file that ends in .pt2; one that is there is replaced once the new one is complete.
        precision: of weights and products, fp32 or bf16.

    Raises:
        InputError: no such run, a wrong suffix or precision, a file that cannot be written.
    """
    out = Path(out)
    check_ending(out, (".pt2",))
    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision}: expected fp32 or bf16")
    encoder = load_encoder(run)
    if isinstance(encoder, DeployedEncoder):
        program_of: nn.Module = fold(encoder, PRECISIONS[precision])
    elif precision == "fp32":
        program_of = encoder
    else:
        raise InputError(f"--precision {precision}: an encoder of {encoder.config.method} runs in fp32 alone")
    channels = 6 if encoder.config.inputs.velocity == "true" else 3
    clips = torch.zeros(2, channels, encoder.config.inputs.frames, len(encoder.layout.joints))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own deprecations while it traces
        program = torch.export.export(program_of, (clips,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        written = io.BytesIO()  # torch insists on the suffix of a file that it writes to
        torch.export.save(program, written)
    with replacing(out) as part:
        part.write_bytes(written.getvalue())
    return out
