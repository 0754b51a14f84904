"""The page of a set says what is in it, with a clip of every class."""

from dataclasses import replace

import numpy as np
import pytest

from airfast.data.gate import copies, kept
from airfast.errors import InputError
from airfast.report.dataset import SHEET, counts, describe_page
from tests.report.test_build import Page


def test_the_page(walkers, tmp_path):
    twice = walkers.select([*range(20), 3])
    twice = replace(twice, names=(*twice.names[:-1], "again"))
    twice = replace(twice, info=twice.info | {"findings": kept(copies(twice)), "note": "CC0"})
    page = Page(describe_page(twice, tmp_path / "set.html").read_text())
    assert "copy: again: number for number" in page.text
    assert "CC0" in page.text
    pictures = page.all("img")
    shown = {walkers.classes[i] for i in twice.labels}
    assert len(pictures) == 1 + len(shown)  # lengths, and a strip a class
    for name in shown:
        assert any(name in each["alt"] for each in pictures)
    for tag, attributes in page.elements:
        assert tag != "script"
        assert attributes.get("src", "data:").startswith("data:")
    low, high = np.percentile(twice.positions[:, 5, 1] - twice.positions[:, twice.layout.root, 1], [1, 99])
    assert f"{low:.2f} to {high:.2f}" in page.text


def test_long_tables_are_cut_and_say_so():
    (one,) = counts(
        {"classes": {str(i): i for i in range(80)}, "subjects": {}, "groups": {}, "families": {}, "fps": {}}
    )
    assert "the 50 with most clips of 80" in one
    assert ">79<" in one
    assert ">29<" not in one


def test_a_set_without_labels_shows_its_first_clip(walkers, tmp_path):
    bare = replace(walkers.select([4, 5]), labels=np.array([-1, -1]), classes=())
    text = describe_page(bare, tmp_path / "set.html").read_text()
    assert f"the first clip: {bare.names[0]}" in text
    assert SHEET > 5
    with pytest.raises(InputError, match="expected a name that ends in"):
        describe_page(bare, tmp_path / "set.txt")
