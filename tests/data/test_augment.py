import torch

from airfast.data import augment
from airfast.skeletons.layout import load_layout

MIRROR = torch.tensor(load_layout("gait16").mirror)
CLIPS = torch.randn(200, 6, 4, 16, generator=torch.Generator().manual_seed(0))  # (B, C, T, J)


def seeded():
    return torch.Generator().manual_seed(1)


def test_transform_is_a_matrix_product_at_every_joint_and_frame():
    matrices = torch.randn(200, 3, 3, generator=seeded())
    by_joint = torch.randn(200, 16, 3, 3, generator=seeded())
    same, own = augment.transform_coordinates(CLIPS, matrices), augment.transform_coordinates(CLIPS, by_joint)
    for b, t, j in ((0, 0, 0), (150, 3, 9)):
        for half in (slice(0, 3), slice(3, 6)):  # positions and velocities alike
            torch.testing.assert_close(same[b, half, t, j], matrices[b] @ CLIPS[b, half, t, j])
            torch.testing.assert_close(own[b, half, t, j], by_joint[b, j] @ CLIPS[b, half, t, j])


def test_turns_keep_lengths_and_heights():
    matrices = augment.turns(CLIPS, 0.3, seeded())
    torch.testing.assert_close(matrices @ matrices.transpose(1, 2), torch.eye(3).expand(200, 3, 3))
    turned = augment.transform_coordinates(CLIPS, matrices)
    torch.testing.assert_close(turned[:, 1], CLIPS[:, 1])
    angle = torch.atan2(matrices[:, 0, 2], matrices[:, 0, 0])
    assert angle.abs().max() <= 0.3


def test_mild_views_mirror_half_of_the_clips_and_swap_their_sides():
    views = augment.mild(CLIPS, MIRROR, seeded())
    back = views[..., MIRROR]
    height = CLIPS[:, 4]  # vertical velocity: untouched by mirror, turn and jitter but for which joint it is at
    kept = torch.isclose(views[:, 4], height, atol=1e-5).flatten(1).all(1)
    flipped = torch.isclose(back[:, 4], height, atol=1e-5).flatten(1).all(1)
    assert (kept ^ flipped).all()
    assert 60 < flipped.sum() < 140  # of 200, a fair coin: 5.7 standard deviations


def test_corruption_zeroes_three_joints_in_ten_and_distorts_as_many():
    corrupted = augment.corrupt_joints(CLIPS, seeded())
    zeroed = (corrupted == 0).all(dim=2).all(dim=1)  # (B, J)
    kept = (corrupted == CLIPS).all(dim=2).all(dim=1)
    assert (zeroed.sum(1) == 5).all()  # round(0.3 · 16)
    assert (kept.sum(1) == 6).all()  # 16 − round(0.6 · 16)


def test_shears_have_ones_on_the_diagonal():
    matrices = augment.shears(CLIPS, seeded())
    assert torch.equal(matrices.diagonal(dim1=1, dim2=2), torch.ones(200, 3))
    assert matrices.abs().max() <= 1


def test_family_shears_or_corrupts():
    views = augment.family(CLIPS[:, :3], seeded())
    corrupted = (views == 0).all(dim=2).all(dim=1).any(dim=1)
    assert 60 < corrupted.sum() < 140
