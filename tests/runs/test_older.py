"""What older versions recorded still opens, and says the same."""

import pytest
import yaml

from airfast.config import load_config
from airfast.errors import InputError
from airfast.runs.older import as_recorded

# As version 0.1 wrote the preset ``demo`` into config.yaml, with two settings changed.
RECORDED = """
preset: demo
seed: 3
method: air
modalities: [joint, bone, motion]
asp: la
partition: appendages
nuisance: subject
amdl: true
inputs: {frames: 32, joints: native, facing: clip, velocity: 'true', standardise: true, pooling: [mean, max],
  augmentation: mild}
model: {hidden: 64, projection: 64, heads: [x, ha], head: mlp, capacity: auto, own_parts: true}
cluster: {feature: concat, metric: jaccard, eps: 0.5, min_samples: 4, k1: auto, k2: auto, outliers: mask, weight: 0.1,
  dbscan: auto, backend: auto}
alr: {enabled: true, k: 20}
mgaa: {single_scales: x, vcreg: true, weight: 5.0}
train: {epochs: 25, warmup: 8, batch_size: 32, lr: 0.001, lr_late: 0.0001, lr_drop: 0.7777777777777778,
  weight_decay: 0.0005, precision: auto, checkpoint_every: 10}
split: {kind: subject, test_fraction: 0.2}
"""


def recorded(**changes):
    return yaml.safe_load(RECORDED) | changes


def test_a_configuration_of_version_0_1_is_read_as_it_was_meant():
    now = load_config("demo", overrides=("air.asp=la", "air.cluster.eps=0.5"), seed=3)
    assert as_recorded(recorded()) == now
    assert as_recorded(now.record()) == now


def test_umurl_was_air_without_its_modules():
    config = as_recorded(recorded(method="umurl", asp="none", amdl=False))
    assert (config.method, config.air.scales, config.air.classified) == ("air", ("x",), ())


def test_a_supervised_run_reads_nothing_of_air():
    config = as_recorded(recorded(method="agcn", modalities=["joint"]))
    assert "air" not in config.record()
    assert config.method == "agcn"


def test_another_drop_than_by_ten_is_refused_by_name():
    old = recorded()
    old["train"]["lr_late"] = 5e-4
    with pytest.raises(InputError, match=r"train\.lr_late=0\.0005: recorded by an older version"):
        as_recorded(old)
