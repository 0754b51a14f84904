import hashlib

import numpy as np
import pytest

from airfast.data.splits import split
from airfast.data.synthetic import EMOTIONS, synthetic_walkers
from airfast.errors import InputError


@pytest.fixture(scope="module")
def walkers():
    return synthetic_walkers(500)


def joint(motion, name):
    return motion.positions[:, motion.layout.joints.index(name)]


def test_shape_and_labels(walkers):
    walkers.check("walkers")
    assert len(walkers) == 500
    assert walkers.info["synthetic"] is True
    assert 60 <= walkers.lengths.min() < walkers.lengths.max() <= 150
    assert set(walkers.fps) == {30}
    assert np.bincount(walkers.labels).tolist() == [100] * 5
    assert sorted(set(walkers.subjects)) == [f"actor{i:02d}" for i in range(1, 11)]
    assert walkers.names[:2] == ("actor01_angry_01", "actor02_angry_01")
    assert len(set(walkers.names)) == 500


def test_the_seed_decides_everything():
    assert np.array_equal(synthetic_walkers(20, 3).positions, synthetic_walkers(20, 3).positions)
    assert not np.array_equal(synthetic_walkers(20, 3).positions[:60], synthetic_walkers(20, 4).positions[:60])


def test_every_machine_gets_the_same_numbers():
    # Positions are multiples of 0.1 mm. The digest changes only with the generator, and then the demo's figures do too.
    tenths = np.round(synthetic_walkers(10).positions.astype(np.float64) * 10_000).astype("<i8")
    assert hashlib.sha256(tenths.tobytes()).hexdigest()[:16] == "8c8a8225620a3106"


def test_bones_keep_their_length(walkers):
    parents = walkers.layout.parents
    bones = np.linalg.norm(walkers.positions[:, 1:] - walkers.positions[:, parents[1:]], axis=-1)
    for clip in np.split(bones, walkers.offsets[1:]):
        assert np.ptp(clip, axis=0).max() < 4e-4  # the rounding of both ends to 0.1 mm


def test_feet_stand_on_the_floor_and_do_not_slide(walkers):
    feet = np.stack([joint(walkers, "left_foot"), joint(walkers, "right_foot")], axis=1)
    assert feet[..., 1].min() >= 0
    assert feet[..., 1].min(axis=1).max() < 0.05  # one of them is always down, or on its heel
    for start, length in zip(walkers.offsets, walkers.lengths, strict=True):
        clip = feet[start : start + length]
        speed = np.linalg.norm(np.diff(clip[..., [0, 2]], axis=0), axis=-1)  # metres a frame
        assert speed.min(axis=1).max() < 5e-3


def test_knees_and_elbows_bend_one_way(walkers):
    for side in ("left", "right"):
        hip, knee, ankle = (joint(walkers, f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        across = joint(walkers, "left_hip") - joint(walkers, "right_hip")
        bend = (np.cross(knee - hip, ankle - knee) * across).sum(axis=1)
        assert (bend > 0).all()


def test_emotions_differ_as_the_studies_say(walkers):
    pelvis, head, neck = joint(walkers, "pelvis"), joint(walkers, "head"), joint(walkers, "neck")
    tilt = np.linalg.norm((head - neck)[:, [0, 2]], axis=1)
    speed, pitch = {}, {}
    for label, emotion in enumerate(EMOTIONS):
        clips = [slice(o, o + n) for o, n in zip(walkers.offsets, walkers.lengths, strict=True)]
        own = [clip for clip, of in zip(clips, walkers.labels, strict=True) if of == label]
        paths = [pelvis[clip][[0, -1]] for clip in own]
        speed[emotion] = np.mean([np.linalg.norm(b - a) for a, b in paths]) / np.mean([c.stop - c.start for c in own])
        pitch[emotion] = np.mean([tilt[clip].mean() for clip in own])
    assert speed["angry"] > speed["neutral"] > speed["sad"]  # Montepare 1987, Gross 2012
    assert speed["happy"] > speed["neutral"]
    assert min(speed, key=speed.get) == "sad"  # Michalak 2009
    assert max(pitch, key=pitch.get) == "sad"  # Gross 2012, Roether 2009
    assert min(pitch, key=pitch.get) == "happy"


def test_learnable_across_actors_but_not_trivial(walkers):
    """Hand-made statistics and a nearest class mean on unseen actors: above chance (20 %), far from perfect."""
    rows = []
    for i in range(len(walkers)):
        clip = walkers.clip(i)
        still = clip - clip[:, :1]
        rows.append(
            np.concatenate([still.mean(0)[:, 1], still.std(0).ravel(), np.abs(np.diff(clip, axis=0)).mean(0).ravel()])
        )
    features = np.array(rows)
    scores = []
    for seed in range(5):
        train, test = split(walkers, "subject", seed)
        scale = features[train].std(0) + 1e-9
        means = np.stack([features[train][walkers.labels[train] == c].mean(0) for c in range(5)])
        distance = (((features[test][:, None] - means) / scale) ** 2).sum(-1)
        scores.append((distance.argmin(1) == walkers.labels[test]).mean())
    assert 0.45 < np.mean(scores) < 0.9


def test_no_clips():
    with pytest.raises(InputError, match="expected at least 1 clip, found 0"):
        synthetic_walkers(0)


def test_few_clips():
    assert len(synthetic_walkers(1)) == 1
