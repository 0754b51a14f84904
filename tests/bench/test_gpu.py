"""The GPU bench runs on hardly any data here, and proves its points where there is a card."""

import json
import sys
from functools import partial

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.bench import copies, gpu
from airfast.bench.gpu_report import checked, markdown
from airfast.device import Stopwatch
from airfast.labels import generate_labels
from airfast.labels.cuda import interop
from airfast.labels.cuda.backend import CudaBackend
from benchmarks import gpu as command
from benchmarks.report_gpu import gpu_section

on_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA = torch.device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels are compiled for the device here")
def test_the_whole_bench_runs_dry(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(gpu, "OPTIONS", gpu.OPTIONS | {"k1": 6, "k2": 2})  # interpreted lists take their time
    report = command.run(True, tmp_path)
    assert json.loads((tmp_path / "gpu.json").read_text()) == report
    assert report["stopped"] == {}
    assert all(record["different_labels"] == record["different_core"] == 0 for record in report["parity"])
    assert {record["way"] for record in report["stage"]} == {"exact kNN alone, float32", "label stage", "the field's"}
    assert [(r["kind"], r["n"], r["d"]) for r in report["real"] if r["way"] == "the field's"] == [
        ("real", 12, 64),
        ("real", 12, 192),  # X, LA and HA side by side
    ]
    assert all(record.get("same_labels", True) for record in report["stage"] + report["real"])
    assert all(record["faults"] for record in report["copies"])  # nothing was recorded, which proves nothing
    said = (tmp_path / "gpu.md").read_text()
    assert "Parity with the CPU: 2 runs over 1 sets, 0 with other labels." in said
    assert "fails, as it must" in said


def test_a_section_that_fails_is_written_down_and_the_others_run(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("no such kernel\nmore")

    monkeypatch.setattr(command, "sections", lambda *_: {"dbscan": broken, "epoch": lambda: iter([])})
    report = command.run(True, tmp_path)
    assert report["stopped"] == {"dbscan": "RuntimeError: no such kernel"}
    assert "**dbscan**: RuntimeError: no such kernel." in (tmp_path / "gpu.md").read_text()


def test_a_section_stops_when_its_time_is_up(tmp_path, monkeypatch):
    endless = lambda: iter([{"n": 1, "d": 1, "pairs": 0, "seconds": {"graph": 0.0}}] * 5)  # noqa: E731
    monkeypatch.setattr(command, "sections", lambda *_: {"dbscan": endless})
    report = command.run(True, tmp_path, seconds=0)
    assert len(report["dbscan"]) == 1
    assert report["stopped"]["dbscan"].startswith("stopped after")


def test_targets_are_checked_against_what_was_measured():
    """Limits are those of the targets that benchmarks/report_gpu.py lists."""

    def stage(n, d, total, over, half=False):
        case = {
            "kind": "synthetic",
            "way": "label stage",
            "n": n,
            "d": d,
            "total": total,
            "over_knn": over,
            "half": half,
        }
        return case | {"peak_gb": 20.0, "steps": {}, "search": "torch", "in_doubt": 0, "same_labels": True}

    records = [
        stage(8_260, 2_048, 0.012, 3.0),
        stage(8_260, 2_048, 0.020, 3.0, half=True),
        {"kind": "synthetic", "way": "the field's", "n": 8_260, "d": 2_048, "total": 2.0, "steps": {}},
        stage(100_000, 2_048, 1.0, 1.1),
        stage(100_000, 2_048, 1.0, 1.05, half=True),
        stage(1_000_000, 256, 70.0, 1.15),
    ]
    assert [met for _, _, met in checked(records)] == [True, False, True, False, False]
    assert checked([]) == []


def test_the_report_has_what_was_recorded_and_says_what_never_ran(tmp_path):
    assert gpu_section(tmp_path).startswith("## What has not run on a card")
    report = {"machine": gpu.describe(torch.device("cpu")) | {"gpu": "RTX 4090"}, "seconds": 1.0, "stopped": {}}
    (tmp_path / "gpu.md").write_text(markdown(report))
    said = gpu_section(tmp_path)
    assert said.startswith("## GPU, with RAPIDS")
    assert "RTX 4090" in said
    assert "## Kernels" not in said


@pytest.mark.gpu
@on_a_card
def test_a_label_stage_copies_nothing_but_sizes():
    once, twice = (copies.record(gpu.label_work(n, CUDA)) for n in (4096, 8192))
    assert copies.faults(once) == []
    assert copies.faults(twice) == []
    assert copies.growth_faults(once, twice) == []


@pytest.mark.gpu
@on_a_card
def test_an_epoch_copies_nothing_but_sizes():
    assert copies.faults(copies.record(partial(gpu.prepare_epoch(gpu.DRY, 256, CUDA), Stopwatch(CUDA)))) == []


@pytest.mark.gpu
@on_a_card
def test_the_proof_fails_where_features_are_copied():
    assert copies.faults(copies.record(lambda: gpu.features(4096, 64, CUDA).cpu()))


@pytest.mark.gpu
@on_a_card
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("source", ["torch", "faiss", "cuvs"])
def test_every_search_there_is_gives_the_cpus_neighbours(source, half):
    if source not in gpu.sources():
        pytest.skip(f"{source} is not there")
    x = gpu.features(3000, 96, CUDA)
    theirs = generate_labels(x, x[:, :48], backend=CudaBackend(CUDA, source, half=half))
    here = x.cpu()
    ours = generate_labels(here, here[:, :48])
    assert torch.equal(ours.labels, theirs.labels.cpu())
    assert torch.equal(ours.agreement, theirs.agreement.cpu())


@pytest.mark.gpu
@on_a_card
@pytest.mark.parametrize("metric", ["jaccard", "euclidean", "cosine"])
def test_cuml_and_the_graph_give_the_same_labels(metric):
    if interop.missing("cuml"):
        pytest.skip(f"cuML: {interop.missing('cuml')}")
    x = gpu.features(3000, 96, CUDA)
    theirs, ours = (generate_labels(x, metric=metric, eps=0.6, dbscan=who) for who in ("cuml", "graph"))
    assert torch.equal(theirs.labels, ours.labels)
    assert torch.equal(theirs.core, ours.core)


@pytest.mark.gpu
@on_a_card
def test_a_card_with_little_memory_gives_the_same_labels():
    """Blocks of 2 GB are asked for on a card that is told to have 600 MB: they are halved until they fit."""
    x, backend = gpu.features(20_000, 64, CUDA), CudaBackend(CUDA)
    whole = generate_labels(x, backend=backend, memory_mb=2048)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((600 << 20) / torch.cuda.get_device_properties(CUDA).total_memory)
    try:
        halved = generate_labels(x, backend=backend, memory_mb=2048)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.equal(whole.labels, halved.labels)
    assert torch.equal(whole.core, halved.core)


@pytest.mark.gpu
@on_a_card
def test_the_table_stays_on_the_card():
    if interop.missing("cudf"):
        pytest.skip(f"cuDF: {interop.missing('cudf')}")
    import cudf

    from airfast.labels.statistics import describe_frame

    found = generate_labels(gpu.features(500, 32, CUDA))
    frame = found.to_frame(before=found.labels)
    assert isinstance(frame, cudf.DataFrame)
    facts = describe_frame(frame)
    assert facts == pytest.approx(describe_frame(frame.to_pandas()))
    assert facts["clusters"] == found.num_clusters
