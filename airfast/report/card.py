"""What of a run is handed on: its weights and all that is known of them, as a folder that model hubs read."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from airfast._version import __version__
from airfast.atomic import write_text
from airfast.data.motion import MotionSet, file_sha256
from airfast.data.source import Source
from airfast.deploy.head import FOLDER, HEAD, REPORT, load_head
from airfast.errors import InputError
from airfast.evaluate.head import read_report
from airfast.plots.run_features import PRE_TRAINED
from airfast.record import write_record
from airfast.report.protocols import FIGURES, labelled, read_all, spread
from airfast.runs.checkpoint import ENCODER, load_encoder
from airfast.runs.folder import METRICS, open_set, read_config, read_environment, read_split

HANDED_ON = ("config.yaml", "environment.json", METRICS, ENCODER)
PROVENANCE, CARD = "provenance.json", "README.md"
USE = """\
```
pip install airfast
airfast predict . CLIPS            # classes, where a head is in the folder
airfast embed . CLIPS --out features.parquet
```

```python
import airfast

encoder = airfast.load_encoder(".")            # a torch.nn.Module: clips to features
features = airfast.Embedder(".").transform("CLIPS")
```
"""
INTENDED = """\
Research on how people move: features of 3D body skeletons, to compare, cluster or classify clips with, on recordings
like those it was trained on. It is not made to judge people: not for hiring, policing, schooling, insurance, health or
any other decision about a person, and not for watching people who have not agreed to it.
"""
LIMITS = (
    "Labels of emotion sets are acted or perceived emotions, not felt ones; a prediction says which label such a "
    "movement was given, and nothing of what a person feels.",
    "There is no claim beyond the classes and the recordings named here. Another sensor, another skeleton, other "
    "actions, ages, bodies and cultures are not covered until they were tested.",
    "An encoder can map motion unlike anything it has seen onto familiar features; the distance that `airfast predict` "
    "gives is a warning and no proof.",
)


def write_card(run: Path | str, out: Path | str, licence: str = "other", data: Source = None) -> Path:
    """Put weights, settings, figures and provenance of a run into a new folder with a card that model hubs read.

    The folder holds the encoder and, if one was fitted, the head; the resolved configuration; the split, without where
    the set lay on this machine; the log; every evaluation; versions and machine; ``provenance.json`` with the SHA-256
    of the set's sources; and ``README.md``. ``airfast.load_encoder``, ``airfast predict`` and ``airfast embed`` take
    it as they take a run. It is written whole or not at all.

    Args:
        run: the run folder.
        out: a folder that does not exist yet, or is empty.
        licence: of the weights, as SPDX or the hub names it.
        data: the run's set, if it has moved: its licence and sources are a part of the card.

    Returns:
        ``out``.

    Raises:
        InputError: not a run, no set, or a folder that holds something or cannot be written.
    """
    run, out = Path(run), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected a new or an empty folder, found something in it")
    read_config(run)
    encoder, known = load_encoder(run), read_split(run)
    head = load_head(run) if (run / FOLDER / HEAD).is_file() else None
    motion = open_set(run, known, data, "tell of in the card")
    tables = read_all(run)
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as staging:
            folder = Path(staging) / "card"
            folder.mkdir()
            for path in [run / name for name in (*HANDED_ON, *(f"{each}.json" for each in tables))]:
                if path.is_file():
                    shutil.copy(path, folder)
            if head is not None:
                shutil.copytree(run / FOLDER, folder / FOLDER, ignore=shutil.ignore_patterns(".*"))
            write_record(folder / "split.json", known | {"data": None})
            write_text(folder / PROVENANCE, json.dumps(provenance(motion, folder), indent=1) + "\n")
            page = card(out.absolute().name, encoder.config.method, known, motion, tables, folder, licence)
            write_text(folder / CARD, page)
            os.replace(folder, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def provenance(motion: MotionSet, folder: Path) -> dict[str, Any]:
    """Where the clips came from, and the SHA-256 of what is handed on."""
    about = {name: motion.info.get(name) for name in ("name", "note", "synthetic", "unit", "version", "sources")}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "set": about | {"layout": motion.layout.name, "findings": len(motion.info.get("findings", []))},
        "files": {path.relative_to(folder).as_posix(): file_sha256(path) for path in files},
    }


def card(
    name: str,
    method: str,
    known: dict[str, Any],
    motion: MotionSet,
    tables: dict[str, dict[str, Any]],
    folder: Path,
    licence: str,
) -> str:
    """The page: YAML for the hub, then what a person should know, in Markdown."""
    front = {
        "license": licence,
        "library_name": "airfast",
        "tags": ["skeleton", "motion-capture", "emotion-recognition", "self-supervised-learning", method],
        "model-index": [{"name": name, "results": list(results(tables))}],
    }
    sections = {
        "Use": USE,
        "What it was trained on": "\n".join(trained_on(known, motion)) + "\n",
        "Evaluation": "\n".join(evaluated(tables, folder)) + "\n",
        "Intended use": INTENDED,
        "Limits": "".join(f"- {each}\n" for each in (*LIMITS, *cannot_tell(known, motion))),
        "Environment": "".join(f"- {key}: {value}\n" for key, value in read_environment(folder).items())
        or "Unknown.\n",
    }
    lead = f"An encoder of 3D body skeletons, pre-trained without labels by airfast {__version__} (method {method})."
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n# {name}\n\n{lead}\n\n{body}"


def results(tables: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The encoder's own rows as the hub lists figures, but for best epochs, which have seen the answers."""
    for record in tables.values():
        for row in record["rows"]:
            if row["features"] != PRE_TRAINED or "best" in row["probe"]:
                continue
            few = f", labels: {labelled(row)}" if labelled(row) else ""
            yield {
                "task": {"type": "other", "name": f"{record.get('protocol')} protocol, {row['probe']}{few}"},
                "dataset": {"type": "other", "name": record.get("set") or "without a name"},
                "metrics": [{"type": name, "value": round(100 * row[name]["mean"], 2)} for name in FIGURES],
            }


def trained_on(known: dict[str, Any], motion: MotionSet) -> Iterator[str]:
    """The set in figures."""
    at = {name: index for index, name in enumerate(motion.names)}
    train = [at[name] for name in known["train"] if name in at]
    minutes = float((motion.lengths[train] / motion.fps[train]).sum()) / 60
    subjects = sorted({motion.subjects[i] for i in train} - {""})
    rates = np.unique(motion.fps[train]).tolist()
    sources = motion.info.get("sources") or []
    yield f"- Set: {plain(motion.info.get('name') or 'without a name')}, {len(train)} clips, {minutes:.1f} minutes."
    yield f"- Skeleton: {motion.layout.name}, {len(motion.layout.joints)} joints; {spelt(rates)} frames a second."
    yield f"- Subjects: {len(subjects) or 'not known'}. Held out, and not trained on: {len(known['test'])} clips."
    yield f"- Classes of the set (they were not trained on): {plain(', '.join(motion.classes) or 'none')}."
    yield f"- Licence and attribution of the set: {plain(motion.info.get('note') or 'not stated; ask whoever made it')}"
    yield f"- {len(sources)} source files, with their SHA-256 in `{PROVENANCE}`."
    if motion.info.get("synthetic"):
        yield "- **The clips are synthetic: no person was recorded, and no figure here says anything about people.**"


def evaluated(tables: dict[str, dict[str, Any]], folder: Path) -> Iterator[str]:
    """The evaluations with their baselines, and what the head is worth."""
    if not tables:
        yield "No protocol was evaluated (`airfast evaluate`)."
    for name, record in tables.items():
        of = plain(record.get("set") or "without a name")
        yield f"`{name}.json`: set {of}, {record.get('test_clips', '?')} test clips;"
        yield f"mean ± standard deviation over {record.get('varies_over_seeds') or 'seeds'}, in per cent."
        yield f"\n| features | read by | {' | '.join(FIGURES.values())} |\n|---|---|{'--:|' * len(FIGURES)}"
        for row in record["rows"]:
            few = f" (labels: {labelled(row)})" if labelled(row) else ""
            figures = " | ".join(spread(row.get(figure)) for figure in FIGURES)
            yield f"| {plain(row['features'])}{few} | {plain(row['probe'])} | {figures} |"
        yield ""
    report = folder / FOLDER / REPORT
    if report.is_file():
        found = read_report(report)
        classes = plain(", ".join(found["classes"]))
        yield f"The head ({found['model']}, {found['train']} labelled clips) says one of {classes}."
        if found["accuracy"] is not None:
            error = 100 * found["calibration_error"][1]
            worth = f"{100 * found['accuracy']:.1f} % accuracy, expected calibration error {error:.1f} %"
            yield f"On {found['test']} test clips of the run: {worth}."


def cannot_tell(known: dict[str, Any], motion: MotionSet) -> Iterator[str]:
    """What this set, by its figures, says nothing about."""
    at = {name: index for index, name in enumerate(motion.names)}
    sides = [{motion.subjects[at[name]] for name in known[side] if name in at} for side in ("train", "test")]
    if sides[0] | sides[1] <= {""}:
        yield "Who moved is not known: nothing here says how well it works on people it has not seen."
    elif len(sides[0] | sides[1]) < 2:
        yield "One person moved: nothing here says how well it works on anybody else."
    elif sides[0] & sides[1]:
        yield "The same people are trained on and tested on: figures on people it has not seen will be lower."
    if len(motion.classes) and (motion.labels >= 0).any():
        counts = np.bincount(motion.labels[motion.labels >= 0], minlength=len(motion.classes))
        if counts.max() > 3 * max(1, counts.min()):
            most, least = (plain(motion.classes[int(each)]) for each in (counts.argmax(), counts.argmin()))
            yield f"Classes are uneven: {counts.max()} clips of {most}, {counts.min()} of {least}."


def plain(text: str) -> str:
    """A text as Markdown that shows it and does nothing else: no markup, no link, one line."""
    shown = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{each}" if each in "[]`|" else each for each in shown)


def spelt(values: Sequence[float]) -> str:
    """Numbers, joined."""
    return ", ".join(f"{value:g}" for value in values)
