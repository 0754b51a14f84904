"""A run's encoder and head as one ONNX file: positions in, classes out (``airfast.runtime`` runs it without torch)."""

import json
import logging
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airfast._version import __version__
from airfast.atomic import check_ending, replacing
from airfast.data.motion import MotionSet
from airfast.data.source import Source
from airfast.deploy.embed import Embedder
from airfast.deploy.head import FOLDER, HEAD, Head, encoder_path, load_head
from airfast.deploy.pipeline import pipeline
from airfast.errors import InputError
from airfast.runs.folder import open_set, read_split
from airfast.runtime import Model

CLIPS = 64  # that parity is measured on, at most
LEAST_COSINE = {"fp32": 0.999, "int8": 0.9}
LEAST_AGREEMENT = {"fp32": 1.0, "int8": 0.9}
CLOSE_CALL = 1e-3  # labels whose probabilities are nearer to each other than this may be told either way


@dataclass(frozen=True)
class Parity:
    """An exported file beside the run, on whole clips of the run.

    Attributes:
        clips: how many.
        cosine: the smallest cosine between the features of both.
        probability: the largest difference of a probability; 0 without a head.
        agreement: share of the clips with the same class; 1 without a head.
    """

    clips: int
    cosine: float
    probability: float
    agreement: float


def export_onnx(run: Path | str, out: Path | str, precision: str = "fp32", data: Source = None) -> Parity:
    """Write the whole way from positions to classes, and check it against the run.

    The graph takes ``positions`` (batch, frames, J, 3) float32 in metres, y up, any batch and any number of frames from
    2 on, and ``fps`` (batch,); it gives ``features`` and, where the run has a head, ``probability`` and ``distance``
    (:class:`airfast.deploy.pipeline.Pipeline`). It is written only if features and classes are those of the run.

    Args:
        run: a run folder; its head is taken along if it has one.
        out: a file that ends in .onnx.
        precision: fp32, or int8: weights of the products as 8-bit integers (dynamic quantisation).
        data: the run's set, if it has moved; its test clips are compared (training clips if there are none).

    Raises:
        InputError: no such run or set, another ending, ONNX not installed, or a file whose answers are not the run's.
    """
    run, out = Path(run), Path(out)
    check_ending(out, (".onnx",))
    if precision not in LEAST_COSINE:
        raise InputError(f"--precision {precision}: expected fp32 or int8 of an ONNX file")
    head = load_head(run) if (run / FOLDER / HEAD).is_file() else None
    embedder = Embedder(encoder_path(run) if head else run, "cpu").fit()
    motion = known_clips(run, embedder, data)
    model = traced(embedder, head, precision)
    about = {
        "classes": list(head.classes) if head else [],
        "joints": list(motion.layout.joints),
        "layout": motion.layout.name,
        "skeleton": motion.layout.record(),
        "unit": "m",
        "up": "y",
        "frames": embedder.encoder_.config.inputs.frames,
        "precision": precision,
        "data": {name: motion.info.get(name, "") for name in ("name", "note")},
        "versions": {"airfast": __version__, "torch": torch.__version__},
    }
    with replacing(out) as part:
        write(model, about, part)
        parity = compare(Model(part), embedder, head, motion)
        if parity.cosine < LEAST_COSINE[precision] or parity.agreement < LEAST_AGREEMENT[precision]:
            raise InputError(
                f"{out}: not written, its answers are not the run's: on {parity.clips} clips the smallest cosine of "
                f"features is {parity.cosine:.4f}, and {parity.agreement:.1%} of the classes agree"
            )
        write(model, about | {"parity": asdict(parity)}, part)
    return parity


def known_clips(run: Path, embedder: Embedder, data: Source) -> MotionSet:
    """Clips of the run to compare on: of the test side, or of the training side where there is none."""
    known = read_split(run)
    motion = embedder.clips(open_set(run, known, data, "compare on"))
    wanted = set(known["test"] or known["train"])
    chosen = [index for index, name in enumerate(motion.names) if name in wanted][:CLIPS]
    if not chosen:
        raise InputError(f"{motion.info.get('name', run)}: none of the clips of {run}")
    return motion.select(chosen)


def traced(embedder: Embedder, head: Head | None, precision: str) -> Any:
    """The pipeline as an ONNX model."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (what torch writes ONNX with)
        from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; pip install 'airfast[onnx]'") from None
    network = pipeline(embedder.encoder_, head)
    joints = len(embedder.encoder_.layout.joints)
    example = torch.randn(3, 50, joints, 3, generator=torch.Generator().manual_seed(0)), torch.full((3,), 30.0)
    batch, frames = torch.export.Dim("batch", min=1, max=1 << 16), torch.export.Dim("frames", min=2, max=1 << 20)
    names = ["features", "probability", "distance"] if head else ["features"]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of operators that are not there, of how models are best prepared
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")  # torch warns of its own deprecations while it traces
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                verbose=False,
                input_names=["positions", "fps"],
                output_names=names,
                dynamic_shapes=({0: batch, 1: frames}, {0: batch}),
            )
            assert program is not None
            if precision == "fp32":
                return program.model_proto
            place = Path(folder) / "int8.onnx"
            # seven bits a weight: sums of eight overflow on x86 processors without VNNI, whose answers would be others
            quantize_dynamic(program.model_proto, place, weight_type=QuantType.QInt8, reduce_range=True)
            return onnx.load(place)
    finally:
        logging.disable(before)


def write(model: Any, about: dict[str, Any], path: Path) -> None:
    """A model with what is known of it."""
    import onnx

    onnx.helper.set_model_props(model, {"airfast": json.dumps(about)})
    path.write_bytes(model.SerializeToString())


def compare(exported: Model, embedder: Embedder, head: Head | None, motion: MotionSet) -> Parity:
    """The file beside the run: clip by clip, each at its own length."""
    wanted = torch.from_numpy(embedder.transform(motion))
    probability = head.probability(wanted).numpy() if head else np.ones((len(motion), 1), np.float32)
    cosines, differences, agreed = [], [0.0], []
    for index in range(len(motion)):
        found = exported(motion.clip(index), float(motion.fps[index]))
        given = torch.from_numpy(found["features"][0])
        cosines.append(float(torch.nn.functional.cosine_similarity(given, wanted[index], dim=0)))
        said = found.get("probability", probability[index : index + 1])[0]
        differences.append(float(np.abs(said - probability[index]).max()))
        agreed.append(probability[index].max() - probability[index][said.argmax()] < CLOSE_CALL)
    return Parity(len(motion), min(cosines), max(differences), float(np.mean(agreed)))
