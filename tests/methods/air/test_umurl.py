"""UmURL is AIR with every module off: the baseline of Table IV."""

import pytest
import torch

from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import initial, pretrain, untrained
from tests.reference.umurl import UmURL, load_weights


def test_air_without_its_modules_is_umurl(walkers, tiny):
    config = tiny("inputs=paper", "inputs.frames=16", "asp=false", "amdl=false", "alr.enabled=false")
    clips = DeviceClips.from_motion(walkers, config.inputs, "cpu")
    ours = untrained(config, walkers.layout, clips)
    reference = UmURL(
        len(walkers.layout.joints), walkers.layout.parents, 16, config.model.hidden, config.model.projection
    )
    names = load_weights(reference, ours)
    parameters = dict(ours.named_parameters())
    assert sorted(names.values()) == sorted(parameters)
    generator = torch.Generator().manual_seed(0)
    views = [clips.view(torch.arange(24), generator) for _ in range(ours.views_wanted)]
    named, expected = ours.losses(views, torch.zeros(24, dtype=torch.long), None), reference.losses(views)
    torch.testing.assert_close(tuple(named.values()), expected, rtol=1e-4, atol=1e-5)
    sum(named.values()).backward()
    sum(expected).backward()
    for name, each in reference.named_parameters():
        torch.testing.assert_close(parameters[names[name]].grad, each.grad, rtol=1e-3, atol=1e-4)


def test_umurl_by_name_is_those_switches(walkers, tiny):
    spelt, named = tiny("asp=false", "amdl=false", "alr.enabled=false"), tiny("method=umurl")
    assert named.model_copy(update={"method": "air"}) == spelt
    ours, theirs = (initial(config, walkers.layout).state_dict() for config in (named, spelt))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("preset", ["paper", "paper-parity"])
def test_parameters_of_table_1(preset):
    with torch.device("meta"):
        graph = Air(load_config(preset, method="umurl"), load_layout("kinect25"))
    seen = sum(each.numel() for each in graph.parameters()) - 8 * 1024**2 - 8 * 1024  # no attention, METHOD 2
    assert round(seen / 1e6, 2) == 63.82  # Table I


def test_umurl_pretrains_and_the_supervised_do_not(walkers, tiny, tmp_path):
    run = pretrain(walkers, tiny("method=umurl", "train.epochs=2"), tmp_path / "run", "cpu")
    assert not (run / "labels").exists()
    with pytest.raises(InputError, match="train-supervised --model agcn"):
        pretrain(walkers, tiny("method=agcn"), tmp_path / "none", "cpu")
    assert not (tmp_path / "none").exists()
