import numpy as np

from airfast.data.dataset import DeviceClips
from airfast.data.skeleton import as_configured, canonical
from airfast.skeletons.layout import load_layout
from tests.conftest import on_layout


def test_canonical_gives_back_what_the_set_names(walkers):
    kinect = on_layout(walkers.select(range(4)), "kinect25")
    back = canonical(kinect)
    assert back.layout.joints == load_layout("canonical").joints
    assert back.info["lacking"] == ["spine1", "left_collar", "right_collar"]
    named = [i for i, joint in enumerate(back.layout.joints) if joint not in back.info["lacking"]]
    np.testing.assert_allclose(back.positions[:, named], walkers.select(range(4)).positions[:, named], atol=1e-6)
    assert canonical(back) is back


def test_clips_are_read_as_configured(walkers, tiny):
    kinect = on_layout(walkers.select(range(4)), "kinect25")
    config = tiny("inputs.joints=canonical", "air.partition=equal")
    assert DeviceClips.from_motion(kinect, config.inputs, "cpu").frames.shape[2] == 24
    read = as_configured(kinect, config)
    assert len(read.layout.joints) == 24
    assert read.layout.high_names[0] == "coarse1"
    assert as_configured(kinect, tiny()) is kinect
