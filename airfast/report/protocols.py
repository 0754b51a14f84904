"""The tables of every evaluation of a run, the sentence that sums them up, and the confusion matrix."""

from pathlib import Path
from typing import Any

from airfast.errors import InputError
from airfast.evaluate.table import labels_known
from airfast.plots.confusion import draw_confusion, find_row, row_shares
from airfast.plots.run_features import PRE_TRAINED, UNTRAINED
from airfast.report.markup import Html, code, element, missing, paragraph, picture, section, table
from airfast.runs.folder import read_evaluation

FIGURES = {"accuracy": "accuracy %", "macro_f1": "macro-F1 %", "balanced_accuracy": "balanced %"}
Record = dict[str, Any]


def read_all(run: Path) -> dict[str, Record]:
    """Every ``evaluate-*.json`` of a run by its name without suffix, the linear ones first."""
    order = sorted(run.glob("evaluate-*.json"), key=lambda path: (not path.stem.startswith("evaluate-linear"), path))
    return {path.stem: read_evaluation(path) for path in order}


def protocols(run: Path, records: dict[str, Record]) -> Html:
    """A table for each evaluation; baselines stand above the pre-trained encoder."""
    if not records:
        return section(
            "protocols",
            "Protocols",
            missing(
                "No protocol has been evaluated yet. ", code(f"airfast evaluate {run}"), " makes the linear table."
            ),
        )
    intro = paragraph(
        "Mean ± standard deviation over seeds, in per cent. “best” is the best epoch on the test clips: it has seen "
        "the answers, so it is shown and not claimed. The majority class, statistics made by hand and the same "
        "encoder untrained are what pre-training has to beat."
    )
    return section("protocols", "Protocols", intro, *(one(name, record) for name, record in records.items()))


def labelled(row: Record) -> str:
    """How many of the labels a row of a table knew, in words; empty for all."""
    return labels_known(row.get("fraction"), row.get("each"))


def one(name: str, record: Record) -> Html:
    """The table of one evaluation with its notes."""
    rows = record["rows"]
    few = any(labelled(row) for row in rows)
    head = ["features", "read by", *(["labels"] if few else []), *FIGURES.values(), "seeds"]
    cells = [
        [
            element("strong", row["features"]) if row["features"] == PRE_TRAINED else row["features"],
            row["probe"],
            *([labelled(row) or "–"] if few else []),
            *(spread(row.get(figure)) for figure in FIGURES),
            len(row.get("scores", ())),
        ]
        for row in rows
    ]
    clips = f"{record.get('train_clips', '?')} clips to train the probe, {record.get('test_clips', '?')} to test"
    caption = f"{name.removeprefix('evaluate-')}: {clips}, set {record.get('set') or 'without a name'}"
    notes = [paragraph(f"Note: {note}") for note in record.get("notes", ())]
    return Html("".join([table(caption, head, cells, words=3 if few else 2), *notes]))


def spread(figure: dict[str, float] | None) -> str:
    """Mean and standard deviation in per cent; no deviation where nothing was repeated."""
    if not figure:
        return "–"
    mean, sd = 100 * figure["mean"], 100 * figure.get("sd", 0)
    return f"{mean:.1f} ± {sd:.1f}" if sd else f"{mean:.1f}"


def verdict(record: Record | None) -> Html:
    """One sentence: the linear probe beside the untrained encoder, hand-made statistics and the majority class."""
    try:
        ours, untrained = (mean_of(record or {"rows": []}, name) for name in (PRE_TRAINED, UNTRAINED))
    except InputError:
        return missing("How good the encoder is has not been measured yet.")
    assert record is not None
    gain = ours - untrained
    compared = f"{abs(gain):.1f} points {'above' if gain > 0 else 'below'}" if round(gain, 1) else "no different from"
    others = [f"{100 * row['accuracy']['mean']:.1f} % {words}" for row, words in baselines(record)]
    beside = f" Beside it: {' and '.join(others)}." if others else ""
    return element(
        "p",
        "A linear probe of the frozen, pre-trained encoder gets ",
        element("strong", f"{ours:.1f} %"),
        f" of {record['test_clips']} test clips right, {compared} the same encoder untrained"
        f" ({untrained:.1f} %).{beside} One test clip is {100 / record['test_clips']:.1f} points.",
        class_="verdict",
    )


def baselines(record: Record) -> list[tuple[Record, str]]:
    """The rows of statistics made by hand and of the majority class, with their names."""
    wanted = {("hand-made", "linear"): "by statistics made by hand", ("majority", "–"): "by the commonest class"}
    rows = {(row["features"], row["probe"]): row for row in record["rows"]}
    return [(rows[key], words) for key, words in wanted.items() if key in rows]


def mean_of(record: Record, features: str) -> float:
    """Accuracy of a linear probe's last epoch in per cent."""
    return 100 * float(find_row(record, features)["accuracy"]["mean"])


def confusion(run: Path, record: Record | None) -> Html:
    """The confusion matrix of the linear probe."""
    title = "Confusion matrix"
    if record is None:
        how = code(f"airfast evaluate {run}")
        return section("confusion", title, missing("There is none before the linear protocol has run: ", how, "."))
    recalls = ", ".join(
        f"{name} {100 * hit:.0f} %" for name, hit in zip(record["classes"], recall(record), strict=True) if hit == hit
    )
    alt = f"Two confusion matrices, pre-trained and untrained. Recall of the pre-trained encoder: {recalls}."
    caption = "Per cent of each true class, over the last epochs of all probes. Hatched rows had no test clip."
    return section("confusion", title, picture(draw_confusion(record), alt, caption))


def recall(record: Record) -> list[float]:
    """Share of each class that the pre-trained encoder's probe finds, nan where none was tested."""
    return [float(each) / 100 for each in row_shares(record, PRE_TRAINED).diagonal()]
