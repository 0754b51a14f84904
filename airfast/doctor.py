"""`airfast doctor`: what is installed, which label backend would be used and why, and whether it works here."""

import platform
import time
from dataclasses import dataclass

import torch

from airfast._version import __version__
from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.data.synthetic import synthetic_walkers
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.labels.backend import resolve
from airfast.labels.interop import choose_dbscan, choose_search, missing, missing_faiss, version
from airfast.pretrain import begin, train_epoch
from airfast.training_step import TrainingStep

OPTIONAL = ("triton", "cuvs", "cuml", "cupy", "cudf")


@dataclass(frozen=True)
class Finding:
    """One line of the report; a finding that is not ok makes the command exit with status 1."""

    name: str
    value: str
    ok: bool = True


def examine() -> list[Finding]:
    """Look at everything and run the self-test; never raises."""
    return [*environment(), label_backend(), on_a_gpu(), self_test()]


def environment() -> list[Finding]:
    """Versions, the device, and the optional packages found or missing."""
    device = pick_device("auto")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return [
        Finding("airfast", __version__),
        Finding("python", platform.python_version()),
        Finding("torch", torch.__version__),
        Finding("faiss", faiss()),
        *(Finding(package, version(package)) for package in OPTIONAL),
        Finding("device", name),
    ]


def faiss() -> str:
    """Which FAISS there is, and whether it is one that searches on a GPU."""
    found, no_gpu = version("faiss"), missing_faiss()
    return found if missing("faiss") else f"{found}, {no_gpu or 'on the GPU'}"


def label_backend() -> Finding:
    """The backend that features on this device would get."""
    try:
        backend, reason = resolve("auto", pick_device("auto"))
    except InputError as error:
        return Finding("labels", str(error), ok=False)
    return Finding("labels", f"{backend.name} ({reason})")


def on_a_gpu() -> Finding:
    """Who would search and who would run DBSCAN if the features were on a GPU."""
    return Finding("on a GPU", f"kNN by {choose_search()[1]}; DBSCAN by {choose_dbscan('auto')[1]}")


def self_test() -> Finding:
    """Labels of three obvious clusters, then one training epoch of a small encoder on synthetic walkers."""
    started = time.perf_counter()
    try:
        device = pick_device("auto")
        found = generate_labels(three_clusters().to(device))
        if found.num_clusters != 3 or found.noise_share > 0:
            return Finding("self-test", f"expected 3 clusters, found {found.num_clusters}", ok=False)
        walkers = synthetic_walkers(clips=32)
        config = load_config("demo", overrides=("model.hidden=16", "model.projection=32", "train.batch_size=8"))
        clips = DeviceClips.from_motion(walkers, config.inputs, device)
        loss = train_epoch(TrainingStep(begin(config, walkers, clips), clips), None, 0)["loss"]
    except Exception as error:  # whatever is wrong with this machine is what the command is asked to say
        return Finding("self-test", f"{type(error).__name__}: {error}", ok=False)
    return Finding("self-test", f"passed in {time.perf_counter() - started:.1f} s (loss {loss:.2f})")


def three_clusters() -> torch.Tensor:
    """(120, 16) unit rows in three tight groups of 40."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(16)[:3].repeat_interleave(40, dim=0)
    return torch.nn.functional.normalize(centres + 0.05 * torch.randn(120, 16, generator=generator), dim=1)
