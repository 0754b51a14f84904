"""`airfast data describe SET --out PAGE`: a prepared set on one HTML page, with a clip of every class to look at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from airfast._version import __version__
from airfast.atomic import write_text
from airfast.data.describe import describe
from airfast.data.motion import MotionSet
from airfast.plots.canvas import COLOURS, new_figure, styled, target
from airfast.plots.skeleton import draw_strip
from airfast.report.markup import Html, document_head, element, paragraph, picture, section, table

SHEET = 12  # classes on the contact sheet, at most
ROWS = 50  # of a table of counts
SAID = {"classes": "class", "subjects": "subject", "groups": "group", "families": "family", "fps": "frames a second"}


def describe_page(motion: MotionSet, out: Path | str) -> Path:
    """Write what is in a set, and what is odd about it, as a page that needs no network; returns its path.

    Raises:
        InputError: another ending than .html, or a page that cannot be written.
    """
    out = target(out, (".html", ".htm"))
    facts = describe(motion)
    body = [
        element(
            "header",
            element("h1", facts["name"] or "A set without a name"),
            element("p", f"{facts['clips']} clips, {facts['seconds'] / 60:.1f} minutes", class_="lead"),
        ),
        element("main", *odd(facts), *counts(facts), *measures(motion, facts), *sheet(motion)),
        element("footer", f"Written by airfast {__version__}."),
    ]
    head = document_head(f"{facts['name']}: airfast set")
    write_text(out, f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{element("body", *body)}\n</html>\n')
    return out


def odd(facts: dict[str, Any]) -> list[Html]:
    """Licence, layout, and every finding in full."""
    about = [
        ["layout", f"{facts['layout']}, {len(facts['joints'])} joints"],
        ["licence and attribution", facts["note"] or "not stated"],
        ["synthetic", "yes: no person was recorded" if facts["synthetic"] else "no"],
        ["without a label", f"{facts['unlabelled']} of {facts['clips']} clips"],
    ]
    found = [element("li", line) for line in facts["warnings"]]
    listed = element("ul", *found) if found else paragraph("Nothing odd was found.")
    return [section("set", "The set", table("What it is", ["", ""], about, 2)), section("odd", "What is odd", listed)]


def counts(facts: dict[str, Any]) -> Iterator[Html]:
    """Clips by class, subject, group and rate."""
    for name, word in SAID.items():
        rows = sorted(facts[name].items(), key=lambda item: -item[1])
        if not rows:
            continue
        more = f", the {ROWS} with most clips of {len(rows)}" if len(rows) > ROWS else ""
        yield section(name, f"By {word}", table(f"Clips by {word}{more}", [word, "clips"], rows[:ROWS]))


def measures(motion: MotionSet, facts: dict[str, Any]) -> list[Html]:
    """Lengths of the clips, and where the joints are."""
    seconds = motion.lengths / motion.fps
    words = f"Clips last {seconds.min():.1f} to {seconds.max():.1f} s, half of them up to {np.median(seconds):.1f} s."
    tall = facts["body_height"]
    lengths = section("lengths", "Lengths", picture(draw_lengths(seconds), words, words))
    about = motion.positions - motion.positions[:, [motion.layout.root]]
    low, high = np.percentile(about, [1, 99], axis=0)  # (J, 3): a lost frame is no range
    rows = [
        [joint, *(f"{a:.2f} to {b:.2f}" for a, b in zip(low[j], high[j], strict=True))]
        for j, joint in enumerate(motion.layout.joints)
    ]
    caption = "Metres about the root, from the 1st to the 99th percentile of all frames"
    height = (
        f"Bodies reach {tall['min']:.2f} to {tall['max']:.2f} m from foot to head; half are up to {tall['median']:.2f}."
    )
    ranges = table(caption, ["joint", "x", "y (up)", "z"], rows)
    return [lengths, section("joints", "Joints", paragraph(height), ranges)]


@styled
def draw_lengths(seconds: np.ndarray[Any, np.dtype[Any]]) -> Figure:
    """How many clips last how long."""
    figure = new_figure(6, 2.4)
    axes = figure.subplots()
    axes.hist(seconds, bins=min(40, max(5, len(seconds) // 5)), color=COLOURS[0])
    axes.set(xlabel="seconds", ylabel="clips")
    return figure


def sheet(motion: MotionSet) -> list[Html]:
    """A clip of every class as a strip of frames."""
    wanted = [(name, np.flatnonzero(motion.labels == i)) for i, name in enumerate(motion.classes)]
    shown = [(name, int(clips[0])) for name, clips in wanted if len(clips)] or [("the first clip", 0)]
    strips = []
    for name, index in shown[:SHEET]:
        caption = f"{name}: {motion.names[index]}"
        strips.append(picture(draw_strip(motion, index), f"Six frames, {caption}", caption))
    more = f" The first {SHEET} of {len(shown)} classes." if len(shown) > SHEET else ""
    return [section("sheet", "To look at", paragraph(f"A clip of each class.{more}"), *strips)]
