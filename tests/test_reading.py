"""What is refused before it is read: too large, promising too much, or unpacking to too much; and what is cut short."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airfast.config import load_config
from airfast.data.readers.choose import read_file
from airfast.errors import LONGEST, InputError, one_line, shown
from airfast.labels import load_features
from airfast.reading import NotJson, parse_json, read_bytes, read_json
from airfast.record import Schema, opened, read_record, sealed, write_record


def header_of(shape, descr="<f4"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize("shape", [(10**7, 10**6, 3), (2, 3, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_an_array_that_promises_more_than_the_file_holds(tmp_path, shape, packed):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("features.npy", header_of(shape) + bytes(8))
    else:
        path.write_bytes(header_of(shape) + bytes(8))
    for read in (load_features, lambda path: read_file(path, "a")):
        with pytest.raises(InputError, match=r"promises .* bytes, and the file has"):
            read(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_promises_to_be_long_is_not_made_room_for(tmp_path, packed):
    path = tmp_path / ("a.npz" if packed else "train_data_joint.npy")
    data = np.lib.format.magic(2, 0) + (2 * 10**9).to_bytes(4, "little") + b"{}"
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("positions.npy", data)
    else:
        path.write_bytes(data)
    for read in (load_features, lambda path: read_file(path, "a")):
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match=r"promises a header of 2,000,000,000 bytes, and the file has 14"):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 1e7
        finally:
            tracemalloc.stop()


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("features.npy", "w") as member:
        member.write(header_of((7 * 10**7, 1)))
        for _ in range(28):
            member.write(bytes(10**7))
    assert path.stat().st_size < 10**6
    with pytest.raises(InputError, match=r"an archive of 0\.3 MB that unpacks to 280 MB"):
        load_features(path)


def test_a_table_that_unpacks_to_too_much(tmp_path):
    path = tmp_path / "bomb.parquet"
    column = pa.array(np.zeros(2 * 10**7, np.float32))
    pq.write_table(pa.table({"a": column, "b": column}), path)
    assert path.stat().st_size < 10**6
    with pytest.raises(InputError, match=r"a table of 0\.\d MB that unpacks to 320 MB"):
        load_features(path)


def test_arrays_of_objects_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        load_features(tmp_path / "a.npy")


def test_a_file_beyond_its_bound_is_not_read(tmp_path):
    path = tmp_path / "long.bvh"
    with path.open("wb") as file:
        file.truncate(2 * 10**9)  # a hole: it takes no disk
    with pytest.raises(InputError, match=r"2,000 MB, more than the 537 MB"):
        read_file(path, "long")
    with pytest.raises(InputError, match="more than the 1 MB"):
        load_config("demo", path)
    path.write_bytes(b"abc")
    assert read_bytes(path, 3) == b"abc"


@pytest.mark.parametrize(("text", "reason"), [("9" * 5000, "digits"), ("[" * 100_000, "deeply"), ("{", "Expecting")])
def test_json_beyond_bounds(tmp_path, text, reason):
    with pytest.raises(NotJson, match=f"not JSON: .*{reason}"):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json.*: not JSON"):
        read_json(tmp_path / "a.json")


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


KEYS = ("seed", "method", "train.epochs", "modalities", "air.heads", "nothing", "inputs", "split.kind")
VALUES = ("9" * 5000, "[" * 1100 + "]" * 1100, "[a, b]", "{a: 1}", "!!python/object:os.system x", "x" * 9000)


@pytest.mark.parametrize("key", KEYS)
def test_overrides_of_any_value_end_in_a_short_line(key):
    for value in VALUES if key == "seed" else VALUES[2:]:  # what is no YAML is none for every key
        with pytest.raises(InputError) as found:
            load_config("demo", overrides=(f"{key}={value}",))
        assert len(str(found.value)) < 500
        assert "\n" not in str(found.value)


@pytest.mark.parametrize("value", ["9" * 400, ".inf", ".nan", "1e400"])
@pytest.mark.parametrize("key", ["seed", "train.epochs", "train.lr", "inputs.frames", "air.mgaa.weight", "air.warmup"])
def test_numbers_that_nothing_could_be_made_of(key, value):
    with pytest.raises(InputError, match=f"config: {key}"):
        load_config("demo", overrides=(f"{key}={value}",))


def test_a_yaml_that_multiplies_is_refused_at_once(tmp_path):
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMB + "modalities: *i\n")
    with pytest.raises(InputError) as found:
        load_config("demo", path)
    assert len(str(found.value)) < 400


def test_what_is_quoted_is_short_and_plain():
    assert len(shown(["x" * 10**6] * 10**6)) < 700
    assert one_line("a\nb\x1b[31m\u202e") == r"a\nb\x1b[31m\u202e"
    long = one_line("start " + "x" * 10**6 + " end")
    assert len(long) < LONGEST + 10
    assert long.startswith("start x")
    assert long.endswith("x end")


class Pair(Schema):
    number: float
    names: list[str] = []  # noqa: RUF012 (a schema's default is copied)


def test_a_record_is_what_was_written(tmp_path):
    path = tmp_path / "r.json"
    write_record(path, {"number": 0.1, "names": ["é", "\n"]})
    assert read_record(path, Pair) == {"number": 0.1, "names": ["é", "\n"]}
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))  # laid out anew it is the same
    assert read_record(path, Pair)["number"] == 0.1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"number": 2.0, "seal": "0" * 32}, "do not match their seal"),
        ({"number": 2.0, "seal": None}, "do not match their seal"),
        ({"number": "2"}, "number: Input should be a valid number"),
        ({"number": True}, "number: Input should be"),
        ({"number": 2.0, "names": "ab"}, "names: Input should be a valid list"),
        ({"number": 2.0, "names": ["a", 3]}, r"names\.1: Input should be a valid string"),
        ({"number": 2.0, "sael": "x"}, "sael: Extra inputs"),
        ({}, "number: Field required"),
        ([], "expected an object, found list"),
    ],
)
def test_a_record_that_is_another(tmp_path, record, reason):
    (tmp_path / "r.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"r\.json: .*{reason}"):
        read_record(tmp_path / "r.json", Pair)


def test_a_record_from_before_seals_opens():
    assert opened({"number": 3}, Pair) == ({"number": 3}, False)
    assert opened(json.loads(sealed({"number": 3})), Pair) == ({"number": 3}, True)
