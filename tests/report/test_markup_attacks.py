"""Names that are markup or script, in every place that a set has: shown as text on every page, obeyed on none."""

import dataclasses
import re

import pytest

from airfast.config import load_config
from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers
from airfast.evaluate.head import fit_head
from airfast.evaluate.report import evaluate
from airfast.report.build import build_report
from airfast.report.card import write_card
from airfast.report.dataset import describe_page
from airfast.report.view.build import build_view
from airfast.training.pretrain import pretrain
from tests.conftest import TINY
from tests.report.test_build import Page
from tests.report.test_view import BROWSER, browse

DO = "document.documentElement.dataset.hit=1"
CORPUS = (
    f"<script>{DO}</script>",
    f'"><script>{DO}</script>',
    f"</script><script>{DO}</script>",
    f"</style><script>{DO}</script>",
    f"</title><script>{DO}</script>",
    f"--><script>{DO}</script><!--",
    f"<!--<script>{DO}",
    f"]]><script>{DO}</script>",
    f"<img src=x onerror={DO}>",
    f'"><img src=x onerror="{DO}">',
    f"' onmouseover='{DO}' autofocus onfocus='{DO}' x='",
    f'" autofocus onfocus="{DO}" x="',
    f"<svg onload={DO}>",
    f"<svg><animate onbegin={DO} attributeName=x dur=1s>",
    f"<details open ontoggle={DO}>",
    f"<iframe srcdoc='<script>parent.{DO}</script>'></iframe>",
    f"javascript:{DO}",
    f"[x](javascript:{DO})",
    f"${{{DO}}}",
    f"{{{{{DO}}}}}",
    f"&lt;script&gt;{DO}&lt;/script&gt;",
    f"\\u003cscript\\u003e{DO}\\u003c/script\\u003e",
    f"'+{DO}+'",
    f"\u2028{DO}//",
)
SUBJECTS = CORPUS[:4]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A set whose every name is an attack, and a run of it with all that is made of it."""
    place = tmp_path_factory.mktemp("attacked")
    plain = synthetic_walkers(clips=60, seed=0)
    names = (*CORPUS, *plain.names[len(CORPUS) :])
    motion = dataclasses.replace(
        plain,
        names=names,
        classes=CORPUS[:5],
        subjects=tuple(SUBJECTS[i % 4] for i in range(60)),
        groups=tuple(CORPUS[8 + i % 3] for i in range(60)),
        info=plain.info | {"name": CORPUS[0], "note": CORPUS[1], "unit": CORPUS[2]},
    )
    motion.save(place / "set")
    motion = MotionSet.load(place / "set")
    run = pretrain(place / "set", load_config("demo", overrides=(*TINY, "train.epochs=3")), place / "run", "cpu")
    evaluate(run, "linear", seeds=1, device="cpu")
    fit_head(run, device="cpu")
    pages = {
        "view": build_view(run, names=[str(i) for i in range(6)], window=0.6, hop=0.3, device="cpu"),
        "report": build_report(run, device="cpu"),
        "set": describe_page(motion, place / "set.html"),
    }
    write_card(run, place / "card")
    return pages | {"card": place / "card" / "README.md"}


@pytest.mark.parametrize("name", ["report", "set"])
def test_a_page_without_scripts_has_none(attacked, name):
    text = attacked[name].read_text(encoding="utf-8")
    assert "dataset.hit" in text  # the names are there
    for tag, attributes in Page(text).elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form", "animate")
        assert not any(each.startswith("on") or each in ("srcdoc", "autofocus") for each in attributes)
        for each in ("href", "src"):
            assert attributes.get(each, "#").startswith(("#", "data:", "view.html")), attributes


def test_the_page_that_moves_has_its_own_scripts_alone(attacked):
    text = attacked["view"].read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 3
    assert "dataset.hit" in text


def test_a_card_has_no_markup_of_a_name(attacked):
    text = attacked["card"].read_text(encoding="utf-8")
    assert "dataset.hit" in text
    for line in text.split("\n---\n", 1)[1].splitlines():  # after the settings, which are YAML
        outside = re.sub(r"`[^`]*`", "", line)  # code is shown as it is
        assert not re.search(r"<(script|img|svg|iframe|details)\b", outside), line
        assert not re.search(r"(?<!\\)\]\(javascript:", outside), line


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("name", ["view", "report"])
def test_a_browser_obeys_none(attacked, name):
    shown = browse("--virtual-time-budget=1500", "--dump-dom", attacked[name].as_uri())
    assert "data-hit" not in shown.partition("<body")[0].lower()
    assert not re.search(r"<html[^>]*data-hit", shown)
    assert name != "view" or 'data-ready="true"' in shown
