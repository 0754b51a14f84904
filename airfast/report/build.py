"""`airfast report`: everything known of a run on one self-contained HTML page."""

import time
from pathlib import Path

from airfast._version import __version__
from airfast.atomic import write_text
from airfast.config import Config
from airfast.data.source import Source
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.plots.canvas import target
from airfast.plots.run_features import read_features
from airfast.report import clips, protocols, training
from airfast.report.markup import Html, document_head, element, paragraph
from airfast.report.settings import configuration
from airfast.runs.folder import read_config, read_metrics, read_split

CONTENTS = {
    "protocols": "Protocols",
    "confusion": "Confusion matrix",
    "labels": "Labels by epoch",
    "embeddings": "Features in the plane",
    "losses": "Losses",
    "clip": "One of the clips",
    "timing": "Timing",
    "configuration": "Configuration",
    "environment": "Data and environment",
}


def build_report(run: Path | str, out: Path | str | None = None, data: Source = None, device: str = "auto") -> Path:
    """Write the page of a run; what the run lacks is said in a sentence, with the way to get it.

    The page needs no network: style and pictures are in it, and it has no script.

    Args:
        run: a run folder.
        out: an .html file; ``report.html`` in the run folder by default.
        data: where the run's set is, if not where it was.
        device: auto, cpu or cuda.

    Returns:
        The page's path.

    Raises:
        InputError: not a run, or a page that cannot be written.
    """
    run = Path(run)
    config = read_config(run)
    pick_device(device)  # a wrong device is the caller's mistake, and not a lack of the run
    out = target(out or run / "report.html", (".html", ".htm"))
    page = document(run, config, data, device, out)
    write_text(out, page)
    return out


def document(run: Path, config: Config, data: Source, device: str, out: Path) -> str:
    """The page."""
    known, metrics, records = read_split(run), read_metrics(run), protocols.read_all(run)
    linear = records.get("evaluate-linear")
    features: clips.Features
    try:
        features = read_features(run, data, device)
    except InputError as error:
        features = error
    synthetic = clips.is_synthetic(known, features, records)
    body = [
        head(run, config, len(metrics), synthetic, protocols.verdict(linear)),
        element(
            "main",
            protocols.protocols(run, records),
            protocols.confusion(run, linear),
            training.labels(run, metrics, config),
            clips.embeddings(features),
            training.losses(metrics),
            clips.clip(features, run, out),
            training.timing(metrics),
            configuration(config),
            clips.environment(run, known, features, records),
        ),
        element("footer", f"Written by airfast {__version__} on {time.strftime('%Y-%m-%d')}."),
    ]
    top = document_head(f"{run.resolve().name}: airfast report")
    return f'<!DOCTYPE html>\n<html lang="en">\n{top}\n{element("body", *body)}\n</html>\n'


def head(run: Path, config: Config, epochs: int, synthetic: bool, verdict: Html) -> Html:
    """Name, verdict, warnings and contents."""
    lead = f"airfast run: preset {config.preset}, seed {config.seed}, {epochs} of {config.train.epochs} epochs"
    warnings = []
    if synthetic:
        text = "The clips are synthetic. No figure on this page says anything about people."
        warnings.append(element("p", text, class_="warning"))
    links = [element("li", element("a", title, href=f"#{key}")) for key, title in CONTENTS.items()]
    return element(
        "header",
        element("h1", run.resolve().name),
        element("p", lead, class_="lead"),
        *warnings,
        verdict,
        paragraph(
            "Figures of one run are no evidence for a method: compare several seeds on unseen people or actions."
        ),
        element("nav", element("ul", *links), **{"aria-label": "Contents"}),
    )
