"""`airfast doctor`: what is installed, which label backend would be used and why, and whether it works here."""

import ctypes
import os
import platform
import shutil
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from airfast._version import __version__
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.labels.choose import resolve
from airfast.labels.cuda.interop import choose_dbscan, choose_search, missing, missing_faiss, version

OPTIONAL = ("triton", "cuvs", "cuml", "cupy", "cudf")
OLDEST = (7, 5)  # compute capability that RAPIDS' and FAISS's wheels have code for


@dataclass(frozen=True)
class Finding:
    """One line of the report; a finding that is not ok makes the command exit with status 1."""

    name: str
    value: str
    ok: bool = True


def examine(quick: bool = False, full: bool = False) -> list[Finding]:
    """Look at everything; never raises.

    Args:
        quick: the device and what is needed to use it alone; no optional package is imported, nothing is computed.
        full: train a small encoder for an epoch, too.
    """
    found = [*environment(), *device()]
    if quick:
        return found
    found += [Finding("faiss", faiss()), *(Finding(package, version(package)) for package in OPTIONAL)]
    found += [label_backend(), on_a_gpu(), label_test()]
    return [*found, training_test()] if full else found


def environment() -> list[Finding]:
    """Versions of what is always there."""
    return [
        Finding("airfast", __version__),
        Finding("python", platform.python_version()),
        Finding("torch", torch.__version__),
    ]


def device() -> list[Finding]:
    """The device, and what stands between torch and a GPU: a driver, a card that is not too old, a compiler.

    That RAPIDS imports proves nothing: it does without a driver. Triton compiles launchers in C when it first runs.
    """
    if not torch.cuda.is_available():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        threads = f"CPU, {torch.get_num_threads()} threads"
        return [Finding("device", threads), Finding("CUDA", f"torch is built {built}; driver: {driver()}")]
    capability = torch.cuda.get_device_capability()
    card = f"{torch.cuda.get_device_name()}, compute capability {capability[0]}.{capability[1]}"
    return [
        Finding("device", card, ok=capability >= OLDEST),
        Finding("CUDA", f"torch is built for CUDA {torch.version.cuda}; driver: {driver()}"),
        Finding("C compiler", compiler() or "none: Triton needs one, set CC", ok=bool(compiler())),
        Finding("Python headers", headers() or "none: Triton needs Python.h (python3-dev)", ok=bool(headers())),
    ]


def driver() -> str:
    """The newest CUDA that the installed NVIDIA driver runs, asked of the driver itself; or none."""
    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return f"none ({name} is not there)"
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)):
        return f"{name} does not answer"
    return f"up to CUDA {number.value // 1000}.{number.value % 1000 // 10}"


def compiler() -> str:
    """The C compiler that Triton would take; empty for none."""
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang", "cc")))), "")


def headers() -> str:
    """Where Python.h is; empty for nowhere."""
    path = Path(sysconfig.get_path("include")) / "Python.h"
    return str(path) if path.is_file() else ""


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


def label_test() -> Finding:
    """Labels of three obvious clusters."""
    started = time.perf_counter()
    try:
        found = generate_labels(three_clusters().to(pick_device("auto")))
    except Exception as error:  # whatever is wrong with this machine is what the command is asked to say
        return Finding("label test", f"{type(error).__name__}: {error}", ok=False)
    right = found.num_clusters == 3 and found.noise_share == 0
    said = f"passed in {time.perf_counter() - started:.1f} s"
    return Finding("label test", said if right else f"expected 3 clusters, found {found.num_clusters}", ok=right)


def training_test() -> Finding:
    """One training epoch of a small encoder on synthetic walkers."""
    from airfast.config import load_config
    from airfast.data.dataset import DeviceClips
    from airfast.data.synthetic import synthetic_walkers
    from airfast.methods.method import Epoch
    from airfast.training.pretrain import begin, train_epoch
    from airfast.training.step import TrainingStep

    started = time.perf_counter()
    try:
        walkers = synthetic_walkers(clips=32)
        config = load_config("demo", overrides=("model.hidden=16", "model.projection=32", "train.batch_size=8"))
        clips = DeviceClips.from_motion(walkers, config.inputs, pick_device("auto"))
        loss = train_epoch(TrainingStep(begin(config, walkers, clips), clips), Epoch(), 0)["loss"]
    except Exception as error:  # as above
        return Finding("training test", f"{type(error).__name__}: {error}", ok=False)
    return Finding("training test", f"passed in {time.perf_counter() - started:.1f} s (loss {loss:.2f})")


def three_clusters() -> torch.Tensor:
    """(120, 16) unit rows in three tight groups of 40."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(16)[:3].repeat_interleave(40, dim=0)
    return torch.nn.functional.normalize(centres + 0.05 * torch.randn(120, 16, generator=generator), dim=1)
