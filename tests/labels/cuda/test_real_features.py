"""Features of real motion: a common direction, no gaps; the kernels in the interpreter beside the CPU's labels."""

import pytest
import torch
from label_sets import DEVICE

from airfast.labels import engine, generate_labels
from tests.data.real import DATA, needs_bandai1

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.bench.real_features import features, trained
from airfast.labels.cuda.backend import CudaBackend
from benchmarks.convert_bandai2 import convert

SMALL = ("model.hidden=16", "model.projection=16", "inputs.frames=16", "train.batch_size=29")


@pytest.fixture(scope="module")
def windows():
    """The method, briefly trained on every second clip, and its clips."""
    motion = convert(DATA / "bandai1" / "positions.npz", DATA / "bandai1" / "labels.csv")
    return trained(motion.select(range(0, len(motion), 2)), "small", SMALL, torch.device("cpu"))


@needs_bandai1
@pytest.mark.parametrize(("concat", "k1"), [(False, 8), (True, 12)])
def test_labels_of_real_features_are_the_cpus(windows, monkeypatch, concat, k1):
    x = features(*windows, 72, concat)
    unit = torch.nn.functional.normalize(x, dim=1)
    assert unit.mean(dim=0).norm() > 0.3  # what rows have in common, which synthetic clusters have not
    ours = generate_labels(x, (x, x.flip(1)), k1=k1, k2=3, agreement_k=5)
    assert ours.num_clusters >= 2
    assert ours.backend == "cpu"
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE), "test"))
    theirs = generate_labels(x.to(DEVICE), (x.to(DEVICE), x.flip(1).to(DEVICE)), k1=k1, k2=3, agreement_k=5)
    assert theirs.backend == "cuda"
    for name in ("labels", "core", "agreement", "cluster_size"):
        assert torch.equal(getattr(theirs, name).cpu(), getattr(ours, name)), name
