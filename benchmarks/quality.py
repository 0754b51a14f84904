"""Is pre-training worth its electricity? The methods side by side on one set, and what they must beat.

    python -m benchmarks.quality SET [--split group] [--seeds 5] [--modules] [--jobs 2] [-o key=value ...]
    python -m benchmarks.quality SET --split group --statistics

SET is a prepared set. The rows are those of ``airfast ablate SET --tables methods``, with --modules those of Tables IV
and V too; the runs are kept in --work, and a recording that was interrupted goes on from there. Test clips are those
that pre-training never saw. Writes quality-NAME-SPLIT.json, .md and .png into results/, table-iv-... and table-v-...
--statistics records again, in the table that is there, the rows that need no run.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from airfast import MotionSet, evaluate
from airfast.ablation.ablate import STUDIES, ablate
from airfast.ablation.report import markdown, write_study
from airfast.bench.machine import machine
from airfast.config import PAPER_INPUTS, Config, load_config
from airfast.data.dataset import DeviceClips
from airfast.deploy.embed import encode
from airfast.evaluate.baselines import hand_made as hand_made_statistics
from airfast.evaluate.frozen import Nuisance, hand_made_rows, knn_rows, linear_rows, told
from airfast.evaluate.table import Row, over_seeds
from airfast.evaluate.task import Task
from airfast.runs.older import as_recorded
from airfast.training.pretrain import begin, choose_split

RESULTS = Path(__file__).parent / "results"
SPLITS = {"group": "unseen actions", "random": "random 4:1", "subject": "unseen people"}  # as tables name them
PLAIN = "hand-made, paper's inputs"
TOLD = "hand-made, told the action"
TOLD_FOREST = "hand-made, told, forest"
EARLIER = "on the inputs and views that it was published with (inputs=paper)"
"""In the notes of records made before ``inputs=paper`` followed the public code of the family."""
HARSHER = (
    "UmURL on the inputs it was published with was recorded on views harsher than its public code's (crops of fewer "
    "than T frames, a matrix of its own for every mixed joint, 30 % of the joints zeroed and 30 % mixed at once) and "
    "with clips facing as recorded; to be recorded again."
)
PROBES = 5  # as the sweep's evaluations have
INITIALISATIONS = 8  # of the untrained encoder, on every split
LABEL_COLUMNS = ("clusters", "noise_share", "mean_agreement", "ami_class", "ami_group")


def epochs_of(run: Path) -> list[dict[str, Any]]:
    """What a run logged, an epoch a record."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def label_table(epochs: list[dict[str, Any]]) -> list[str]:
    """Label quality of one run, every tenth epoch that has labels."""
    labelled = [epoch for epoch in epochs if "clusters" in epoch]
    lines = [f"| epoch | {' | '.join(LABEL_COLUMNS)} |", "|---|" + "---|" * len(LABEL_COLUMNS)]
    for epoch in [*labelled[:-1:10], labelled[-1]]:
        cells = (f"{epoch.get(column, float('nan')):.3g}" for column in LABEL_COLUMNS)
        lines.append(f"| {epoch['epoch']} | {' | '.join(cells)} |")
    return lines


def epoch_seconds(epochs: list[dict[str, Any]]) -> dict[str, float]:
    """Median seconds of an epoch that has labels, by stage."""
    labelled = [epoch["seconds"] for epoch in epochs if "clusters" in epoch]
    return {stage: round(statistics.median(each[stage] for each in labelled), 3) for stage in labelled[0]}


def hand_made(runs: list[Path]) -> dict[str, list[dict[str, float]]]:
    """Hand-made statistics under the two classifiers that suit them best, on the split of each run.

    As many probes as the sweep made: the evaluation it left is replaced, and is read again when a recording goes on.
    """
    found: dict[str, list[dict[str, float]]] = {"hand-made, logistic": [], "hand-made, forest": []}
    for run in runs:
        rows = {f"{row.features}, {row.probe}": row for row in evaluate(run, "linear", device="cpu").rows}
        for name, seeds in found.items():
            score = vars(rows[name].scores[0])
            seeds.append({f"linear {figure}": score[figure] for figure in ("accuracy", "macro_f1")})
    return found


def plain_statistics(motion: MotionSet) -> torch.Tensor:
    """Mean, sd, minimum, maximum and mean speed of every coordinate on the paper's inputs: (N, 5·3·J) float32.

    The statistics of the encoder's baselines are taken on AIR's inputs, and gain from them as UmURL does.
    """
    clips = DeviceClips.from_motion(motion, PAPER_INPUTS, torch.device("cpu"))
    frames = clips.whole(torch.arange(len(motion)))  # (N, 3, T, J)
    speed = frames.diff(dim=2).abs().mean(2)
    return torch.cat([frames.mean(2), frames.std(2), frames.amin(2), frames.amax(2), speed], 1).flatten(1)


def without_runs(motion: MotionSet, config: Config, seeds: int) -> dict[str, list[dict[str, float]]]:
    """The same probes on :func:`plain_statistics`, and on hand-made ones told the action, on the split of each seed."""
    plain, ours = plain_statistics(motion), hand_made_statistics(motion)
    found: dict[str, list[dict[str, float]]] = {"untrained": [], PLAIN: [], TOLD: [], TOLD_FOREST: []}
    for seed in range(seeds):
        task = Task(motion, *choose_split(motion, config.model_copy(update={"seed": seed})))
        features = {PLAIN: plain, **told({TOLD: ours}, motion, "group", task.train)}
        rows = linear_rows(features, task, PROBES) + knn_rows(features, task)
        trees = [row for row in hand_made_rows(features[TOLD], task, PROBES) if row.probe == "forest"]
        for name in (PLAIN, TOLD):
            found[name].append(figures([row for row in rows if row.features == name]))
        found["untrained"].append(untrained(config, task))
        found[TOLD_FOREST].append(figures([replace(row, probe="linear") for row in trees]))
    return found


def untrained(config: Config, task: Task, nuisance: Nuisance = "none") -> dict[str, float]:
    """The encoder before its first step, the mean over INITIALISATIONS: one alone may be lucky."""
    tables = []
    learnt = task.motion.select(task.train)
    for seed in range(INITIALISATIONS):
        begun = config.model_copy(update={"seed": seed})
        method = begin(begun, learnt, DeviceClips.from_motion(learnt, config.inputs, "cpu")).method
        features = {"": encode(method.deployed, task.motion, torch.device("cpu"))}
        features = told(features, task.motion, nuisance, task.train)
        tables.append([*linear_rows(features, task, 1, seed), *knn_rows(features, task)])
    return figures([row for row in over_seeds(tables) if not row.features])


def figures(rows: list[Row]) -> dict[str, float]:
    """``probe figure`` to its mean over probes."""
    return {f"{row.probe} {figure}": row.mean(figure) for row in rows for figure in ("accuracy", "macro_f1")}


def page(record: dict[str, Any]) -> str:
    """The study's own page, what it was measured on, and the labels of the whole method's first seed."""
    stages = ", ".join(f"{seconds:.2f} s {stage}" for stage, seconds in record["epoch_seconds"].items())
    lines = [
        markdown(record).rstrip(),
        "",
        "logistic, forest: classifiers of their own in the place of the linear probe. "
        f"Hand-made: mean, sd, range and speed on AIR's inputs; {PLAIN}: mean, sd, minimum, maximum and speed; "
        f"untrained: the mean over {INITIALISATIONS} initialisations on each split; "
        "told the action: standardised, without the directions between the means of the training clips' actions.",
        record["about"],
        f"Overrides: {', '.join(record['overrides']) or 'none'}. {record['machine']['cpu']}, "
        f"torch {record['machine']['versions']['torch']}, {record['jobs']} runs at a time; "
        f"an epoch of AIR takes {stages}.",
        "",
        "Labels of AIR, seed 0 (ami: adjusted mutual information):",
        "",
        *label_table(record["epochs"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the runs, record, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--split", default="group", choices=tuple(SPLITS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--modules", action="store_true", help="Tables IV and V too")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "airfast-quality")
    parser.add_argument("--name", help="of the set in the result files; the set's own if not given")
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    parser.add_argument("--statistics", action="store_true")
    given = parser.parse_args()
    if given.statistics:
        again(given.set, RESULTS / f"quality-{given.name or given.set.name}-{given.split}.json")
        return
    overrides = (f"split.kind={given.split}", *given.overrides)
    out = given.work / f"{given.set.name}-{given.split}"
    tables = "methods,iv,v" if given.modules else "methods"
    studies = ablate(given.set, out, tables, given.seeds, "small", None, overrides, given.jobs, "cpu", print_news)
    facts = {"overrides": list(overrides), "machine": machine(torch.device("cpu")), "jobs": given.jobs}
    for study in studies:
        study["set"] = given.name or study["set"]
        study["title"] = f"{study['title']}, {given.split} split"
        kind = "quality" if study["file"] == "methods" else study["file"]
        study["file"] = f"{kind}-{study['set']}-{given.split}"
    record, *modules = studies
    for study in modules:
        write_study(study | facts, RESULTS)
    record["baselines"] |= hand_made([out / "runs" / f"base,seed={seed}" for seed in range(given.seeds)])
    epochs = epochs_of(out / "runs" / "base,seed=0")
    configs = {
        variant.name: load_config("small", overrides=(*overrides, *variant.overrides)).record()
        for variant in STUDIES["methods"].variants
    }
    motion = MotionSet.load(given.set)
    record["baselines"] |= without_runs(motion, load_config("small", overrides=overrides), given.seeds)
    about = f"{len(motion)} clips, {len(motion.classes)} classes. {motion.info.get('note', '')}".rstrip()
    record |= facts | {"about": about, "configs": configs, "epoch_seconds": epoch_seconds(epochs), "epochs": epochs}
    write(record)


def again(data: Path, file: Path) -> None:
    """Record the rows that need no run again, in the table that is there."""
    record = json.loads(file.read_text())
    seeds = len(record["rows"][0]["seeds"])
    record["baselines"] |= without_runs(MotionSet.load(data), as_recorded(record["config"]), seeds)
    write(record)


def write(record: dict[str, Any]) -> None:
    """The table as JSON, page and picture."""
    write_study(record, RESULTS)
    (RESULTS / f"{record['file']}.md").write_text(page(record))


def print_news(state: Any) -> None:
    """A line a run, as soon as it has ended."""
    for line in state.news:
        print(f"{state.runs} of {state.runs_in_all} runs, {line}", flush=True)


if __name__ == "__main__":
    main()
