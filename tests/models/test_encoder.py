"""Shapes, parameter counts and the plain-loop meaning of the encoder (METHOD 2)."""

import pytest
import torch

from airfast.config import Config, load_config
from airfast.methods.air.air import Air
from airfast.models.deployed import DeployedEncoder
from airfast.models.encoder import Encoder, TransformerLayer, sinusoids
from airfast.models.inputs import Tokens
from airfast.skeletons.layout import load_layout

KINECT = load_layout("kinect25")  # J = 25, the parity graph of METHOD 2


def parameters(module) -> int:
    return sum(each.numel() for each in module.parameters())


def formula(config: Config, joints: int) -> int:
    """P of METHOD 2."""
    h, z, t, m = config.model.hidden, config.model.projection, config.inputs.frames, len(config.modalities)
    d, capacity = 2 * h, config.air.capacity

    def emb(parts):
        return 2 * h * h + 8 * h + 3 * h * (parts + t)

    projector = 2 * d * d + 6 * d + d * z + z
    heads = len(config.air.heads) * (2 * d + d * capacity)
    return m * (emb(joints) + projector) + emb(10) + emb(5) + 2 * h * h + 12 * h * h + 20 * h + heads


# METHOD 2: true millions, millions in the paper's convention, deployed millions.
@pytest.mark.parametrize(
    ("modalities", "true", "paper", "deployed"),
    [("[joint]", 54.16, 45.76, 17.08), ("[joint,bone,motion]", 92.50, 84.11, 21.84)],
)
def test_parity_graph_has_the_parameters_of_table_1(modalities, true, paper, deployed):
    config = load_config("paper-parity", overrides=(f"modalities={modalities}",))
    with torch.device("meta"):
        graph = Air(config, KINECT)
        encoder = DeployedEncoder(config, KINECT)
    assert parameters(graph) == formula(config, 25)
    assert round(parameters(graph) / 1e6, 2) == true
    attention = 2 * (4 * 1024**2 + 4 * 1024)  # 8H² + 8H, which the paper's counter does not see
    assert round((parameters(graph) - attention) / 1e6, 2) == paper
    assert round(parameters(encoder) / 1e6, 2) == deployed


@pytest.mark.parametrize("pooling", [("max",), ("mean", "max")])
def test_feature_shapes(pooling):
    torch.manual_seed(0)
    encoder = Encoder({"x": 7, "la": 4}, ("joint", "motion"), frames=6, hidden=8, pooling=pooling)
    tokens = {
        "x": Tokens(torch.randn(3, 6, 21), torch.randn(3, 7, 18)),
        "la": Tokens(torch.randn(3, 6, 12), torch.randn(3, 4, 18)),
    }
    for scale in ("x", "la"):
        both = dict.fromkeys(("joint", "motion"), tokens[scale])
        assert encoder.multi(both, scale).shape == (3, encoder.width) == (3, 16 * len(pooling))
        assert encoder.single(tokens[scale], "joint", scale).shape == (3, encoder.width)


def test_transformer_layer_is_torchs_own():
    torch.manual_seed(0)
    ours = TransformerLayer(16)
    theirs = torch.nn.TransformerEncoderLayer(16, 1, 16, dropout=0.0, batch_first=True)
    theirs.self_attn.load_state_dict(
        {
            "in_proj_weight": ours.query_key_value.weight.data,
            "in_proj_bias": ours.query_key_value.bias.data,
            "out_proj.weight": ours.output.weight.data,
            "out_proj.bias": ours.output.bias.data,
        }
    )
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())
    tokens = torch.randn(2, 5, 16)
    torch.testing.assert_close(ours(tokens), theirs(tokens))


def test_sinusoids_are_the_formula():
    code = sinusoids(4, 6)
    for position in range(4):
        for pair in range(3):
            angle = torch.tensor(position / 10_000 ** (2 * pair / 6))
            torch.testing.assert_close(code[position, 2 * pair], torch.sin(angle))
            torch.testing.assert_close(code[position, 2 * pair + 1], torch.cos(angle))
