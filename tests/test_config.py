import pytest

from airfast.config import PAPER_INPUTS, PRESETS, Inputs, load_config
from airfast.errors import InputError


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_resolve_and_survive_yaml(preset, tmp_path):
    config = load_config(preset)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_config(file=tmp_path / "config.yaml") == config


def test_paper_presets_use_the_letter():
    for preset in ("paper", "paper-parity"):
        config = load_config(preset)
        assert config.inputs == PAPER_INPUTS
        rates = (config.train.rate(349), config.train.rate(350))
        assert (config.train.epochs, *rates) == (450, 5e-4, 5e-5)  # Section IV-C
        assert (config.train.batch_size, config.inputs.frames) == (128, 64)  # Section IV-C
        assert config.air.cluster.neighbours(1000) == (30, 6)  # METHOD 3


def test_later_layers_win(tmp_path):
    (tmp_path / "mine.yaml").write_text("train: {lr: 0.1, epochs: 7}\nseed: 3\n")
    config = load_config("small", tmp_path / "mine.yaml", ("train.lr=0.2", "modalities=[joint]"), seed=5)
    assert (config.train.lr, config.train.epochs, config.seed, config.modalities) == (0.2, 7, 5, ("joint",))


def test_inputs_by_name_can_be_refined():
    config = load_config(overrides=("inputs=paper", "inputs.frames=32"))
    assert config.inputs == PAPER_INPUTS.model_copy(update={"frames": 32})
    assert load_config("paper", overrides=("inputs=default",)).inputs == Inputs()


@pytest.mark.parametrize(
    ("asp", "scales", "appendage", "heads"),
    [
        ("both", ("x", "la", "ha"), "ha", ("x", "ha")),
        ("true", ("x", "la", "ha"), "ha", ("x", "ha")),
        ("ha", ("x", "ha"), "ha", ("x", "ha")),
        ("la", ("x", "la"), "la", ("x", "la")),  # where LA is alone it stands in for HA
        ("none", ("x",), None, ("x",)),
        ("false", ("x",), None, ("x",)),
    ],
)
def test_part_skeletons(asp, scales, appendage, heads):
    config = load_config(overrides=(f"air.asp={asp}",))
    assert (config.air.scales, config.air.appendage, config.air.classified) == (scales, appendage, heads)


def test_small_sets_get_small_neighbourhoods():
    cluster = load_config().air.cluster
    assert cluster.neighbours(140) == (8, 3)  # METHOD 8: 8–10 and 3 at 140 clips
    assert cluster.neighbours(8260) == (120, 24)  # the most, and a fifth of it


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("air.alr.kk=3",), "unknown key 'air.alr.kk' (did you mean 'k'?)"),
        (("trian.lr=1",), "unknown key 'trian' (did you mean 'train'?)"),
        (("air.clustr.eps=1",), "unknown key 'air.clustr' (did you mean 'cluster'?)"),
        (("batch_size=8",), "unknown key 'batch_size' (did you mean 'train.batch_size'?)"),
        (("train.eps=1",), "unknown key 'train.eps' (did you mean 'air.cluster.eps'?)"),
        (("split.xyz=1",), "unknown key 'split.xyz', known are kind, "),
        (("air.cluster.eps=1.5",), "air.cluster.eps: a Jaccard distance is at most 1"),
        (("air.cluster.eps=lots",), "air.cluster.eps: Input should be a valid number"),
        (("modalities=[joint,joint]",), "named twice"),
        (("air.heads=[x]",), "needs the head of HA"),
        (("inputs=strange",), "config: inputs"),
        (("method=st-gnc",), "method: unknown 'st-gnc' (did you mean 'st-gcn'?)"),
        (("method=umurl",), "AIR without its modules, -o air.asp=none"),
        (("method=cage", "air.asp=none"), "air is read by method=air, not by method=cage"),
        (
            ("contrast.queue=8",),
            "contrast is read by method=cage, crossclr, cmd, isc, scd-net, ssal, not by method=air",
        ),
        (("method=cage", "modalities=[bone]"), "method=cage reads joints alone"),
        (("cluster.eps=0.5",), "cluster is air.cluster now"),
        (("model.heads=[x]",), "model.heads is air.heads now"),
        (("train.warmup=3",), "train.warmup is air.warmup now"),
        (("train.drops=[0.9,0.5]",), "shares of the epochs, rising"),
        (("lr",), "expected key=value"),
        (("lr=[",), "not YAML"),
    ],
)
def test_wrong_settings_are_one_line(overrides, message):
    with pytest.raises(InputError) as caught:
        load_config(overrides=overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_preset_and_bad_files(tmp_path):
    with pytest.raises(InputError, match="did you mean 'small'"):
        load_config("smal")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(file=tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match="expected keys and values, found list"):
        load_config(file=tmp_path / "list.yaml")
