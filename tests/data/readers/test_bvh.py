import numpy as np
import pytest

from airfast.data.readers.bvh import forward_kinematics, parse, read_bvh
from airfast.errors import InputError
from tests.data.bvh_text import CHANNELS, FIRST_ROW, HEADER, bvh
from tests.reference import bvh as reference


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "clip.bvh"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_nodes_and_rate(write):
    clip = read_bvh(write(bvh()))
    assert clip.names == ("base", "arm", "hand", "hand_end", "leg", "leg_end")
    assert clip.parents == (-1, 0, 1, 2, 0, 4)
    assert clip.positions.shape == (3, 6, 3)
    assert clip.fps == 30


def test_kinematics_agree_with_the_slow_reference(write):
    rows = np.random.default_rng(0).uniform(-180, 180, (7, CHANNELS)).round(4)
    path = write(bvh(rows.tolist()))
    nodes, _, values, notes = parse(path.read_text().splitlines(), path)
    assert notes == ()
    np.testing.assert_array_equal(values, rows)
    np.testing.assert_allclose(forward_kinematics(nodes, values), reference.positions(nodes, values), atol=1e-9)


def test_a_quarter_turn_worked_by_hand(write):
    # Base at (10, 20, 30), not at its OFFSET; a turn of 90 degrees about z takes the arm's +y to -x.
    row = [10, 20, 30, 90, 0, 0] + [0] * (CHANNELS - 6)
    clip = read_bvh(write(bvh([row])))
    np.testing.assert_allclose(clip.positions[0, 0], [10, 20, 30])
    np.testing.assert_allclose(clip.positions[0, 1], [9, 20, 30], atol=1e-12)
    np.testing.assert_allclose(clip.positions[0, 5], [12, 20, 30], atol=1e-12)


def test_a_single_position_channel_replaces_its_coordinate_only(write):
    row = [0] * CHANNELS
    row[10] = 7  # Yposition of the hand, second of its four channels
    clip = read_bvh(write(bvh([row])))
    np.testing.assert_allclose(clip.positions[0, 2], [0.5, 1 + 7, 0])


def test_line_ends_tabs_blank_lines_and_spaced_names(write):
    plain = read_bvh(write(bvh()))
    odd = bvh().replace("JOINT arm", "JOINT left  arm {").replace("left  arm {\n  {", "left  arm {")
    odd = odd.replace("  OFFSET", "\t\tOFFSET ").replace("Frames: 3", "Frames:\t3\n\n").replace("\n", "\r\n")
    clip = read_bvh(write("\ufeff" + odd + "\r\n\r\n"))
    assert clip.names[1] == "left arm"
    np.testing.assert_array_equal(clip.positions, plain.positions)


FOUND = {
    "lower case": bvh()
    .replace("HIERARCHY", "Hierarchy")
    .replace("ROOT", "Root")
    .replace("JOINT", "joint")
    .replace("End Site", "end site")
    .replace("MOTION", "Motion")
    .replace("Frame Time", "frame time")
    .replace("OFFSET", "Offset"),
    "named ends": bvh().replace("End Site", "End Site_of_it here"),
    "wrapped rows": "\n".join(
        line if i < FIRST_ROW - 1 else line.replace(" ", "\n", 3) for i, line in enumerate(bvh().splitlines())
    ),
    "control characters": bvh() + "\x1a\x00\x00",
    "UTF-16": bvh().encode("utf-16"),
}


@pytest.mark.parametrize("name", FOUND)
def test_files_as_they_are_found(write, name):
    plain, clip = read_bvh(write(bvh())), read_bvh(write(FOUND[name]))
    assert (clip.names, clip.parents, clip.fps, clip.notes) == (plain.names, plain.parents, plain.fps, ())
    np.testing.assert_array_equal(clip.positions, plain.positions)


def test_names_in_cp1252(write):
    assert read_bvh(write(bvh().replace("JOINT arm", "JOINT Fuß").encode("cp1252"))).names[1] == "Fuß"


@pytest.mark.parametrize("frames", [2, 4])
def test_one_row_more_or_fewer_is_noted(write, frames):
    clip = read_bvh(write(bvh(frames=frames)))
    assert len(clip.positions) == 3
    assert clip.notes == (f"'Frames: {frames}', and 3 rows of motion follow",)


@pytest.mark.parametrize(("seconds", "fps"), [("0.0333333", 30), ("0.008", 125), ("0.0083333", 120), ("0.04", 25)])
def test_rates(write, seconds, fps):
    assert read_bvh(write(bvh(seconds=seconds))).fps == fps


def test_a_rate_that_is_not_whole_is_kept(write):
    assert read_bvh(write(bvh(seconds="0.033366700"))).fps == pytest.approx(29.97, abs=1e-3)


def rows(change):
    found = [[float(r + c) for c in range(CHANNELS)] for r in range(3)]
    change(found)
    return bvh(found)


BAD = {
    "empty": ("", "not a BVH file: it is empty"),
    "text": ("hello\nworld\n", ":1: not a BVH file: expected HIERARCHY, found 'hello'"),
    "binary": (b"\x89PNG\xff\x00\x01", r"not a BVH file: not text \(byte 0\)"),
    "no motion": (HEADER.replace("MOTION\n", ""), ":29: expected a MOTION section"),
    "cut in the hierarchy": (
        HEADER.replace("}\nMOTION", "MOTION"),
        ":28: expected JOINT, End Site or }, found the end",
    ),
    "no root": (bvh(header=HEADER.replace("ROOT", "JOINT")), ":2: expected ROOT, found 'JOINT'"),
    "too deep": (
        "HIERARCHY\nROOT a {\nOFFSET 0 0 0 CHANNELS 0\n"
        + "".join(f"JOINT j{i} {{ OFFSET 0 0 0 CHANNELS 0\n" for i in range(3000))
        + "MOTION\n",
        "expected joints at most 200 deep, found 'j199'",
    ),
    "second root": (
        bvh(header=HEADER.replace("}\nMOTION", "}\nROOT b\nMOTION")),
        ":30: expected one body, found two roots, 'base' and 'b'",
    ),
    "bad offset": (bvh(header=HEADER.replace("OFFSET 0 1 0", "OFFSET 0 one 0")), ":8: expected a number, found 'one'"),
    "nan offset": (bvh(header=HEADER.replace("OFFSET 0 1 0", "OFFSET 0 nan 0")), ":8: expected a number, found 'nan'"),
    "bad channel": (bvh(header=HEADER.replace("3 Yrot", "3 Wrot")), ":9: expected one of Xposition.*found 'Wrotation'"),
    "channel count": (bvh(header=HEADER.replace("3 Yrot", "x Yrot")), ":9: expected the number of channels, found 'x'"),
    "channel twice": (bvh(header=HEADER.replace("3 Yrot", "3 Zrot")), ":9: a channel is listed twice"),
    "joint twice": (bvh(header=HEADER.replace("JOINT leg", "JOINT arm")), ":20: joint 'arm' is defined twice"),
    "no frames field": (bvh().replace("Frames:", "Rows:"), ":31: expected 'Frames: <number>', found 'Rows: 3'"),
    "no time": (bvh().replace("Frame Time", "Time"), ":32: expected 'Frame Time: <seconds>'"),
    "zero time": (bvh(seconds="0.0"), ":32: expected a positive Frame Time"),
    "fewer rows": (bvh(frames=5), ":31: 'Frames: 5' but 3 rows of motion follow"),
    "more rows": (bvh(frames=1), ":31: 'Frames: 1' but 3 rows of motion follow"),
    "no rows": (bvh([]), ":31: the clip has no frames"),
    "nan": (
        rows(lambda r: r[1].__setitem__(4, np.nan)),
        rf":{FIRST_ROW + 1}: expected a finite number in column 5, found 'nan'",
    ),
    "word": (
        bvh().replace(" 15\n", " fifteen\n"),
        rf":{FIRST_ROW + 2}: expected a finite number in column 14, found 'fifteen'",
    ),
    "overflow": (rows(lambda r: r[0].__setitem__(0, "1e999")), rf":{FIRST_ROW}: expected a finite number in column 1"),
    "missing": (rows(lambda r: r[2].pop()), rf":{FIRST_ROW + 2}: expected 14 numbers \(one a channel\), found 13"),
    "too many": (rows(lambda r: r[0].append(1)), rf":{FIRST_ROW}: expected 14 numbers \(one a channel\), found 15"),
    "all too many": (rows(lambda r: [x.append(1) for x in r]), rf":{FIRST_ROW}: expected 14 numbers .*found 15"),
    "balanced": (rows(lambda r: r[2].append(r[0].pop())), rf":{FIRST_ROW}: expected 14 numbers .*found 13"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_their_line(write, name):
    text, message = BAD[name]
    with pytest.raises(InputError, match=r"clip\.bvh.*" + message):
        read_bvh(write(text))


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.bvh: cannot be read"):
        read_bvh(tmp_path / "none.bvh")
