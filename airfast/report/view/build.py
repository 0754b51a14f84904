"""`airfast view`: clips moving in three dimensions, with what a run says of them, on one page that needs no network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from airfast._version import __version__
from airfast.atomic import write_text
from airfast.data.motion import MotionSet
from airfast.data.source import Source
from airfast.data.windows import cut
from airfast.deploy.embed import Embedder
from airfast.deploy.head import FOLDER, HEAD, encoder_path, load_head
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.plots.canvas import COLOURS, category, run_target
from airfast.plots.part_agreement import part_agreement
from airfast.plots.pose import bones
from airfast.plots.relevance import REDS, scale_of
from airfast.plots.run_features import features_of, open_run_clips
from airfast.plots.skeleton import find_clip
from airfast.report.markup import Html, code, document_head, element, missing, paragraph, table
from airfast.runs.folder import open_set, read_split

MOST = 6  # clips on one page: a browser holds a few pictures in three dimensions
WINDOW, HOP = 2.0, 0.25  # seconds, of the probabilities over time
DASHES = ("", "6 3", "8 3 2 3", "2 3")  # a stroke-dasharray for every round of colours


@dataclass(frozen=True)
class Said:
    """What a head says of one clip over time.

    Attributes:
        middle: (W,) seconds, of every window.
        probability: (W, C) of every class.
    """

    middle: NDArray[np.float64]
    probability: NDArray[np.float32]


def build_view(
    run: Path | str,
    clips: MotionSet | Path | str | None = None,
    names: Sequence[str] = (),
    out: Path | str | None = None,
    window: float = WINDOW,
    hop: float = HOP,
    device: str = "auto",
    layout: str | None = None,
    fps: float | None = None,
    unit: str | None = None,
    data: Source = None,
) -> Path:
    """Write a page on which clips move side by side, in three dimensions, with a run's answers under each.

    Body parts have the colour of their agreement with the whole body (:func:`airfast.plots.part_agreement`), by who is
    near the clip among the run's training clips; where the run can tell none, every part has a colour of its own.
    Under a clip stand the probabilities of its windows over time, if the run has a head.

    Args:
        run: a run folder.
        clips: as :meth:`airfast.Embedder.transform` takes them; the run's own set by default.
        names: of the clips to show, or their indices; the first by default.
        out: an .html file; ``view.html`` in the run folder by default, to which its report links.
        window, hop: seconds, of the windows.
        device: auto, cpu or cuda.
        layout, fps, unit: as of :class:`airfast.Embedder`.
        data: the run's set, if it has moved.

    Returns:
        The page's path.

    Raises:
        InputError: not a run, clips that cannot be read, no such clip, or more than MOST.
    """
    run = Path(run)
    out = run_target(run, out, "view.html", (".html", ".htm"))
    page = document(run, chosen(run, clips, names, device, layout, fps, unit, data), window, hop, device, data)
    write_text(out, page)
    return out


def chosen(
    run: Path,
    clips: MotionSet | Path | str | None,
    names: Sequence[str],
    device: str,
    layout: str | None,
    fps: float | None,
    unit: str | None,
    data: Source,
) -> MotionSet:
    """The clips to show, on the joints of the run."""
    embedder = Embedder(run, device, layout, fps, unit).fit()
    source = open_set(run, read_split(run), data, "show") if clips is None else clips
    motion = embedder.clips(source)
    wanted = [find_clip(motion, name) for name in names] or [find_clip(motion, None)]
    if len(wanted) > MOST:
        raise InputError(f"--clip: expected {MOST} at most, found {len(wanted)}")
    return motion.select(wanted)


def document(run: Path, motion: MotionSet, window: float, hop: float, device: str, data: Source) -> str:
    """The page."""
    said, classes = over_time(run, motion, window, hop, device)
    agreement: NDArray[np.float32] | InputError
    try:
        agreement = agreement_of(run, motion, device, data)
    except InputError as error:
        agreement = error
    layout = motion.layout
    colours = colours_of(agreement, len(motion), len(layout.high_names))
    record = {
        "classes": [kind(index, name) for index, name in enumerate(classes)],
        "clips": [clip_record(motion, i, colours[i], said[i] if said else None) for i in range(len(motion))],
    }
    shown = [clip_panel(motion, i, agreement, bool(said)) for i in range(len(motion))]
    body = [
        element(
            "header",
            element("h1", "Clips that move"),
            element("p", f"airfast run {run.resolve().name}; drag to turn, scroll to come nearer.", class_="lead"),
            *synthetic(motion),
            class_="wide",
        ),
        element("main", controls(), element("div", *shown, class_="clips"), *about(classes, agreement), class_="wide"),
        element("footer", f"Written by airfast {__version__}, drawn by three.js.", class_="wide"),
        element("script", Html(json.dumps(record).replace("<", "\\u003c")), type="application/json", id="data"),
        *(element("script", Html(asset(name))) for name in ("three.min.js", "view.js")),
    ]
    head = document_head(f"{', '.join(motion.names)}: airfast", asset("view.css"))
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{element("body", *body)}\n</html>\n'


def asset(name: str) -> str:
    """A file that the page is made of."""
    return (files("airfast.report.view") / name).read_text(encoding="utf-8")


def over_time(
    run: Path, motion: MotionSet, window: float, hop: float, device: str
) -> tuple[list[Said], tuple[str, ...]]:
    """What the run's head says of every window of every clip, and its classes; nothing of a run without a head."""
    if not (run / FOLDER / HEAD).is_file():
        return [], ()
    head = load_head(run)
    windows = cut(motion, window, hop)
    rows = Embedder(encoder_path(run), device).fit().transform(windows.motion)
    probability = head.probability(torch.from_numpy(rows)).numpy()
    middle = (windows.first + (windows.motion.lengths - 1) / 2) / windows.motion.fps
    mine = [windows.clip == i for i in range(len(motion))]
    return [Said(middle[each], probability[each]) for each in mine], head.classes


def agreement_of(run: Path, motion: MotionSet, device: str, data: Source) -> NDArray[np.float32]:
    """(N, P) agreement of each limb with the body, for clips beside the training clips of the run."""
    encoder, known = open_run_clips(run, data)
    if "ha" not in encoder.config.air.scales:
        raise InputError(f"trained without part skeletons of whole limbs (air.asp={encoder.config.air.asp})")
    at = {name: index for index, name in enumerate(known.names)}
    strangers = [i for i, name in enumerate(motion.names) if not same(motion, i, known, at.get(name))]
    others = motion.select(strangers)
    settled(others, known, encoder.config.air.nuisance)
    both = joined(known, others)
    rows = {i: len(known) + place for place, i in enumerate(strangers)}
    place = pick_device(device)
    found = part_agreement(encoder, features_of(encoder, both, place), place).numpy()
    return np.asarray(found[[rows.get(i, at.get(name, 0)) for i, name in enumerate(motion.names)]])


def same(motion: MotionSet, index: int, known: MotionSet, there: int | None) -> bool:
    """Whether a clip is the training clip of its name."""
    return there is not None and np.array_equal(motion.clip(index), known.clip(there))


def settled(others: MotionSet, known: MotionSet, nuisance: str) -> None:
    """Raise InputError where what the labels are blind to is, of some clip, none of what the run was trained on."""
    if nuisance == "none":
        return
    of, among = ((each.groups if nuisance == "group" else each.subjects) for each in (others, known))
    for name, value in zip(others.names, of, strict=True):
        if value not in among:
            raise InputError(f"features are read without their {nuisance}, and that of {name} was not trained on")


def joined(first: MotionSet, second: MotionSet) -> MotionSet:
    """Two sets on the same joints, one after the other; those of the second without their labels."""
    return replace(
        first,
        positions=np.concatenate([first.positions, second.positions]),
        lengths=np.concatenate([first.lengths, second.lengths]),
        fps=np.concatenate([first.fps, second.fps]),
        names=first.names + second.names,
        labels=np.concatenate([first.labels, np.full(len(second), -1)]),
        subjects=first.subjects + second.subjects,
        groups=first.groups + second.groups,
    )


def colours_of(agreement: NDArray[np.float32] | InputError, clips: int, parts: int) -> list[list[str]]:
    """A colour a part and clip: deeper red for more agreement, or one of its own where there is none to show."""
    if isinstance(agreement, InputError):
        return [[category(part)[0] for part in range(parts)]] * clips
    scale = scale_of(list(agreement))
    return [[to_hex(REDS(scale(each))) for each in row] for row in agreement]


def kind(index: int, name: str) -> dict[str, str]:
    """A class as the chart draws it: colours repeat, dashes then differ."""
    return {"name": name, "colour": category(index)[0], "dash": DASHES[index // len(COLOURS) % len(DASHES)]}


def clip_record(motion: MotionSet, index: int, colours: Sequence[str], said: Said | None) -> dict[str, Any]:
    """A clip as the page's script reads it: positions in whole millimetres."""
    clip = motion.clip(index)
    low, high = clip.reshape(-1, 3).min(axis=0), clip.reshape(-1, 3).max(axis=0)
    windows = None
    if said is not None:
        rows = zip(said.middle.tolist(), said.probability.round(4).tolist(), strict=True)
        windows = [{"middle": round(middle, 4), "probability": probability} for middle, probability in rows]
    return {
        "fps": float(motion.fps[index]),
        "frames": (1000 * clip).round().astype(int).reshape(len(clip), -1).tolist(),
        "bones": bones(motion.layout),
        "parts": list(motion.layout.high),
        "colours": list(colours),
        "middle": ((low + high) / 2).round(4).tolist(),
        "floor": round(float(low[1]), 4),
        "size": max(0.2, round(float((high - low).max()), 4)),
        "windows": windows,
    }


def controls() -> Html:
    """Play, time and pace, for all clips."""
    paces = [element("option", f"{pace:g} ×", value=f"{pace:g}") for pace in (0.25, 0.5, 1, 2)]
    chosen = Html("".join(paces).replace('value="1"', 'value="1" selected'))
    return element(
        "div",
        element("button", "Play", id="play", type="button"),
        element("input", id="time", type="range", min="0", max="1000", value="0", **{"aria-label": "Time"}),
        element("output", id="now", **{"for": "time"}),
        element("select", chosen, id="speed", **{"aria-label": "Pace"}),
        class_="controls",
    )


def clip_panel(motion: MotionSet, index: int, agreement: NDArray[np.float32] | InputError, told: bool) -> Html:
    """One clip: its name, what it is labelled, the stage, and the answers under it."""
    label = motion.classes[motion.labels[index]] if motion.labels[index] >= 0 else "without a label"
    seconds = motion.lengths[index] / motion.fps[index]
    words = f"{label}; {motion.lengths[index]} frames, {seconds:.1f} s"
    parts = []
    if not isinstance(agreement, InputError):
        names = [name.replace("_", " ") for name in motion.layout.high_names]
        colours = colours_of(agreement, len(motion), len(names))[index]
        rows = [
            [Html(f'<span class="swatch" style="background:{colour}"></span>{name}'), f"{score:.2f}"]
            for name, colour, score in zip(names, colours, agreement[index], strict=True)
        ]
        parts = [table("Agreement with the whole body (Eq. 1)", ["part", "S"], rows)]
    described = {"role": "img", "aria-label": f"{motion.names[index]}, moving"}
    chart = [element("svg", viewBox="0 0 100 100", preserveAspectRatio="none", role="img", **{"aria-label": "Answers"})]
    answer = [element("p", "now: ", element("output"), class_="said")]
    return element(
        "section",
        element("h2", motion.names[index]),
        paragraph(words),
        element("div", element("canvas", **described), class_="stage"),
        *(chart + answer if told else []),
        *parts,
        id=f"clip{index}",
        class_="clip",
    )


def synthetic(motion: MotionSet) -> list[Html]:
    """A warning where nobody was recorded."""
    text = "The clips are synthetic. Nothing on this page says anything about people."
    return [element("p", text, class_="warning")] if motion.info.get("synthetic") else []


def about(classes: Sequence[str], agreement: NDArray[np.float32] | InputError) -> list[Html]:
    """What colours and lines mean, and what is missing."""
    notes = []
    if classes:
        keys = []
        for index, name in enumerate(classes):
            made = kind(index, name)
            dash, colour = made["dash"], made["colour"]
            line = f'<svg viewBox="0 0 30 10"><line x1="0" x2="30" y1="5" y2="5" stroke="{colour}" stroke-width="3"'
            keys.append(element("li", Html(f'{line} stroke-dasharray="{dash}"/></svg>'), name))
        words = "Probability of each class, window by window, from 0 below to 1 above; a click goes to that moment."
        notes += [paragraph(words), element("ul", *keys, class_="key")]
    else:
        how = code("airfast fit-head RUN")
        notes.append(missing("There are no probabilities: the run has no head (", how, ")."))
    if isinstance(agreement, InputError):
        notes.append(missing(f"Parts have colours of their own; their agreement cannot be told: {agreement}"))
    else:
        words = "The deeper the red of a part, the more its neighbours alone are those of the whole body."
        notes.append(paragraph(words))
    return notes


def serving(page: Path) -> ThreadingHTTPServer:
    """A server of one page on a free port of this machine alone; ``serve_forever`` runs it."""
    text = page.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path.partition("?")[0] in ("/", f"/{page.name}")
            self.send_response(200 if there else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text if there else b"not here")

        def log_message(self, *args: Any) -> None:
            """Nothing: the terminal is the user's."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
