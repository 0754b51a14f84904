import numpy as np
import pytest
import torch

from airfast.data.dataset import DeviceClips
from airfast.models.inputs import tokenise
from airfast.plots.part_agreement import part_agreement, untokenised
from airfast.plots.run_features import features_of, open_run_clips
from tests.reference.part_agreement import part_agreement as reference

CPU = torch.device("cpu")


def test_spatial_tokens_are_taken_apart_again():
    values = torch.randn(2, 3, 7, 5)
    assert torch.equal(untokenised(tokenise(values).spatial), values)


@pytest.mark.filterwarnings("error")
def test_agreement_of_parts_is_that_of_the_loops(finished_run):
    encoder, motion = open_run_clips(finished_run)
    # the run's own centring is by subject; here neither side centres
    settings = encoder.config.air.model_copy(update={"nuisance": "none"})
    encoder.config = encoder.config.model_copy(update={"air": settings})
    features = features_of(encoder, motion, CPU)
    found = part_agreement(encoder, features, CPU)
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, CPU)
    k = encoder.config.air.alr.k
    expected = reference(encoder, clips.whole(torch.arange(len(clips))), features.scales["x"].numpy(), 5, k)
    assert found.shape == (len(motion), 5)
    # float32 features: two neighbours that tie may change places in a few rows, never in many
    assert (np.abs(found.numpy() - expected) > 1e-6).mean() < 0.01
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
