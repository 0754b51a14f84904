"""A slice of benchmarks/fuzz.py: every kind of file that is read, damaged a few times."""

from benchmarks.fuzz import run_fuzz


def test_damaged_files_are_refused_or_read_aright():
    found = run_fuzz(seconds=60, rounds=15, seed=0)
    assert found["faults"] == []
    assert found["rounds"] == 15
    verdicts = {what for each in found["counts"].values() for what in each}
    assert {"refused", "answered"} <= verdicts
    for name in ("encoder.safetensors", "state.safetensors", "split.json", "set/positions.npy"):
        assert found["counts"][name]["refused"] >= 12, name
