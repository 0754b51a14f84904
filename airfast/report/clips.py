"""What the run's clips look like: features in the plane, and one clip as a strip; the set and where it was trained."""

from pathlib import Path
from typing import Any

from airfast.data.motion import MotionSet
from airfast.data.source import EMBEDDED
from airfast.errors import InputError
from airfast.plots.embeddings import draw_embeddings
from airfast.plots.run_features import RunFeatures
from airfast.plots.skeleton import draw_strip
from airfast.report.markup import Html, code, element, missing, paragraph, picture, section, table
from airfast.runs.folder import read_environment

VIEW = "view.html"
Features = dict[str, RunFeatures] | InputError
"""Of the pre-trained and the untrained encoder, or why there are none."""


def embeddings(features: Features) -> Html:
    """Fig. 7."""
    title = "Features in the plane"
    if isinstance(features, InputError):
        return section("embeddings", title, unavailable(features))
    caption = (
        "t-SNE of the features that are clustered. Filled marks are true classes, hollow ones are clusters: their "
        "colours do not correspond. Distances between far groups mean nothing in t-SNE."
    )
    counts = ", ".join(f"{name}: {each.labels().num_clusters} clusters" for name, each in features.items())
    alt = f"Scatter plots by class and by cluster. {counts}."
    return section("embeddings", title, picture(draw_embeddings(features), alt, caption))


def clip(features: Features, run: Path, out: Path) -> Html:
    """The first training clip, and the page on which clips move, if it lies beside this one."""
    title = "One of the clips"
    if isinstance(features, InputError):
        return section("clip", title, unavailable(features))
    motion = next(iter(features.values())).motion
    alt = f"Six frames of the skeleton of {motion.names[0]}, coloured by appendage and by segment."
    caption = "The first training clip with the appendages (HA) and segments (LA) that the encoder also reads."
    there = (out.parent / VIEW).is_file()
    link = element("a", "Clips that move", href=VIEW) if there else code(f"airfast view {run}")
    words = (link, ".") if there else (link, " shows clips that move.")
    return section("clip", title, picture(draw_strip(motion, 0), alt, caption), paragraph(*words))


def unavailable(error: InputError) -> Html:
    """Why there is no picture, and what to do."""
    return missing(f"Not drawn: {error}. If the set has moved, say where it is with ", code("--data"), ".")


def environment(run: Path, known: dict[str, Any], features: Features, records: dict[str, dict[str, Any]]) -> Html:
    """The set with its licence, and the machines of training and evaluation."""
    trained = read_environment(run)
    rows = [[f"training: {key}", value] for key, value in trained.items()]
    rows += [
        [
            f"{name}: airfast, torch, machine",
            ", ".join(str(record.get(key, "?")) for key in ("airfast", "torch", "machine")),
        ]
        for name, record in records.items()
    ]
    if not isinstance(features, InputError):
        rows = set_rows(next(iter(features.values())).motion) + rows
    rows.append(["training clips, test clips", f"{len(known['train'])}, {len(known['test'])}"])
    parts = [table("Set, versions and machines", ["what", "value"], rows, words=2)]
    if not trained:
        parts.append(missing("The machine of the training was not noted: the run was made by an older airfast."))
    return section("environment", "Data and environment", *parts)


def set_rows(motion: MotionSet) -> list[list[str]]:
    """Name, licence note and kind of the set."""
    kind = "synthetic" if motion.info.get("synthetic") else "recorded"
    return [
        ["set", str(motion.info.get("name") or "without a name")],
        ["licence and attribution", str(motion.info.get("note") or "the set says nothing of it")],
        ["kind, skeleton", f"{kind}, {motion.layout.name} ({len(motion.layout.joints)} joints)"],
        ["classes", ", ".join(motion.classes) or "none known"],
    ]


def is_synthetic(known: dict[str, Any], features: Features, records: dict[str, dict[str, Any]]) -> bool:
    """Whether anything says that the clips were generated."""
    if known["data"] == EMBEDDED or any(record.get("synthetic") for record in records.values()):
        return True
    return not isinstance(features, InputError) and bool(next(iter(features.values())).motion.info.get("synthetic"))
