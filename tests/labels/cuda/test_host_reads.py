"""What the CUDA path asks the host for, on CPU tensors: single numbers, and not more of them for twice the samples."""

import sys
from pathlib import Path

import pytest
import torch
from label_sets import DEVICE, clustered
from torch.overrides import TorchFunctionMode

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

import airfast
from airfast.labels import engine, generate_labels
from airfast.labels.cuda import knn as cuda_knn
from airfast.labels.cuda.backend import CudaBackend

PACKAGE = str(Path(airfast.__file__).parent)
# What hands tensors, or parts of them, to the host; nonzero and boolean masks hand over a size.
ARRAYS = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__}
NUMBERS = {
    torch.Tensor.item,
    torch.Tensor.__bool__,
    torch.Tensor.__int__,
    torch.Tensor.__float__,
    torch.Tensor.__index__,
    torch.Tensor.nonzero,
}


class Watch(TorchFunctionMode):
    """Counts what airfast's own lines ask for; Triton's interpreter reads tensors as it likes."""

    def __init__(self):
        super().__init__()
        self.arrays, self.numbers = [], 0

    def __torch_function__(self, function, types, arguments=(), named=None):
        frame = sys._getframe(1)
        if frame.f_code.co_filename.startswith(PACKAGE):
            if function in ARRAYS:
                self.arrays.append((frame.f_code.co_filename, frame.f_lineno))
            self.numbers += function in NUMBERS
        return function(*arguments, **(named or {}))


def fixed_dots(unit, left, right):
    """The kernel's sums by torch: the interpreter would take its time over hundreds of rows."""
    rows = (unit * cuda_knn.ONE).round().long()
    return ((rows[left] * rows[right]).sum(1) + 2**29 >> 30).int()


@pytest.mark.parametrize("metric", ["jaccard", "cosine"])
def test_only_numbers_are_read_and_not_more_for_twice_the_samples(metric, monkeypatch):
    monkeypatch.setattr(cuda_knn, "fixed_dots", fixed_dots)
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE), "test"))
    reads = []
    for n in (48, 96):
        x = torch.from_numpy(clustered(n, 12, 4, 0.3, 0)).to(DEVICE)
        with Watch() as watch:
            generate_labels(x, x[:, :7], metric=metric, eps=0.5, k1=6, k2=2, agreement_k=4)
        assert watch.arrays == []
        reads.append(watch.numbers)
    assert 0 < reads[0] < 60
    assert reads[1] <= reads[0] + 4  # a round or two more of the component search


def test_the_watch_sees_a_copy():
    """Positive control: the pandas frame is a copy to the host, and is seen as one."""
    found = generate_labels(clustered(20, 6, 2, 0.3, 0), metric="cosine", eps=0.3, backend="cpu")
    with Watch() as watch:
        found.to_frame()
    assert watch.arrays
