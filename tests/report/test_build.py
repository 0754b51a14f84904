import base64
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from airfast.config import load_config
from airfast.report.build import CONTENTS, build_report
from airfast.report.markup import VOID, Html, element
from airfast.report.settings import configuration
from airfast.training.pretrain import pretrain
from tests.conftest import TINY


class Page(HTMLParser):
    """Collects elements and text, and checks that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in (*VOID, "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += "" if self.open and self.open[-1] == "style" else data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(finished_run, tmp_path_factory):
    return build_report(finished_run, tmp_path_factory.mktemp("page") / "report.html", device="cpu")


def test_the_page_needs_nothing_from_outside(page):
    text = page.read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    assert "@import" not in text
    assert not re.search(r"url\(", text)
    for tag, attributes in read(page).elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)


def test_pictures_are_inline_and_described(page):
    pictures = read(page).all("img")
    assert len(pictures) == 5  # confusion, labels, embeddings, losses, a clip
    for each in pictures:
        assert len(each["alt"]) > 30
        kind, _, body = each["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        svg = base64.b64decode(body)
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert b"prefers-color-scheme:dark" in svg


def test_headings_links_and_language(page):
    found = read(page)
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("h1")) == 1
    assert [each["id"] for each in found.all("h2")] == list(CONTENTS)
    assert [each["href"] for each in found.all("a")] == [f"#{key}" for key in CONTENTS]
    for cell in found.all("th"):
        assert cell["scope"] in ("col", "row")


def test_names_from_the_data_are_text(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert '<img src="http' not in text
    assert "&lt;script&gt;" in text
    assert "<script>" in read(page).text  # as the parser gives it back
    assert "sad & blue" in read(page).text


def test_it_says_what_it_must(page):
    text = read(page).text
    for piece in (
        "synthetic. No figure on this page says anything about people",
        "the same encoder untrained",
        "by statistics made by hand",
        "by the commonest class",
        "train.epochs=4",
        "no person was recorded",
        "training: torch",
        "median s",
        "AMI, class",
    ):
        assert piece in text


def test_a_bare_run_says_what_it_lacks(walkers, tmp_path):
    config = load_config("demo", overrides=(*TINY, "train.epochs=1"))
    run = pretrain(walkers, config, tmp_path / "run", "cpu")
    text = read(build_report(run, device="cpu")).text
    assert (run / "report.html").exists()
    assert "No protocol has been evaluated yet. airfast evaluate" in text
    assert "made no labels: they begin after 2 epochs of warm-up" in text
    assert "trained on a set in memory" in text
    assert "has not been measured yet" in text
    (run / "encoder.safetensors").unlink()
    (run / "metrics.jsonl").write_text("")
    text = read(build_report(run, device="cpu")).text
    assert "has no finished epoch yet" in text
    assert "encoder.safetensors: no such file" in text


def test_elements_escape_what_is_not_markup():
    assert element("p", "<b>", Html("<i>x</i>"), title='"&') == '<p title="&quot;&amp;">&lt;b&gt;<i>x</i></p>'


def test_changed_settings_are_marked():
    text = Page(configuration(load_config("small", overrides=("air.alr.k=7", "modalities=[joint]")))).text
    assert "with 2 settings changed: modalities=[joint], air.alr.k=7" in text
    assert "● air.alr.k" in text
    assert "neighbours compared by Eq. 1" in text
    assert "with nothing changed" in Page(configuration(load_config("paper"))).text
