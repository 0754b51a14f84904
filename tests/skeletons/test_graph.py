import torch

from airfast.skeletons.graph import spatial_subsets


def test_subsets_are_the_joint_its_parent_and_its_children():
    parents = (-1, 0, 1, 1, 0)
    subsets = spatial_subsets(parents)
    for joint, parent in enumerate(parents):
        children = [child for child, above in enumerate(parents) if above == joint]
        for subset, members in enumerate(([joint], [] if parent < 0 else [parent], children)):
            expected = torch.zeros(5)
            expected[members] = 1 / max(1, len(members))
            assert torch.equal(subsets[subset, :, joint], expected)
