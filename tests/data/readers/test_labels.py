import pytest

from airfast.data.readers.labels import Columns, match_rows, read_labels
from airfast.errors import InputError


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_rows_and_their_lines(write):
    path = write("\ufefffile,label,subject,content,split\na.bvh,sad,p1,walk,train\n\n./b\\c.bvh, ,,,\n")
    first, second = read_labels(path, Columns())
    assert (first.line, first.file, first.label, first.subject, first.group, first.split) == (
        2, "a.bvh", "sad", "p1", "walk", "train",
    )  # fmt: skip
    assert (second.line, second.file, second.label, second.subject) == (4, "b/c.bvh", "", "")


@pytest.mark.parametrize("mark", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_other_marks_between_fields_and_other_encodings(tmp_path, mark, encoding):
    path = tmp_path / "labels.csv"
    path.write_bytes(f"label{mark}file\r\nmüde{mark}a.bvh\r\n".encode(encoding))
    (row,) = read_labels(path, Columns())
    assert (row.file, row.label, row.line) == ("a.bvh", "müde", 2)


@pytest.mark.parametrize("before", ["/home/me/data/", "C:\\data\\", "raw/", ""])
def test_folders_that_all_rows_begin_with_may_stand_before_or_be_missing(write, before):
    found, unmatched = match(write, ["s1/a.bvh", "s2/a.bvh"], f"{before}s1/a.bvh", f"{before}s2/a.bvh")
    assert {name: row.line for name, row in found.items()} == {"s1/a.bvh": 2, "s2/a.bvh": 3}
    found, _ = match(write, ["take/s1/a.bvh", "take/s2/a.bvh"], f"{before}s1/a", f"{before}s2/a")
    assert list(found) == ["take/s1/a.bvh", "take/s2/a.bvh"]
    assert unmatched == []


def test_a_folder_that_is_another_is_not_dropped(write):
    found, unmatched = match(write, ["s1/a.bvh"], "s1/a.bvh", "s2/a.bvh")
    assert (list(found), [row.file for row in unmatched]) == (["s1/a.bvh"], ["s2/a.bvh"])


def test_other_columns(write):
    path = write("file,mood,who,group,take\na,sad,p1,g,t\n")
    assert read_labels(path, Columns("mood", "who", "take"))[0].group == "t"
    (row,) = read_labels(path, Columns("mood"))
    assert (row.subject, row.group) == ("", "g")  # `group` stands in for `content`


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("", Columns(), r"labels\.csv:1: expected a column 'file', found an empty file"),
        ("name,label\n", Columns(), r"labels\.csv:1: expected a column 'file', found name, label"),
        ("file,emotion\n", Columns(), "expected a column 'label', found file, emotion"),
        ("file,label\n", Columns(subject="who"), "expected a column 'who'"),
        ("file,label\n", Columns(group="what"), "expected a column 'what'"),
        ("file,label\na,x\nb\n", Columns(), r"labels\.csv:3: expected 2 fields, found 1"),
        ("file,label\na,x,y\n", Columns(), r"labels\.csv:2: expected 2 fields, found 3"),
        ("file,label\n,x\n", Columns(), r"labels\.csv:2: expected a file name, found nothing"),
    ],
)
def test_bad_label_files(write, text, columns, message):
    with pytest.raises(InputError, match=message):
        read_labels(write(text), columns)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_labels(path, Columns())


def match(write, names, *files):
    path = write("file,label\n" + "".join(f"{file},x\n" for file in files))
    return match_rows(read_labels(path, Columns()), names, path)


@pytest.mark.parametrize("file", ["s1/walk.bvh", "s1/walk", "walk.bvh", "walk"])
def test_a_clip_is_found_by_path_or_name_with_or_without_ending(write, file):
    found, unmatched = match(write, ["s1/walk.bvh", "s1/run.bvh"], file)
    assert list(found) == ["s1/walk.bvh"]
    assert unmatched == []


def test_the_exact_path_wins(write):
    found, _ = match(write, ["walk.bvh", "s1/walk.bvh"], "walk.bvh", "s1/walk.bvh")
    assert {name: row.line for name, row in found.items()} == {"walk.bvh": 2, "s1/walk.bvh": 3}


def test_rows_without_a_clip_are_returned(write):
    found, unmatched = match(write, ["a.bvh"], "b.bvh", "a.bvh")
    assert (list(found), [row.line for row in unmatched]) == (["a.bvh"], [2])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["s1/a.bvh", "s1/a.bvh"], r"labels\.csv:3: 's1/a\.bvh' has a row already, on line 2"),
        (["s1/a.bvh", "s1/a"], r"labels\.csv:3: clip 's1/a\.bvh' has a row already, on line 2"),
        (["a.bvh"], r"labels\.csv:2: 'a\.bvh' matches 2 clips: s1/a\.bvh, s2/a\.bvh"),
    ],
)
def test_duplicate_and_ambiguous_rows(write, files, message):
    with pytest.raises(InputError, match=message):
        match(write, ["s1/a.bvh", "s2/a.bvh"], *files)
