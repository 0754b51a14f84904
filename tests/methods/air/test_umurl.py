"""UmURL is AIR with every module off: the baseline of Table IV."""

import pytest
import torch

from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import begin, pretrain
from tests.reference.umurl import UmURL, load_weights

UMURL = ("air.asp=none", "air.amdl=false", "air.nuisance=none")


def test_air_without_its_modules_is_umurl(walkers, tiny):
    config = tiny("inputs=paper", "inputs.frames=16", *UMURL)
    clips = DeviceClips.from_motion(walkers, config.inputs, "cpu")
    ours = begin(config, walkers, clips).method
    reference = UmURL(
        len(walkers.layout.joints), walkers.layout.parents, 16, config.model.hidden, config.model.projection
    )
    names = load_weights(reference, ours)
    parameters = dict(ours.named_parameters())
    assert sorted(names.values()) == sorted(parameters)
    generator = torch.Generator().manual_seed(0)
    views = [view(clips, torch.arange(24), generator) for view in ours.views]
    named, expected = ours.losses(views, torch.arange(24)), reference.losses(views)
    torch.testing.assert_close(tuple(named.values()), expected, rtol=1e-4, atol=1e-5)
    sum(named.values()).backward()
    sum(expected).backward()
    for name, each in reference.named_parameters():
        torch.testing.assert_close(parameters[names[name]].grad, each.grad, rtol=1e-3, atol=1e-4)


def test_umurl_has_one_spelling():
    with pytest.raises(InputError, match=r"-o air\.asp=none -o air\.amdl=false"):
        load_config(method="umurl")


@pytest.mark.parametrize("preset", ["paper", "paper-parity"])
def test_parameters_of_table_1(preset):
    with torch.device("meta"):
        graph = Air(load_config(preset, overrides=UMURL), load_layout("kinect25"))
    seen = sum(each.numel() for each in graph.parameters()) - 8 * 1024**2 - 8 * 1024  # no attention, METHOD 2
    assert round(seen / 1e6, 2) == 63.82  # Table I


def test_umurl_pretrains_and_the_supervised_do_not(walkers, tiny, tmp_path):
    run = pretrain(walkers, tiny(*UMURL, "train.epochs=2"), tmp_path / "run", "cpu")
    assert not (run / "labels").exists()
    with pytest.raises(InputError, match="train-supervised --model agcn"):
        pretrain(walkers, load_config("demo", method="agcn"), tmp_path / "none", "cpu")
    assert not (tmp_path / "none").exists()
