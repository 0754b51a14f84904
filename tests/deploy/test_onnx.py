"""An exported ONNX file says what the run says, for any batch and length, and runs where there is no torch."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("onnxscript", reason="ONNX is not installed (pip install 'airfast[onnx]')")

from airfast import DeviceClips, Predictor, fit_head, load_encoder
from airfast.deploy import onnx_export
from airfast.deploy.head import load_head
from airfast.deploy.onnx_export import export_onnx
from airfast.deploy.pipeline import pipeline
from airfast.deploy.stream import Stream
from airfast.errors import InputError
from airfast.runtime import Model
from tests.cli.test_app import fails, run  # noqa: F401


@pytest.fixture(scope="module")
def place(finished_run, tmp_path_factory):
    """A run with a head, and its ONNX file."""
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("onnx") / "run")
    fit_head(folder, device="cpu")
    export_onnx(folder, folder / "model.onnx")
    return folder


@pytest.mark.parametrize("facing", ["clip", "first", "none"])
@pytest.mark.parametrize("velocity", ["true", "false"])
def test_the_pipeline_reads_clips_as_the_run_does(place, hostile, facing, velocity):
    encoder = load_encoder(place)
    inputs = encoder.config.inputs.model_copy(update={"facing": facing, "velocity": velocity})
    network = pipeline(encoder, None)
    network.facing, network.velocity = facing, velocity == "true"
    wanted = DeviceClips.from_motion(hostile, inputs, "cpu").whole(torch.arange(8))
    for i in range(8):
        found = network.clips(torch.from_numpy(hostile.clip(i))[None], torch.from_numpy(hostile.fps[i : i + 1]))
        torch.testing.assert_close(found[0], wanted[i], atol=1e-4, rtol=1e-4)  # of metres a second


def test_the_file_says_what_the_run_says(place, hostile):
    model = Model(place / "model.onnx", threads=1)
    found = Predictor(place, "cpu").predict(hostile)
    for i in range(0, len(hostile), 7):
        said = model(hostile.clip(i), float(hostile.fps[i]))
        assert said["probability"].max() == pytest.approx(found.probability[i], abs=1e-4)
        assert model.classes[int(said["probability"].argmax())] == found.label[i]
        assert float(said["distance"][0]) == pytest.approx(found.distance[i], rel=1e-3)
    assert model.about["joints"] == list(hostile.layout.joints)
    assert model.about["data"]["note"] == hostile.info["note"]
    assert model.about["parity"]["agreement"] == 1


def test_a_stream_of_the_file_gets_the_answers_of_the_run(place, hostile):
    lines = [json.dumps(frame.tolist()) for frame in hostile.clip(2)]
    rows = {source: list(Stream(source, 25, 0.6, 0.3).predict(lines)) for source in (place, place / "model.onnx")}
    ours, files = rows.values()
    assert [row["label"] for row in ours] == [row["label"] for row in files]
    np.testing.assert_allclose([r["probability"] for r in ours], [r["probability"] for r in files], atol=1e-4)


def test_any_batch_and_any_length(place):
    model, network = Model(place / "model.onnx"), pipeline(load_encoder(place), load_head(place))
    noise = np.random.default_rng(0)
    for batch, frames in ((1, 2), (3, 3), (5, 17), (2, 400)):
        clips = noise.normal(size=(batch, frames, 24, 3)).astype(np.float32)
        features, probability, _ = network(torch.from_numpy(clips), torch.full((batch,), 25.0))
        said = model(clips, 25.0)
        np.testing.assert_allclose(said["features"], features, atol=1e-4)
        np.testing.assert_allclose(said["probability"], probability, atol=1e-4)


def test_it_runs_where_there_is_no_torch(place, hostile, tmp_path):
    np.save(tmp_path / "clip.npy", hostile.clip(0))
    code = f"""
import sys
for name in ("torch", "scipy", "sklearn", "pandas", "numba", "onnx"):
    sys.modules[name] = None  # importing it raises
import numpy as np
from airfast.runtime import Model
print(Model({str(place / "model.onnx")!r})(np.load({str(tmp_path / "clip.npy")!r}), 30.0)["probability"].sum())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1, abs=1e-5)


def test_int8_is_smaller_and_refused_where_its_answers_are_others(place, tmp_path, monkeypatch):
    parity = export_onnx(place, tmp_path / "small.onnx", "int8")
    assert parity.agreement >= 0.9
    assert (tmp_path / "small.onnx").stat().st_size < 0.8 * (place / "model.onnx").stat().st_size
    monkeypatch.setattr(onnx_export, "LEAST_COSINE", {"int8": 1.1})
    monkeypatch.setattr(onnx_export, "traced", lambda *_: __import__("onnx").load(tmp_path / "small.onnx"))
    with pytest.raises(InputError, match=r"other\.onnx: not written, its answers are not the run's"):
        export_onnx(place, tmp_path / "other.onnx", "int8")
    assert not (tmp_path / "other.onnx").exists()


def test_wrong_files_and_wrong_clips(place, hostile, tmp_path):
    model = Model(place / "model.onnx")
    for clip, said in (
        (hostile.clip(0)[:, :5], r"expected \(frames, 24, 3\) of 2 frames or more, found \(1, \d+, 5, 3\)"),
        (hostile.clip(0)[:1], "of 2 frames or more"),
        (hostile.clip(0) * np.nan, "expected finite numbers"),
    ):
        with pytest.raises(InputError, match=said):
            model(clip, 30.0)
    with pytest.raises(InputError, match="fps: expected a positive number"):
        model(hostile.clip(0), 0.0)
    (tmp_path / "bad.onnx").write_bytes((place / "model.onnx").read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged or not an ONNX file"):
        Model(tmp_path / "bad.onnx")
    with pytest.raises(InputError, match="no such file"):
        Model(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"expected a name that ends in \.onnx"):
        export_onnx(place, tmp_path / "x.pt2")
    with pytest.raises(InputError, match="none of the clips of"):
        export_onnx(place, tmp_path / "x.onnx", data=dataclasses.replace(hostile, names=tuple("x" * len(hostile))))


def test_the_command(place, run, tmp_path, monkeypatch):  # noqa: F811
    import onnx

    monkeypatch.setattr(onnx_export, "traced", lambda *_: onnx.load(place / "model.onnx"))
    status, out, _ = run("export", place, "--format", "onnx", "--out", tmp_path / "m.onnx")
    assert status == 0
    assert "100.0% the same class" in out
    assert json.loads(onnx.load(tmp_path / "m.onnx").metadata_props[0].value)["parity"]["clips"] > 0
    fails(run("export", place, "--format", "tflite"), "--format tflite: expected pt2, onnx or onnx-int8")
    fails(run("export", place, "--format", "onnx", "--precision", "bf16"), "belongs to --format pt2")
