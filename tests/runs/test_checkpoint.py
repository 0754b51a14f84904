import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from airfast.data.dataset import DeviceClips
from airfast.errors import InputError
from airfast.runs.checkpoint import ENCODER, fill, load_encoder, older_seal, read, save_encoder, write
from airfast.training.pretrain import begin


@pytest.fixture
def run(walkers, tiny, tmp_path):
    config = tiny()
    clips = DeviceClips.from_motion(walkers, config.inputs, torch.device("cpu"))
    method = begin(config, walkers, clips).method.eval()
    save_encoder(tmp_path, method.deployed, epoch=3)
    return tmp_path, method, clips


def test_loaded_encoder_gives_the_features_of_the_run(run):
    path, method, clips = run
    batch = clips.whole(torch.arange(5))
    with torch.no_grad():
        features = method.features(batch)
        torch.testing.assert_close(load_encoder(path)(batch), features["x"])
        everything = load_encoder(path / ENCODER, scales=("x", "la", "ha"))
        torch.testing.assert_close(everything(batch), torch.cat(list(features.values()), 1))
    assert not load_encoder(path).training


def test_unknown_scale(run):
    with pytest.raises(InputError, match="trained without scale feet"):
        load_encoder(run[0], scales=("x", "feet"))


def test_damaged_truncated_foreign_and_missing_files(run, tmp_path):
    path = run[0] / ENCODER
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="do not match their SHA-256"):
        load_encoder(run[0])
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_encoder(run[0])
    path.write_bytes(b"not tensors")
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_encoder(run[0])
    with pytest.raises(InputError, match="no such file"):
        load_encoder(tmp_path / "nowhere")


def test_an_encoder_of_another_network_is_refused_in_one_line(run):
    path = run[0] / ENCODER
    tensors, about = read(path)
    write(path, {name.replace("backbone", "trunk"): value for name, value in tensors.items()}, about)
    with pytest.raises(InputError, match="whose network was another"):
        load_encoder(run[0])
    write(path, {name: value[..., :1] for name, value in tensors.items()}, about)
    with pytest.raises(InputError, match="whose network was another"):
        load_encoder(run[0])


def test_a_network_takes_its_own_tensors_and_no_others(tmp_path):
    network = torch.nn.Linear(2, 1)
    tensors = dict(network.state_dict())
    fill(network, tensors, tmp_path)
    with pytest.raises(InputError, match="whose network was another"):
        fill(network, tensors | {"more": torch.ones(1)}, tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    write(path, {"a": torch.ones(3)}, {"epoch": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        write(path, {"a": torch.zeros(3)}, {"epoch": 2})
    tensors, about = read(path)
    assert torch.equal(tensors["a"], torch.ones(3))
    assert about == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["file.safetensors"]


def header_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def test_what_is_known_of_the_tensors_is_sealed_with_them(run):
    path = run[0] / ENCODER
    header, tensors = header_of(path)
    for change in ('"epoch": 3', '"epoch": 2'), ('"seed": 0', '"seed": 1'), ('"facing": "clip"', '"facing": "none"'):
        assert change[0] in header["about"]
        save_file(tensors, path, header | {"about": header["about"].replace(*change)})
        with pytest.raises(InputError, match="do not match their SHA-256"):
            load_encoder(run[0])
    turned = {name: value.T.contiguous() if value.ndim == 2 else value for name, value in tensors.items()}
    for name, value in turned.items():
        turned[name] = value if value.ndim != 2 else tensors[name].reshape(value.shape)  # the same bytes
    save_file(turned, path, header)
    with pytest.raises(InputError, match="do not match their SHA-256"):
        load_encoder(run[0])


def test_any_byte_changed_is_the_projects_own_error(tmp_path):
    path = tmp_path / "file.safetensors"
    write(path, {"a": torch.arange(3.0), "b": torch.ones(2, 2)}, {"epoch": 1})
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flip in (1, 128, whole[place] ^ ord("}")):
            changed = bytes([whole[place] ^ flip])
            path.write_bytes(whole[:place] + changed + whole[place + 1 :])
            if flip:
                try:
                    tensors, about = read(path)
                except InputError:
                    continue
                # the version of airfast and the padding of the header are not what was saved
                assert about == {"epoch": 1}
                assert torch.equal(tensors["a"], torch.arange(3.0))
                assert torch.equal(tensors["b"], torch.ones(2, 2))


def test_a_file_from_before_the_seal_still_opens(run):
    path = run[0] / ENCODER
    header, tensors = header_of(path)
    older = {"airfast": "0.0", "about": header["about"], "sha256": older_seal(tensors)}
    save_file(tensors, path, older)
    assert read(path)[1] == json.loads(header["about"])
    load_encoder(run[0])
    save_file(tensors, path, older | {"sha256": "0"})
    with pytest.raises(InputError, match="do not match their SHA-256"):
        load_encoder(run[0])


def test_a_file_of_another_kind(run):
    path = run[0] / ENCODER
    write(path, read(path)[0], {"epoch": 3})
    with pytest.raises(InputError, match="of another kind, it says nothing of config, layout"):
        load_encoder(run[0])
