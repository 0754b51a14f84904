"""Folding keeps the features: of every modality, pooling and input, and of weights far from their start."""

import pytest
import torch

from airfast.config import load_config
from airfast.deploy.fold import fold
from airfast.errors import InputError
from airfast.models.deployed import DeployedEncoder
from airfast.skeletons.layout import load_layout

LAYOUT = load_layout("gait16")


def encoder(*overrides, scales=("x",)):
    """A small deployed encoder whose every weight, bias, norm and statistic is random."""
    torch.manual_seed(0)
    config = load_config("small", overrides=("inputs.frames=8", "model.hidden=32", *overrides))
    made = DeployedEncoder(config, LAYOUT, scales).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        made.inputs.fit([clips(made)])
    return made


def clips(made, count=3):
    channels = 6 if made.config.inputs.velocity == "true" else 3
    return torch.randn(count, channels, 8, 16, generator=torch.Generator().manual_seed(1)) + 0.5


@pytest.mark.parametrize(
    "overrides", [(), ("modalities=[joint]",), ("inputs.pooling=[max]",), ("inputs=paper", "inputs.frames=8")]
)
def test_the_same_features(overrides):
    made = encoder(*overrides)
    given = clips(made)
    with torch.no_grad():
        torch.testing.assert_close(fold(made)(given), made(given), atol=1e-5, rtol=0)


def test_the_same_features_at_the_papers_width():
    torch.manual_seed(0)
    made = DeployedEncoder(load_config("paper"), load_layout("kinect25")).eval()
    given = torch.randn(2, 3, 64, 25) * 0.3  # metres about the root
    with torch.no_grad():
        torch.testing.assert_close(fold(made)(given), made(given), atol=1e-5, rtol=0)


def test_bfloat16_is_near_and_answers_in_float32():
    made = encoder()
    given = clips(made)
    with torch.no_grad():
        found, exact = fold(made, torch.bfloat16)(given), made(given)
    assert found.dtype == torch.float32
    # bfloat16 carries 8 bits: 0.4 % an operation, a few of them one after the other.
    assert (found - exact).norm() < 0.03 * exact.norm()


def test_what_is_folded_is_left_as_it_was():
    made = encoder()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    fold(made, torch.bfloat16)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert all(each.requires_grad for each in made.parameters())


def test_only_scale_x_can_be_folded():
    with pytest.raises(InputError, match="only an encoder of scale x can be folded, not of x, la"):
        fold(encoder(scales=("x", "la")))
