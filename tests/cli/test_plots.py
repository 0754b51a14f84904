"""``airfast plot`` and ``airfast report`` as a person types them."""

import shutil

import pytest

from tests.cli.test_app import fails, run  # noqa: F401 (a fixture)


def test_every_picture_of_a_run(run, finished_run, tmp_path):  # noqa: F811
    for name in ("embeddings", "clusters", "eps", "confusion", "relevance"):
        out = tmp_path / f"{name}.svg"
        status, said, error = run("plot", name, finished_run, "--out", out)
        assert (status, error) == (0, "")
        assert str(out) in said
        assert out.stat().st_size > 10_000
    assert not list(finished_run.glob("*.png"))


def test_a_clip_and_a_page(run, finished_run, tmp_path):  # noqa: F811
    assert run("plot", "skeleton", finished_run.parent / "set", "--clip", "4", "--out", tmp_path / "s.png")[0] == 0
    for name in ("config.yaml", "split.json", "metrics.jsonl"):  # as a run is before its first saved state
        shutil.copy(finished_run / name, tmp_path)
    assert run("report", tmp_path)[0] == 0
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("plot", "embeddings", "nowhere"), ("nowhere: not a run folder",)),
        (("plot", "clusters", "nowhere", "--out", "a.png"), ("nowhere: not a run folder",)),
        (("plot", "confusion", "RUN", "--out", "a.jpg"), ("a.jpg", ".png or .svg")),
        (("plot", "eps", "RUN", "--out", "no/a.png"), ("there is no folder no",)),
        (("plot", "relevance", "RUN", "--class", "joy"), ("--class joy", "known:")),
        (("plot", "relevance", "RUN", "nowhere"), ("nowhere",)),
        (("plot", "embeddings", "RUN", "--device", "tpu"), ("expected auto, cpu or cuda",)),
        (("plot", "skeleton", "nowhere"), ("nowhere",)),
        (("plot", "skeleton", "--clip", "nobody"), ("--clip nobody",)),
        (("report", "nowhere"), ("nowhere: not a run folder",)),
        (("report", "RUN", "--out", "a.pdf"), ("a.pdf", ".html")),
        (("report", "RUN", "--device", "tpu"), ("expected auto, cpu or cuda",)),
    ],
)
def test_wrong_inputs_are_one_line(run, finished_run, tmp_path, monkeypatch, words, pieces):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    fails(run(*(finished_run if word == "RUN" else word for word in words)), *pieces)
    assert not list(tmp_path.iterdir())
