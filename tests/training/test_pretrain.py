import dataclasses
import json
import os
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from airfast.ablation.ablate import STUDIES
from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.device import pick_device
from airfast.errors import InputError, NonFinite, Note
from airfast.labels import generate_labels
from airfast.labels.stability import stability
from airfast.methods.air import amdl
from airfast.methods.air.air import all_features
from airfast.methods.method import Epoch
from airfast.runs.checkpoint import STATE, read
from airfast.runs.folder import read_metrics
from airfast.training.step import TrainingStep
from tests.conftest import TINY

pretraining = sys.modules["airfast.training.pretrain"]  # the package's own name ``pretrain`` is the function
pretrain = pretraining.pretrain
CPU = torch.device("cpu")


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def without_times(run):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(run)]


@pytest.fixture(scope="module")
def finished(walkers, tmp_path_factory):
    return pretrain(walkers, load_config("demo", overrides=TINY), tmp_path_factory.mktemp("run"), "cpu")


def test_a_run_folder_holds_everything(finished, walkers):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.yaml",
        "split.json",
        "environment.json",
        "metrics.jsonl",
        "labels",
        "encoder.safetensors",
        "state.safetensors",
        "state.before.safetensors",
    }
    lines = metrics(finished)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"intra", "inter", "vcreg", "loss", "lr", "seconds"} <= lines[0].keys()
    assert "clusters" not in lines[1]  # the warm-up has two epochs
    assert {"class_x", "class_ha", "clusters", "noise_share", "mean_agreement", "ami_class"} <= lines[-1].keys()
    assert lines[-1]["seconds"].keys() == {"features", "labels", "training"}
    frame = pd.read_parquet(finished / "labels" / "epoch_0006.parquet")
    assert list(frame.columns) == ["sample", "label", "agreement", "core", "cluster_size"]
    sides = json.loads((finished / "split.json").read_text())
    assert list(frame["sample"]) == sides["train"]
    assert set(sides["train"]) | set(sides["test"]) == set(walkers.names)


def test_every_term_is_in_the_loss(finished):
    terms = ("intra", "inter", "vcreg", "class_x", "class_ha")
    for line in metrics(finished):
        assert line["loss"] == pytest.approx(sum(line.get(term, 0) for term in terms), rel=1e-5)


def test_resumed_run_equals_the_uninterrupted_one(finished, walkers, tiny, tmp_path):
    class Interrupted(Exception):
        pass

    def stop_after_four(line):  # one epoch past the state saved at epoch 3, as a real interruption would be
        if line["epoch"] == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        pretrain(walkers, tiny(), tmp_path, "cpu", report=stop_after_four)
    pretrain(walkers, tiny(), tmp_path, "cpu")
    assert without_times(tmp_path) == without_times(finished)
    ours, theirs = (read(run / STATE)[0] for run in (tmp_path, finished))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run, to be damaged."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_log_that_is_whole_is_not_touched(copied, walkers, tiny):
    before = (copied / "metrics.jsonl").stat()
    pretrain(walkers, tiny(), copied, "cpu")
    after = (copied / "metrics.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_torn_last_line_is_dropped_and_said(copied, walkers, tiny):
    log = copied / "metrics.jsonl"
    whole = log.read_text()
    log.write_text(whole + whole.splitlines()[-1].replace('"epoch": 6', '"epoch": 7')[:40])
    with pytest.warns(Note, match=r"metrics\.jsonl: line 7 was not written to its end"):
        pretrain(walkers, tiny(), copied, "cpu")
    assert log.read_text() == whole
    assert sorted(path.name for path in copied.glob(".*")) == []


def test_two_lines_of_an_epoch_are_repaired(copied, walkers, tiny):
    log = copied / "metrics.jsonl"
    whole = log.read_text()
    lines = whole.splitlines(keepends=True)
    log.write_text(lines[1] + "".join(lines[:4]) + "".join(lines[2:]))
    pretrain(walkers, tiny(), copied, "cpu")
    assert log.read_text() == whole


@pytest.mark.filterwarnings("ignore:.*was not written to its end")
@pytest.mark.parametrize("damage", ["deleted", "empty", "torn within", "a line lost"])
def test_a_log_that_misses_epochs_is_refused_unless_the_state_is_named(copied, walkers, tiny, damage):
    log = copied / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    missing = {"deleted": 6, "empty": 6, "torn within": 1, "a line lost": 1}[damage]
    log.unlink()
    if damage != "deleted":
        kept = {"empty": [], "torn within": [*lines[:5], lines[5][:30]], "a line lost": [*lines[:2], *lines[3:]]}
        log.write_text("".join(kept[damage]))
    message = rf"{missing} of the 6 epochs that the state has behind it are not in the log"
    with pytest.raises(InputError, match=rf"{message}; to go on without them: --resume .*state\.safetensors"):
        pretrain(walkers, tiny(), copied, "cpu")
    with pytest.warns(Note, match=message):
        pretrain(walkers, tiny(), copied, "cpu", resume=str(copied / STATE))
    assert len(metrics(copied)) == 6 - missing


def test_a_log_that_is_taken_away_ends_the_run(walkers, tiny, tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written \(No such file"):
        pretrain(walkers, tiny(), tmp_path, "cpu", report=lambda _: (tmp_path / "metrics.jsonl").unlink())


def test_a_run_folder_has_one_run_at_a_time(walkers, tiny, tmp_path):
    def second(_):
        with pytest.raises(InputError, match=f"process {os.getpid()} on .* is at work there"):
            pretrain(walkers, tiny(), tmp_path, "cpu")

    pretrain(walkers, tiny("train.epochs=3"), tmp_path, "cpu", report=second)
    assert [line["epoch"] for line in metrics(tmp_path)] == [1, 2, 3]


def test_a_file_that_is_no_state_is_refused(finished, walkers, tiny, tmp_path):
    with pytest.raises(InputError, match="not a training state"):
        pretrain(walkers, tiny(), tmp_path / "run", "cpu", resume=str(finished / "encoder.safetensors"))


def test_resume_never_and_another_configuration(finished, walkers, tiny):
    with pytest.raises(InputError, match="holds a run already"):
        pretrain(walkers, tiny(), finished, "cpu", resume="never")
    with pytest.raises(InputError, match=r"a run with train\.lr = 0\.001, not 0\.1"):
        pretrain(walkers, tiny("train.lr=0.1"), finished, "cpu")


@pytest.mark.parametrize(
    "overrides",
    [
        ("air.asp=false",),
        ("air.asp=la",),
        ("air.asp=ha", "air.partition=equal"),
        ("air.amdl=false",),
        ("air.alr.enabled=false",),
        ("modalities=[joint]",),
        ("inputs=paper", "inputs.frames=16"),
        ("air.mgaa.single_scales=all",),
        ("air.mgaa.vcreg=false",),
        ("air.heads=[x,la,ha]", "air.capacity=64"),
        ("air.cluster.feature=x", "air.cluster.outliers=drop"),
        ("air.cluster.outliers=singleton",),
        ("split.kind=subject", "air.nuisance=subject"),
    ],
)
def test_every_reading_of_the_paper_runs(walkers, tiny, tmp_path, overrides):
    config = tiny("train.epochs=3", "air.warmup=1", *overrides)
    lines = metrics(pretrain(walkers, config, tmp_path, "cpu"))
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in lines)
    assert ("class_x" in lines[-1]) == (config.air.amdl and lines[-1]["clusters"] >= 2)
    if config.modalities == ("joint",):
        assert lines[-1]["inter"] == 0


def test_eps_may_be_each_epochs_own(walkers, tiny, tmp_path, monkeypatch):
    asked = []

    def remember(rows, **options):
        asked.append((found := stability(rows, **options), rows, options))
        return found

    monkeypatch.setattr(amdl, "stability", remember)
    config = tiny("train.epochs=3", "air.warmup=1", "air.cluster.eps=auto")
    lines = metrics(pretrain(walkers, config, tmp_path, "cpu"))
    assert [line.get("eps") for line in lines] == [None, *(found.suggested for found, _, _ in asked)]
    for line, (found, rows, options) in zip(lines[1:], asked, strict=True):
        again = generate_labels(rows, eps=found.suggested, **options)
        assert torch.equal(found.chosen.labels, again.labels)
        assert (line["clusters"], found.chosen.eps) == (again.num_clusters, again.eps)
    assert options["k1"] == 8
    assert len(options["view"]) == 2
    assert "eps" not in metrics(pretrain(walkers, tiny("train.epochs=2", "air.warmup=1"), tmp_path / "told", "cpu"))[-1]


def test_parts_without_labels_leave_x_as_it_would_be_without_them(walkers, tiny, tmp_path):
    variants = {each.name: each.overrides for each in STUDIES["iv"].variants}
    made = {}
    for name in ("baseline", "+ ASP"):
        config = tiny("train.epochs=2", "train.checkpoint_every=2", *variants[name])
        pretrain(walkers, config, tmp_path / name, "cpu")
        made[name] = read(tmp_path / name / STATE)[0]
    start = pretraining.initial(config, walkers.layout).state_dict()
    of_x = [each for each in made["baseline"] if each.startswith("method.") and made["baseline"][each].ndim == 2]
    assert len(of_x) > 20
    for name in of_x:
        assert torch.equal(made["baseline"][name], made["+ ASP"][name]), name
        assert not torch.equal(made["baseline"][name], start[name.removeprefix("method.")]), name  # it has learnt
    own = [each for each in made["+ ASP"] if "part_backbone" in each and made["+ ASP"][each].ndim == 2]
    assert own
    for name in own:  # parts have not the numbers of X
        assert not torch.equal(made["+ ASP"][name], made["+ ASP"][name.replace("part_backbone", "backbone")])


def test_x_starts_alike_with_and_without_parts(walkers, tiny):
    alone, many = (
        pretraining.initial(tiny(f"air.asp={asp}", "air.alr.enabled=false"), walkers.layout) for asp in ("none", "both")
    )
    theirs = dict(many.named_parameters())
    for name, ours in alone.named_parameters():  # the cluster head of X too
        assert torch.equal(ours, theirs[name]), name
    first = [
        theirs[f"deployed.encoder.{name}.temporal.0.weight"].flatten()[:400]
        for name in ("embed_x.joint", "embed_parts.la")
    ]
    assert torch.corrcoef(torch.stack(first))[0, 1].abs() < 0.25  # 5 standard deviations of 400 numbers of their own


def test_a_loss_that_is_not_finite_names_epoch_and_batch(walkers, tiny):
    config = tiny()
    clips = DeviceClips.from_motion(walkers, config.inputs, CPU)
    state = pretraining.begin(config, walkers, clips)
    with torch.no_grad():
        next(state.method.projectors["joint"].parameters()).fill_(float("nan"))
    with pytest.raises(NonFinite, match="epoch 3, batch 1"):
        pretraining.train_epoch(TrainingStep(state, clips), Epoch(), epoch=2)


def test_too_few_clusters_leave_alignment_alone(walkers, tiny, tmp_path):
    config = tiny("air.cluster.eps=0.001", "train.epochs=3", "air.warmup=1")
    last = metrics(pretrain(walkers, config, tmp_path, "cpu"))[-1]
    assert last["clusters"] == 0
    assert "class_x" not in last


def test_labels_come_from_the_named_features_and_views(walkers, tiny):
    config = tiny("air.nuisance=none")
    clips = DeviceClips.from_motion(walkers, config.inputs, CPU)
    state = pretraining.begin(config, walkers, clips)
    features = all_features(state.method, clips)
    labels = state.method.relabel(features, state.optimiser)
    f = torch.cat([torch.nn.functional.normalize(features[s], dim=1) for s in ("x", "la", "ha")], 1) / 3**0.5
    plain = generate_labels(f, (features["x"], features["ha"]), k1=8, k2=3, agreement_k=5)
    assert torch.equal(labels.labels, plain.labels)
    assert torch.equal(labels.agreement, plain.agreement)
    # k1, k2 and k are those of TINY: 8, max(3, 8/5) and 5


def test_more_neighbours_than_clips_are_all_of_them(tiny):
    rows = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    features = {"x": rows, "la": rows.flip(0), "ha": rows.flip(0)}
    found = amdl.cluster(tiny("air.alr.k=500").air, features)
    assert (found.agreement == 1).all()  # both lists hold everybody else
    assert (amdl.cluster(tiny("air.alr.k=10").air, features).agreement < 1).any()


def test_the_log_compares_with_groups_where_there_are_two(walkers):
    two = dataclasses.replace(walkers, groups=("walk", "run") * (len(walkers) // 2))
    one = dataclasses.replace(walkers, groups=("walk",) * len(walkers))
    assert "ami_group" in amdl.LabelLog(two, CPU).known
    assert "ami_group" not in amdl.LabelLog(one, CPU).known


def test_clips_without_a_label_are_left_out_of_the_comparison_with_classes(walkers):
    labels, groups = walkers.labels.copy(), list(("walk", "run", "sit") * (len(walkers) // 3))
    labels[::7] = -1
    groups[::5] = [""] * len(groups[::5])
    some = dataclasses.replace(walkers, labels=labels, groups=tuple(groups))
    found = generate_labels(torch.randn(len(walkers), 8, generator=torch.Generator().manual_seed(0)), eps=0.9, k1=8)
    facts = amdl.label_quality(found, some)
    for name, known in (("ami_class", labels >= 0), ("ami_group", np.array(groups) != "")):
        truth = labels if name == "ami_class" else np.unique(groups, return_inverse=True)[1]
        assert facts[name] == pytest.approx(adjusted_mutual_info_score(truth[known], found.labels.numpy()[known]))
    none = dataclasses.replace(walkers, labels=np.full_like(labels, -1), groups=("",) * len(walkers))
    assert not {"ami_class", "ami_group"} & amdl.label_quality(found, none).keys()


def test_copies_on_both_sides_are_named_before_training(walkers, tiny, tmp_path):
    train, test = pretraining.choose_split(walkers, tiny())
    frames = int(walkers.lengths.min())
    clips = [walkers.clip(i)[:frames] for i in range(len(walkers))]
    clips[test[0]] = clips[train[0]]
    twins = dataclasses.replace(walkers, positions=np.concatenate(clips), lengths=np.full_like(walkers.lengths, frames))
    with pytest.warns(Note, match=f"training side: {walkers.names[test[0]]} as {walkers.names[train[0]]}"):
        pretrain(twins, tiny("train.epochs=1", "air.warmup=0"), tmp_path, "cpu")


def test_centring_takes_away_what_is_shared_by_a_subject():
    shared, own = torch.randn(3, 4) * 10, torch.randn(9, 4)
    nuisance = torch.tensor([0, 0, 1, 1, 1, 0, 1, 1, 2])
    features = shared[nuisance] + own * torch.tensor([1.0, 5.0, 2.0])[nuisance][:, None]
    left = amdl.centred(features, nuisance)
    about = torch.stack(
        [
            row - sum(features[nuisance == of] - features.mean(0)) / ((nuisance == of).sum() + 1)
            for row, of in zip(features - features.mean(0), nuisance, strict=True)
        ]
    )
    for index in range(9):
        mates = about[nuisance == nuisance[index]]
        variance = (sum(mates**2) + 8 * (about**2).mean(0)) / (len(mates) + 8)  # 8: as documented
        torch.testing.assert_close(left[index], about[index] / variance.sqrt())


def test_centring_leaves_a_feature_that_never_varies_at_zero():
    features = torch.cat([torch.randn(6, 2), torch.full((6, 1), 3.0)], dim=1)
    left = amdl.centred(features, torch.tensor([0, 0, 0, 1, 1, 1]))
    assert left.isfinite().all()
    assert not left[:, 2].any()


def test_centring_by_what_is_not_known(walkers, tiny, tmp_path):
    unknown = dataclasses.replace(walkers, groups=("",) * len(walkers))
    with pytest.raises(InputError, match=r"air\.nuisance=group: the group of clip .* is not known"):
        pretrain(unknown, tiny("air.nuisance=group"), tmp_path / "run", "cpu")


def test_fewer_clips_than_k1(walkers, tiny, tmp_path):
    with pytest.raises(InputError, match=r"fewer than the 30 that air.cluster.k1 asks for"):
        pretrain(walkers.select(range(20)), tiny("air.cluster.k1=30", "split.kind=none"), tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


def test_unwritable_output(walkers, tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        pretrain(walkers, tiny(), tmp_path / "file" / "run", "cpu")


def test_cuda_is_never_replaced_silently():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match="torch sees no CUDA device"):
        pick_device("cuda")
