"""The bench runs, its three ways agree, and its report says what was measured."""

import json

import numba
import pytest
import torch

pytest.importorskip("faiss", reason="the ways measured beside ours use FAISS")
pytest.importorskip("matplotlib", reason="the bench draws plots")

from airfast.bench.labels import Case, Rows, run_label_bench, run_real_bench


def test_bench_measures_three_ways_that_agree(tmp_path):
    said = []
    cases = (Case("clustered", 300, 16), Case("weak", 250, 16))
    report = run_label_bench(tmp_path, cases, repeats=1, say=said.append)
    assert json.loads((tmp_path / "labels.json").read_text()) == report
    assert (tmp_path / "labels.png").stat().st_size > 10_000
    table = (tmp_path / "labels.md").read_text()
    assert "| clustered | 300 | 16 |" in table
    assert len(said) == 2
    for record in report["results"]:
        for way in ("ours", "sparse", "dense"):
            assert record["ways"][way]["different_labels"] == 0
            assert record["ways"][way]["total"] > 0


def test_bench_of_features_that_are_there_goes_by_the_processor(tmp_path):
    torch_threads, numba_threads = torch.get_num_threads(), numba.get_num_threads()
    rows = Case("clustered", 200, 16).features()
    try:
        report = run_real_bench(tmp_path, [Rows("of a file", rows)], repeats=1, say=lambda line: None)
    finally:
        torch.set_num_threads(torch_threads)
        numba.set_num_threads(numba_threads)
    assert report["results"][0]["ways"]["ours"]["processor"] > 0
    table = (tmp_path / "labels-real.md").read_text()
    assert "Processor seconds of one thread" in table
    assert "| of a file | 200 | 16 |" in table
