import pytest
import torch

from airfast import DeviceClips, InputError, load_encoder
from airfast.deploy.export import export
from airfast.training.pretrain import pretrain


@pytest.fixture(scope="module")
def run(walkers, tmp_path_factory):
    from airfast.config import load_config
    from tests.conftest import TINY

    config = load_config("demo", overrides=(*TINY, "train.epochs=1", "air.warmup=1"))
    return pretrain(walkers, config, tmp_path_factory.mktemp("runs") / "run", "cpu")


@pytest.mark.filterwarnings("ignore")  # torch's own, while it reads a program
def test_the_file_gives_the_runs_features_for_any_batch(run, walkers, tmp_path):
    encoder = load_encoder(run)
    program = torch.export.load(export(run, tmp_path / "encoder.pt2")).module()
    clips = DeviceClips.from_motion(walkers, encoder.config.inputs, "cpu")
    for count in (1, 5):
        given = clips.whole(torch.arange(count))
        with torch.no_grad():
            torch.testing.assert_close(program(given), encoder(given), atol=1e-5, rtol=0)
    assert [each.name for each in tmp_path.iterdir()] == ["encoder.pt2"]


def test_wrong_wishes(run, tmp_path):
    with pytest.raises(InputError, match=r"expected a name that ends in \.pt2"):
        export(run, tmp_path / "encoder.onnx")
    with pytest.raises(InputError, match="--precision int8: expected fp32 or bf16"):
        export(run, tmp_path / "encoder.pt2", "int8")
    with pytest.raises(InputError, match="cannot be written"):
        export(run, tmp_path / "nowhere" / "encoder.pt2")
    assert not list(tmp_path.iterdir())
