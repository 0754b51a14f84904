"""The bench of Table I runs as a person types it, and says what was measured."""

import json
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from airfast.bench import throughput
from airfast.bench.explain import explanation
from airfast.bench.machine import machine
from airfast.bench.plot import plot
from airfast.bench.table import tables
from airfast.bench.table1 import run_table1
from airfast.bench.ways import prepare
from airfast.errors import InputError
from tests.cli.test_app import fails, run  # noqa: F401


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    """A call or two in place of a second of them, and a small product in place of a large one."""
    monkeypatch.setattr(throughput, "MEASURE", 0.0)
    monkeypatch.setattr(throughput, "WARM_UP", 0.0)
    monkeypatch.setattr(throughput, "LEAST", 1)
    monkeypatch.setattr(throughput, "peak_flops", lambda device, precision: 1e12)


def test_sizes_and_speeds_side_by_side(tmp_path):
    record = run_table1(("air-j", "st-gcn"), precisions=("fp32", "bf16"), batches=(1, 2), repeats=1)
    assert json.loads(json.dumps(record)) == record
    runs = [(each["title"], each["form"], each["precision"], each["batch"]) for each in record["speeds"]]
    assert len(set(runs)) == len(runs) == 2 * (2 * 2 + 2)  # precisions · (AIR-J trained and folded, ST-GCN) · batches
    weights = {each["precision"]: each["weight_bytes"] for each in record["speeds"] if each["form"] == "folded"}
    assert weights["bf16"] == pytest.approx(weights["fp32"] / 2, rel=0.01)  # statistics of the inputs stay in fp32
    for each in record["speeds"]:
        assert 0 < each["p50_ms"] <= each["p99_ms"]
        assert each["fps"] > 0
        assert each["limit_fps"] > 0
        assert each["memory_mb"] > each["weight_bytes"] / 1e6
    sizes, speeds = tables(record)
    assert sizes.rows[0] == ("AIR-J", "45.75/2.77", "45.76/2.73", "54.16/5.49", "17.08/1.53", "10.85/0.97")
    assert "| AIR-J | reported† | 1.00 | 174.59 |" in speeds.markdown()
    assert "| ST-GCN | reported† | 2.85 | 497.38 |" in speeds.markdown()
    assert len({row[0] for row in speeds.rows}) == 9  # every method of Table I
    plot(record, tmp_path / "table1.png")
    assert (tmp_path / "table1.png").stat().st_size > 10_000


def test_a_row_that_is_not_reproduced_and_one_that_is_not_printed(tmp_path):
    record = run_table1(("mgrl", "scd-net"), batches=(1,), repeats=1)
    sizes, speeds = tables(record)
    assert sizes.rows[0][:3] == ("MGRL", "–", sizes.rows[0][2])
    assert sizes.rows[1][1:3] == ("100.18/8.23", "110.32/10.05 (not reproduced)")
    assert "MGRL | reported" not in speeds.markdown()
    plot(record, tmp_path / "table1.png")


def test_the_command(run, tmp_path):  # noqa: F811
    file = tmp_path / "found.json"
    status, out, _ = run("bench", "--flops", "--models", "air-j", "--json", file, "--plot", tmp_path / "p.png")
    assert status == 0
    assert "45.76/2.73" in out
    assert json.loads(file.read_text())["models"][0]["counts"]["folded"]["flops"] > 0
    assert (tmp_path / "p.png").exists()


def test_explain_needs_nothing_else(run):  # noqa: F811
    status, out, _ = run("bench", "--explain")
    assert status == 0
    assert "invisible" in out
    assert len(explanation().split("\n\n")) == 6


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        ((), "say what to measure: --flops, --fps, --labels"),
        (("--flops", "--models", "cdm"), "--models cdm: expected some of air,air-j"),
        (("--flops", "--compile"), "--compile: belongs to --fps"),
        (("--labels", "--batch", "4"), "--batch: belongs to --fps"),
        (("--labels", "--json", "x.json"), "--json: belongs to --flops and --fps"),
        (("--flops", "--full"), "--full: belongs to --labels"),
        (("--fps", "--batch", "1,none"), "--batch 1,none: expected positive numbers"),
        (("--fps", "--precision", "int4"), "--precision int4: expected fp32, bf16 or fp16"),
        (("--fps", "--device", "tpu"), "--device tpu"),
        (("--flops", "--plot", "x.gif"), "--plot x.gif: expected a name that ends in .png"),
        (("--flops", "--json", "nowhere/x.json"), "--json nowhere/x.json: no such folder"),
    ],
)
def test_options_that_do_not_go_together(run, tmp_path, monkeypatch, words, piece):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    fails(run("bench", *words), piece)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_is_the_same_function(monkeypatch):
    """Traced as for the compiler, whose first program of a process would take a quarter of a minute to build."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    counters.clear()
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()).eval().requires_grad_(False)
    given = torch.randn(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(prepare(network, "compiled", given)(given), network(given))
    assert counters["frames"] == {"total": 1, "ok": 1}


def test_wrong_numbers():
    with pytest.raises(InputError, match="expected positive numbers"):
        run_table1(("air",), repeats=0)


def test_the_machine_says_which_packages_are_not_there():
    versions = machine(torch.device("cpu"), ("numpy", "no_such_package"))["versions"]
    assert versions["numpy"][0].isdigit()
    assert versions["no_such_package"] == "not installed"
