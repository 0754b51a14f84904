import torch

from airfast.models.inputs import InputStage, tokenise
from airfast.skeletons.layout import load_layout
from airfast.skeletons.modalities import MODALITIES, bone, frame_difference, parent_or_self, read_modality

LAYOUT = load_layout("gait16")
CLIPS = torch.randn(5, 6, 4, 16, generator=torch.Generator().manual_seed(0)) * 3 + 1  # (B, C, T, J)


def test_tokens_hold_the_coordinates_of_a_frame_and_of_a_joint():
    values = CLIPS[:, :3]
    tokens = tokenise(values)
    for b, t, j in ((0, 0, 0), (2, 3, 7), (4, 1, 15)):
        assert torch.equal(tokens.temporal[b, t, 3 * j : 3 * j + 3], values[b, :, t, j])
        assert torch.equal(tokens.spatial[b, j, 3 * t : 3 * t + 3], values[b, :, t, j])


def test_part_skeletons_are_means_of_their_joints():
    stage = InputStage(LAYOUT, ("joint",))
    pooled = stage.read(CLIPS, "ha", ("joint",))[0]  # (B, 3, T, 5)
    for part in range(5):
        members = [joint for joint, owner in enumerate(LAYOUT.high) if owner == part]
        torch.testing.assert_close(pooled[..., part], CLIPS[:, :3][..., members].mean(-1))


def test_modalities():
    positions, velocities = CLIPS[:, :3], CLIPS[:, 3:]
    child = next(joint for joint, parent in enumerate(LAYOUT.parents) if parent >= 0)
    parents = parent_or_self(LAYOUT.parents)
    difference = bone(positions, parents)
    assert torch.equal(difference[..., child], positions[..., child] - positions[..., LAYOUT.parents[child]])
    assert not difference[..., LAYOUT.root].any()
    motion = frame_difference(positions)
    assert torch.equal(motion[:, :, 1], positions[:, :, 2] - positions[:, :, 1])
    assert not motion[:, :, -1].any()
    assert torch.equal(read_modality(CLIPS, "motion", parents), velocities)
    assert torch.equal(read_modality(positions, "motion", parents), motion)


def test_standardised_over_all_batches():
    stage = InputStage(LAYOUT, MODALITIES)
    stage.fit(CLIPS.split(2))
    for scale in stage.scales:
        for modality, tokens in stage(CLIPS, scale).items():
            columns = tokens.temporal.flatten(0, 1)  # (B·T, 3·P)
            torch.testing.assert_close(columns.mean(0), torch.zeros(columns.shape[1]), atol=1e-4, rtol=0)
            moving = columns.std(0) > 0
            if modality != "bone":  # the root's bone never moves
                assert moving.all()
            deviation = columns[:, moving].std(0, correction=0)
            torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-3, rtol=0)


def test_unfitted_it_is_the_identity():
    stage = InputStage(LAYOUT, ("motion",))
    assert torch.equal(stage(CLIPS, "x")["motion"].temporal, tokenise(CLIPS[:, 3:]).temporal)
