"""Every spelling of a frame is the same body; what is none is said."""

import json

import numpy as np
import pytest

from airfast.data.readers.frames import FrameLines
from airfast.errors import InputError

BODY = [[0.5, 1.0, -2.0], [3.0, 4.5, 5.0]]
NAN = float("nan")


def read(*lines):
    reader = FrameLines()
    return [frame for line in lines for frame in reader.read(line)]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(BODY),
        json.dumps([*BODY[0], *BODY[1]]),
        json.dumps({"joints": BODY}),
        json.dumps({"joints": [dict(zip("xyz", each, strict=True)) for each in BODY]}),
        "0.5,1,-2,3,4.5,5",
    ],
)
def test_bodies_in_order(line):
    (frame,) = read(line)
    np.testing.assert_array_equal(frame.points, BODY)
    assert (frame.names, frame.person, frame.time, frame.mediapipe) == (None, "", None, False)


def test_bodies_by_name_with_time_and_person():
    (said,) = read(json.dumps({"time": 1.5, "person": 3, "joints": {"b": BODY[1], "a": BODY[0]}}))
    assert (said.names, said.person, said.time) == (("b", "a"), "3", 1.5)
    np.testing.assert_array_equal(said.points, BODY[::-1])
    header = "# frame, timestamp_ms, b_z,b_x,b_y, person, a_x,a_y,a_z"
    (row,) = read(header, "7, 1500, 5,3,4.5, 3, 0.5,1,-2")
    assert (row.names, row.person, row.time) == (("b", "a"), "3", 1.5)
    np.testing.assert_array_equal(row.points, BODY[::-1])


def test_freemocaps_prefix_is_of_no_joint():
    (row,) = read("body_nose_x,body_nose_y,body_nose_z", "1,2,3")
    assert row.names == ("nose",)


@pytest.mark.parametrize("key", ["pose_world_landmarks", "poseWorldLandmarks", "worldLandmarks"])
def test_mediapipes_world_landmarks(key):
    body = [{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in BODY]
    (one,) = read(json.dumps({"timestamp_ms": 40, key: body}))
    assert one.mediapipe
    assert one.time == pytest.approx(0.04)
    np.testing.assert_array_equal(one.points, BODY)
    assert [each.person for each in read(json.dumps({key: [body, body[::-1]]}))] == ["0", "1"]
    assert [len(each.points) for each in read(json.dumps({key: []}))] == [0]


def test_what_was_lost():
    (frame,) = read(json.dumps({"joints": {"a": None, "b": [1, None, 3]}}))
    np.testing.assert_array_equal(frame.points, [[NAN] * 3, [1, NAN, 3]])
    (row,) = read("a_x,a_y,a_z", "1,,nan")
    np.testing.assert_array_equal(row.points, [[1, NAN, NAN]])
    assert [len(frame.points) for frame in read('{"joints": null}', '{"joints": []}')] == [0, 0]
    assert read("", "  ") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "expected an object with joints or pose_world_landmarks, found an empty one"),
        ('{"joint": [[1, 2, 3]]}', "found joint"),
        ('{"joints": 3}', "expected the joints of a frame as a list, found int"),
        ("[1, 2]", "expected 3 numbers a joint, found 2 numbers"),
        ("[[1, 2]]", "expected x, y and z of a joint, found \\[1, 2\\]"),
        ('[{"x": 1, "y": 2}]', "expected a coordinate"),
        ('[[1, "2", 3]]', "expected a coordinate, found '2'"),
        ("[[1, true, 3]]", "expected a coordinate, found True"),
        ('{"time": "now", "joints": [[1, 2, 3]]}', "expected a time, found 'now'"),
        ("1,2", "expected 3 numbers a joint, found 2 numbers"),
        ("a_x,a_y", "expected columns JOINT_x, _y and _z, found not all of a"),
        ("time,person", "found not all of any joint"),
        ("a_x,a_y,a_z,mood", "column 'mood': expected JOINT_x"),
    ],
)
def test_what_is_no_frame(line, message):
    with pytest.raises(InputError, match=message):
        read(line)


def test_numbers_under_names_that_were_not_understood_are_of_no_joint():
    reader = FrameLines()
    for line in ("a_x,a_y,a_w", "1,2,3"):
        with pytest.raises(InputError, match="column 'a_w': expected JOINT_x"):
            reader.read(line)


def test_a_bad_line_of_csv_leaves_the_next_one_readable():
    reader = FrameLines()
    assert reader.read("a_x,a_y,a_z") == []
    for bad in ("1,2", "1,2,x"):
        with pytest.raises(InputError, match="expected"):
            reader.read(bad)
    assert reader.read("1,2,3")[0].names == ("a",)
