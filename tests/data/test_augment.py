import torch

from airfast.data import augment
from airfast.skeletons.layout import load_layout

MIRROR = torch.tensor(load_layout("gait16").mirror)
CLIPS = torch.randn(200, 6, 4, 16, generator=torch.Generator().manual_seed(0))  # (B, C, T, J)


def seeded():
    return torch.Generator().manual_seed(1)


def test_transform_is_a_matrix_product_at_every_joint_and_frame():
    matrices = torch.randn(200, 3, 3, generator=seeded())
    same = augment.transform_coordinates(CLIPS, matrices)
    for b, t, j in ((0, 0, 0), (150, 3, 9)):
        for half in (slice(0, 3), slice(3, 6)):  # positions and velocities alike
            torch.testing.assert_close(same[b, half, t, j], matrices[b] @ CLIPS[b, half, t, j])


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


def test_corruption_zeroes_six_joints_in_ten_or_mixes_them_by_one_matrix():
    corrupted = augment.corrupt_joints(CLIPS, seeded())
    kept = (corrupted == CLIPS).all(dim=2).all(dim=1)  # (B, J), bit for bit
    assert (kept.sum(1) == 6).all()  # 16 − round(0.6 · 16)
    assert 1 < kept.float().mean(0).mul(16).min() < kept.float().mean(0).mul(16).max() < 11  # any joint: 6 on average
    zeroed = (corrupted == 0).all(dim=2).all(dim=1)
    assert set(zeroed.sum(1).tolist()) == {0, 10}
    assert 60 < zeroed.any(dim=1).sum() < 140  # of 200, a fair coin: 5.7 standard deviations
    mixed = torch.flatten(~zeroed.any(dim=1)).nonzero()[:, 0].tolist()
    matrices = []
    for clip in mixed:  # the one matrix that takes all chosen triples to theirs, of positions and velocities alike
        before, after = (
            each[clip].unflatten(0, (2, 3))[..., ~kept[clip]].transpose(0, 1).flatten(1).double()
            for each in (CLIPS, corrupted)
        )
        matrix = after @ torch.linalg.pinv(before)
        torch.testing.assert_close(matrix @ before, after, atol=1e-5, rtol=1e-5)
        matrices.append(matrix)
    found = torch.stack(matrices)
    assert found.abs().max() <= 1 + 1e-5
    assert found.std(0).min() > 0.45  # U(−1, 1) has 0.58; another matrix for every clip


def test_shears_have_ones_on_the_diagonal():
    matrices = augment.shears(CLIPS, seeded())
    assert torch.equal(matrices.diagonal(dim1=1, dim2=2), torch.ones(200, 3))
    assert matrices.abs().max() <= 1


def test_family_shears_or_corrupts():
    views = augment.family(CLIPS[:, :3], seeded())
    corrupted = (views == 0).all(dim=2).all(dim=1).any(dim=1)
    assert 25 < corrupted.sum() < 75  # of 200 a quarter is zeroed: 4.1 standard deviations
