"""How features lie: of rows whose spectrum and neighbours are known."""

import numpy as np
import pytest
import torch

from airfast.bench.spectra import BFLOAT16, shape


def test_rows_on_a_circle():
    angles = torch.linspace(0, 2 * torch.pi, 1_441)[:-1]  # a quarter of a degree apart
    rows = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], 1)
    found = shape(rows)
    assert found["mean"] == pytest.approx(0, abs=1e-6)
    assert found["directions"] == pytest.approx(2, abs=1e-4)  # two of equal variance
    assert (found["directions_90"], found["directions_99"]) == (2, 2)
    step = np.radians(0.25)
    assert found["nearest"] == pytest.approx(np.cos(step), abs=1e-6)
    assert found["kth"] == pytest.approx(np.cos(15 * step), abs=1e-6)  # 14 to either side, and one more
    assert found["gap"] == pytest.approx(np.cos(step) - np.cos(15 * step), abs=1e-6)
    assert found["last_gap"] == pytest.approx(0, abs=1e-6)  # the other of that pair
    widest = np.floor(np.degrees(np.arccos(np.cos(15 * step) - BFLOAT16)) / 0.25)
    assert found["near_kth"] == pytest.approx(2 * widest - 29, abs=0.01)
