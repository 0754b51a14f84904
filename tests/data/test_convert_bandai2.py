import numpy as np
import pytest

from airfast.errors import InputError
from airfast.skeletons.layout import load_layout
from benchmarks.convert_bandai2 import convert
from tests.data.real import DATA, needs_bandai2

BANDAI = load_layout("bandai").joints


def archive(folder, joints=BANDAI):
    path = folder / "bandai2_positions.npz"
    pos = np.full((5, 21, 3), 1500, dtype=np.int16)
    root = np.array([[10, 999, 20]] * 5, dtype=np.float32)
    np.savez(path, pos_mm=pos, root_cm=root, joints=joints, files=["a.bvh", "b.bvh"], lengths=[2, 3], fps=30.0)
    return path


def table(folder, text="file,label,content\nb.bvh,old,walk\na.bvh,young,run\n"):
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_the_path_of_the_hips_is_added_but_not_its_height(tmp_path):
    motion = convert(archive(tmp_path), table(tmp_path))
    motion.check("x")
    np.testing.assert_allclose(motion.positions, np.broadcast_to([1.6, 1.5, 1.7], (5, 21, 3)), rtol=1e-6)
    assert (motion.labels.tolist(), motion.classes, motion.groups) == ([1, 0], ("old", "young"), ("run", "walk"))


def test_what_does_not_match_is_refused(tmp_path):
    with pytest.raises(InputError, match="0 rows without a clip, 1 clips without a row"):
        convert(archive(tmp_path), table(tmp_path, "file,label\na,x\n"))
    with pytest.raises(InputError, match="expected the joints of layout bandai, found"):
        convert(archive(tmp_path, ["Hips"]), table(tmp_path))


@needs_bandai2
def test_bandai2(tmp_path):
    motion = convert(DATA / "bandai2" / "bandai2_positions.npz", DATA / "bandai2" / "labels.csv")
    motion.check("bandai2")
    assert (len(motion), len(motion.positions), len(motion.classes)) == (2902, 384_931, 7)  # ../shared/data/README.md
