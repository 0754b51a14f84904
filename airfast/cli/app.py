"""The command: each function calls one function of the package and shows what came back."""

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from airfast.cli.plots import plot_app
from airfast.errors import InputError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Prepare motion files and look at prepared sets.")
app.add_typer(data_app, name="data")
app.add_typer(plot_app, name="plot")

SHARED = ("label", "pretrain")  # what processes that torchrun started do together

Overrides = Annotated[list[str] | None, typer.Option("-o", "--override", help="key=value, e.g. air.alr.k=10")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


@app.callback()
def options(
    context: typer.Context, debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False
) -> None:
    """Pre-train emotion-recognition encoders on unlabelled 3D body skeletons."""
    asked = context.invoked_subcommand
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1" and asked not in SHARED:
        if os.environ["RANK"] != "0":
            raise typer.Exit(2)
        raise InputError(f"airfast {asked}: expected one process; {' and '.join(SHARED)} alone run on several")


@data_app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of motion files, or one of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the prepared set.")],
    layout: Annotated[str | None, typer.Option(help="Name or .json file; may stand beside .npy/.npz files.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV: file, label, and optionally the next two, split, fps, unit and up.")
    ] = None,
    label_column: str = "label",
    subject_column: str = "subject",
    group_column: str = "content",
    unit: Annotated[
        str | None, typer.Option(help="m, cm, mm, inch or ft, where the files are in another than the layout's.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Times the positions, beside the unit.")] = 1.0,
    up: Annotated[
        str | None, typer.Option(help="Axis of the files that points up: y, z, x, -y, -z or -x; y if they do not say.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second, where the files do not say or are wrong.")] = None,
    fill_gaps: Annotated[int, typer.Option(help="Frames that a joint may be missing for, filled linearly.")] = 0,
    trim_empty: Annotated[bool, typer.Option("--trim-empty", help="Cut off ends without a body.")] = False,
    on_bad_file: Annotated[str, typer.Option(help="stop at the first bad file, or skip it")] = "stop",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a set in which anything is odd.")] = False,
    dataset: Annotated[
        str | None,
        typer.Option(help="bandai, egbm, emilya, emilya4, kdae or ntu-xsub|xview|xset: layout, what names say, sides."),
    ] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Take two-dimensional points too, in the plane z = 0.")] = False,
    person: Annotated[str, typer.Option(help="Of recordings of several: all, largest, or an index from 0.")] = "all",
    window: Annotated[
        float | None, typer.Option(help="Seconds: cut long recordings into clips of that length.")
    ] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds from clip to clip; half a window if not given.")] = None,
    note: Annotated[str, typer.Option(help="Licence and attribution, kept in the set and in what is made of it.")] = "",
) -> None:
    """Read motion files, check them, and write one prepared set."""
    from airfast.cli.console import console, counting, show_findings, show_skipped
    from airfast.data import prepare as room

    if on_bad_file not in ("stop", "skip"):
        raise InputError(f"--on-bad-file {on_bad_file}: expected stop or skip")
    with counting("reading") as progress:
        report = room.prepare(
            source,
            layout,
            out,
            labels,
            fps,
            unit,
            label_column,
            subject_column,
            group_column,
            on_bad_file,  # type: ignore[arg-type]
            progress,
            scale=scale,
            up=up,
            fill_gaps=fill_gaps,
            trim_empty=trim_empty,
            strict=strict,
            note=note,
            dataset=dataset,
            person=person,
            flat=flat,
            window=window,
            hop=hop,
        )
    if report.told:
        console.print(report.told, highlight=False, soft_wrap=True)
    show_skipped(report.skipped)
    show_findings(report.motion.info["findings"])
    if report.unread:
        console.print(f"{labels}: nothing was made of {', '.join(report.unread)}", highlight=False, soft_wrap=True)
    console.print(f"{len(report.motion)} clips written to {out}; look at them with: airfast data describe {out}")


@data_app.command()
def describe(
    directory: Annotated[Path, typer.Argument(help="A prepared set.")],
    out: Annotated[Path | None, typer.Option(help="An .html file: the same, and clips to look at, as a page.")] = None,
) -> None:
    """Say what is in a prepared set, and what is odd about it."""
    from airfast.cli.console import console, show_set
    from airfast.data import describe as room
    from airfast.data.motion import MotionSet

    motion = MotionSet.load(directory)
    if out is None:
        show_set(room.describe(motion))
        return
    from airfast.report.dataset import describe_page

    console.print(f"written to {describe_page(motion, out)}", highlight=False, soft_wrap=True)


@data_app.command()
def layout(
    file: Annotated[Path, typer.Argument(help="A motion file whose joints have names: BVH, C3D, CSV, JSON lines.")],
    out: Annotated[Path | None, typer.Option(help="Write the draft to this .json file, for --layout.")] = None,
) -> None:
    """Show the joints of a file, what they are taken for, and draft a layout from them."""
    from airfast.cli.console import console, show_draft
    from airfast.data.draft import draft_layout, write_draft

    found = draft_layout(file)
    show_draft(found)
    if out is not None:
        write_draft(found, out)
        console.print(f"written to {out}; airfast data prepare FOLDER --layout {out}", highlight=False, soft_wrap=True)


@app.command()
def pretrain(
    directory: Annotated[
        Path | None, typer.Argument(help="A prepared set; the embedded synthetic one if none.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="demo, small, paper or paper-parity")] = None,
    method: Annotated[str | None, typer.Option(help="air, cage, crossclr, cmd, isc, scd-net, ssal or mgrl")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file over the preset.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/SET-PRESET-seedN if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the weights and the views; 0 if not given.")] = None,
    device: Device = "auto",
    override: Overrides = None,
    resume: Annotated[str, typer.Option(help="auto, never, or the path of a state.safetensors")] = "auto",
) -> None:
    """Pre-train an encoder by Algorithm 1, then probe it beside its baselines; under torchrun, together."""
    from contextlib import nullcontext

    from airfast.cli.screen import TrainingProgress, announce, show_quality
    from airfast.config import load_config
    from airfast.errors import NonFiniteLoss
    from airfast.ranks import launched
    from airfast.training.pretrain import pretrain as train
    from airfast.training.stopping import Stopped

    chosen = preset or ("small" if directory else "demo")
    settings = load_config(chosen, config, tuple(override or ()), **given(seed, epochs, method))
    kind = chosen if settings.method == "air" else f"{chosen}-{settings.method}"
    run = out or Path("runs") / f"{directory.resolve().name if directory else 'walkers'}-{kind}-seed{settings.seed}"
    with launched(alike=(Stopped, NonFiniteLoss)) as ranks:
        speaks, group = ranks is None or ranks.rank == 0, None if ranks is None else ranks.group
        if speaks:
            announce(settings, run, device, directory)
        else:
            warnings.simplefilter("ignore")  # the first rank says it
        with TrainingProgress(settings.train.epochs) if speaks else nullcontext() as progress:
            train(directory, settings, run, device, resume, progress, group)
        if speaks:
            show_quality(run, device)


@app.command()
def train_supervised(
    directory: Annotated[
        Path | None, typer.Argument(help="A labelled prepared set; the embedded synthetic one if none.")
    ] = None,
    model: Annotated[str, typer.Option(help="st-gcn, agcn or air")] = "st-gcn",
    epochs: Annotated[int | None, typer.Option(help="Instead of 80.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/SET-supervised-MODEL-seedN if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the weights and the views; 0 if not given.")] = None,
    device: Device = "auto",
    override: Overrides = None,
    resume: Annotated[str, typer.Option(help="auto, never, or the path of a state.safetensors")] = "auto",
) -> None:
    """Train a classifier with the labels of the training clips: the supervised peers."""
    from airfast.cli.screen import TrainingProgress, announce_supervised, show_evaluation
    from airfast.config import load_config
    from airfast.evaluate.supervised import check_model
    from airfast.evaluate.supervised import train_supervised as train

    check_model(model)
    settings = load_config("small", None, tuple(override or ()), **given(seed, epochs, model))
    name = directory.resolve().name if directory else "walkers"
    run = out or Path("runs") / f"{name}-supervised-{model}-seed{settings.seed}"
    announce_supervised(settings, run, device)
    with TrainingProgress(settings.train.epochs) as progress:
        found = train(directory, settings, run, device, resume, progress)
    show_evaluation(found, f"trained with labels, test clips of {run}")


def given(seed: int | None, epochs: int | None, method: str | None) -> dict[str, Any]:
    """What flags change of a configuration; a flag that was not given changes nothing."""
    flags = {"seed": seed, "method": method, "train": None if epochs is None else {"epochs": epochs}}
    return {name: value for name, value in flags.items() if value is not None}


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    protocol: Annotated[str, typer.Option(help="linear, knn, few, finetune, semi or transfer")] = "linear",
    data: Annotated[Path | None, typer.Option(help="A prepared set; the run's own if not given.")] = None,
    to: Annotated[Path | None, typer.Option(help="The prepared set that a transfer is fine-tuned on.")] = None,
    fraction: Annotated[str, typer.Option(help="Shares of the labels, for semi.")] = "0.01,0.05,0.1,0.5",
    each: Annotated[str, typer.Option(help="Labelled clips a class, for few.")] = "1,2,3,5,10",
    split: Annotated[
        str | None, typer.Option(help="random, subject, group or family: a new split for every seed; else the run's.")
    ] = None,
    nuisance: Annotated[
        str, typer.Option(help="group or subject: take the means of the training clips' out of every row's features.")
    ] = "none",
    seeds: Annotated[
        int | None, typer.Option(help="Repetitions of what is random: 5, or 20 of few, if not given.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Evaluate a run's encoder by a protocol, beside its baselines."""
    from airfast.cli.console import counting
    from airfast.cli.screen import show_classes, show_evaluation
    from airfast.evaluate.report import evaluate as measure
    from airfast.evaluate.report import parse_each, parse_fractions, target

    with counting("fine-tuning") as progress:
        found = measure(
            run,
            protocol,  # type: ignore[arg-type]
            target(protocol, data, to),
            seeds,
            device,
            split,  # type: ignore[arg-type]
            parse_fractions(fraction),
            progress,
            nuisance,  # type: ignore[arg-type]
            parse_each(each),
        )
    show_evaluation(found, f"{protocol} protocol, {run}" + (f", to {to}" if to else ""))
    show_classes(found)


@app.command()
def ablate(
    directory: Annotated[Path, typer.Argument(help="A prepared set with labels.")],
    tables: Annotated[
        str, typer.Option(help="Of methods, iv, v, eps (Fig. 5), parts (Fig. 6), alr-k.")
    ] = "iv,v,eps,parts",
    seeds: Annotated[int, typer.Option(help="Of split, weights and views; the same for every row.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Instead of the preset's; the warm-up is scaled.")] = None,
    preset: Annotated[str, typer.Option(help="demo, small, paper or paper-parity")] = "small",
    out: Annotated[Path, typer.Option(help="Folder of tables, plots and runs; goes on with what is there.")] = Path(
        "ablation"
    ),
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; one a core up to 4, one on CUDA.")] = None,
    device: Device = "auto",
    override: Overrides = None,
) -> None:
    """Make the paper's ablations: a table and a plot each, from runs that are made once and can be resumed."""
    from airfast.ablation.ablate import ablate as study
    from airfast.ablation.report import write_study
    from airfast.cli.screen import SweepProgress, show_study
    from airfast.device import pick_workers

    workers = pick_workers(device) if jobs is None else jobs
    with SweepProgress() as progress:
        records = study(directory, out, tables, seeds, preset, epochs, tuple(override or ()), workers, device, progress)
    for record in records:
        write_study(record, out)
        show_study(record, out)
    if any(record["failed"] for record in records):
        raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="An .html file; report.html in the run folder if not given.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where the run's set is, if it has moved.")] = None,
    device: Device = "auto",
) -> None:
    """Put all that is known of a run on one HTML page that needs no network."""
    from airfast.cli.console import console
    from airfast.report.build import build_report

    written = build_report(run, out, data, device)
    console.print(f"written to {written}", highlight=False, soft_wrap=True)


@app.command()
def label(
    features: Annotated[Path, typer.Argument(help=".npy, .npz, .safetensors or .parquet, one row a sample.")],
    view: Annotated[Path | None, typer.Option(help="A second view: agreement of its neighbours (Eq. 1).")] = None,
    metric: Annotated[str, typer.Option(help="jaccard, euclidean or cosine")] = "jaccard",
    eps: Annotated[float, typer.Option(help="Largest distance of two neighbours.")] = 0.6,
    min_samples: Annotated[int, typer.Option(help="Neighbours of a core sample, itself included.")] = 4,
    k1: Annotated[
        str, typer.Option(help="Neighbours of the reciprocal sets, itself included; with --groups: within,across.")
    ] = "30",
    k2: Annotated[str, typer.Option(help="Neighbours of the local query expansion, likewise.")] = "6",
    groups: Annotated[
        Path | None, typer.Option(help="Camera, action or person of each row: .npy, or column group of a .csv.")
    ] = None,
    cannot_link: Annotated[bool, typer.Option("--cannot-link", help="No two of a group are neighbours.")] = False,
    agreement_k: Annotated[int, typer.Option(help="Neighbours compared by Eq. 1, itself excluded.")] = 20,
    knn: Annotated[str, typer.Option(help="exact, hnsw or ivf")] = "exact",
    dbscan: Annotated[str, typer.Option(help="On a GPU: auto, cuml or graph; same labels.")] = "auto",
    backend: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    memory_mb: Annotated[int | None, typer.Option(help="Bound of the working memory, MB.")] = None,
    out: Annotated[Path, typer.Option(help=".parquet or .csv file.")] = Path("labels.parquet"),
) -> None:
    """Cluster features into discrete labels: kNN, k-reciprocal Jaccard, DBSCAN, agreement; under torchrun, shared."""
    from airfast.atomic import check_ending
    from airfast.cli.console import stating
    from airfast.cli.screen import announce_compilation, show_labels
    from airfast.labels import generate_labels, load_features
    from airfast.labels.features import load_groups
    from airfast.labels.groups import one_or_pair
    from airfast.labels.result import ENDINGS
    from airfast.ranks import launched

    check_ending(out, ENDINGS)
    with launched() as ranks:
        speaks = ranks is None or ranks.rank == 0
        first, second = load_features(features), None if view is None else load_features(view)
        known = None if groups is None else load_groups(groups)
        if speaks:
            announce_compilation()
        with stating(speaks) as state:
            found = generate_labels(
                first,
                second,
                metric=metric,
                eps=eps,
                min_samples=min_samples,
                k1=one_or_pair(k1, "--k1"),
                k2=one_or_pair(k2, "--k2"),
                groups=known,
                cannot_link=cannot_link,
                agreement_k=agreement_k,
                knn=knn,
                dbscan=dbscan,
                backend=backend,
                memory_mb=memory_mb,
                verbose=state,
                group=None if ranks is None else ranks.group,
            )
        if speaks:
            found.save(out)
            show_labels(found, out)


@app.command()
def bench(
    flops: Annotated[bool, typer.Option("--flops", help="Parameters and FLOPs of Table I's models.")] = False,
    fps: Annotated[bool, typer.Option("--fps", help="Sequences a second and latency of what is deployed.")] = False,
    labels: Annotated[bool, typer.Option("--labels", help="The label stage beside the ways it replaces.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what the columns mean.")] = False,
    models: Annotated[str, typer.Option(help="For --flops and --fps.")] = "air,air-j,umurl,st-gcn,agcn",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "cpu",
    precision: Annotated[str, typer.Option(help="For --fps: fp32, bf16, fp16, or several.")] = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="For --fps: through torch.compile too.")] = False,
    batch: Annotated[str, typer.Option(help="For --fps: clips a call.")] = "1,128",
    repeats: Annotated[int, typer.Option(help="Runs of each; medians are shown.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write what --flops and --fps found.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw what --flops and --fps found.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="For --labels: 60,000 samples (half an hour), not 4,000.")
    ] = False,
    out: Annotated[Path, typer.Option(help="For --labels: folder for JSON, Markdown and plot.")] = Path("bench"),
) -> None:
    """Measure airfast on this machine: Table I of the paper (--flops, --fps) or the label stage (--labels)."""
    from airfast.bench.asked import asked_of_table1
    from airfast.bench.explain import explanation
    from airfast.bench.table1 import run_table1
    from airfast.cli.console import console, stating
    from airfast.cli.screen import show_table1
    from airfast.device import pick_device

    asked = asked_of_table1(flops, fps, labels, explain, precision, batch, compiled, full, json, plot)
    place = pick_device(device)
    if labels:
        from airfast.bench.labels import FULL, QUICK, run_label_bench

        run_label_bench(out, FULL if full else QUICK, place.type, repeats)
        console.print(f"written to {out}")
    if flops or fps:
        with stating() as say:
            found = run_table1(
                tuple(models.split(",")), flops, fps, place, asked.precisions, compiled, asked.batches, repeats, say
            )
        show_table1(found)
        asked.write(found)
    if explain:
        console.print(explanation(), highlight=False)


@app.command()
def embed(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    clips: Annotated[Path, typer.Argument(help="A prepared set, a folder of motion files, or one of them.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .npz or .npy.")] = Path("features.parquet"),
    layout: Annotated[str | None, typer.Option(help="Of the files; the run's own if not given.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second, where the files do not say.")] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, inch or ft, where it is not the layout's.")] = None,
    up: Annotated[str | None, typer.Option(help="Axis that points up: y, z, x, -y, -z or -x.")] = None,
    device: Device = "auto",
) -> None:
    """Write the features of any clips by a run's encoder, for airfast label or any classifier."""
    from airfast.cli.console import console, show_findings
    from airfast.deploy.embed import Embedder
    from airfast.deploy.embed import embed as write

    motion, features = write(Embedder(run, device, layout, fps, unit, up), clips, out)
    show_findings(motion.info.get("findings", []))
    console.print(f"{len(features)} clips, {features.shape[1]} features each, written to {out}", highlight=False)


@app.command()
def fit_head(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    labels: Annotated[Path | None, typer.Option(help="CSV with columns file and label; else the set's labels.")] = None,
    label_column: str = "label",
    model: Annotated[str, typer.Option(help="logistic, or finetuned: the encoder is trained too")] = "logistic",
    data: Annotated[Path | None, typer.Option(help="Where the run's set is, if it has moved.")] = None,
    seed: Annotated[int, typer.Option(help="Of the held-out clips and of fine-tuning.")] = 0,
    device: Device = "auto",
) -> None:
    """Fit a calibrated classifier on a run's encoder and leave it in the run, for airfast predict."""
    from airfast.cli.screen import show_head
    from airfast.evaluate.head import fit_head as fit

    show_head(fit(run, labels, model, data, seed, device, label_column), run)


@app.command()
def predict(
    run: Annotated[
        Path, typer.Argument(help="A run folder with a head (airfast fit-head); for --stream also an .onnx file of it.")
    ],
    clips: Annotated[
        Path | None, typer.Argument(help="A prepared set, a folder of motion files, or one of them.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Frames on standard input; see the documentation.")] = False,
    watch: Annotated[Path | None, typer.Option(help="A folder: every motion file that appears in it.")] = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of a window; whole clips if not given, 2 of a stream.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="Seconds from window to window; half a window, 0.25 of a stream.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Below this probability a prediction is called unsure.")] = 0.5,
    out: Annotated[Path | None, typer.Option(help=".csv or .jsonl file; a table on the screen if not given.")] = None,
    layout: Annotated[str | None, typer.Option(help="Of the files or frames; the run's own if not given.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second, where the files do not say.")] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, inch or ft, where it is not the layout's.")] = None,
    up: Annotated[str | None, typer.Option(help="Axis that points up: y, z, x, -y, -z or -x.")] = None,
    device: Device = "auto",
) -> None:
    """Say the class of any clips, how sure that is, and what is unlike anything that was trained on."""
    from airfast.atomic import check_ending
    from airfast.cli.console import console, show_findings, show_predictions
    from airfast.cli.live import check_source, show_stream, show_watch
    from airfast.deploy.predict import ENDINGS, Predictor, write_predictions

    source = check_source(clips, stream, watch, out, fps, device)
    if out is not None:
        check_ending(out, ENDINGS)
    if source is None:
        assert fps is not None
        show_stream(run, fps, window, hop, layout, unit, up, threshold)
        return
    predictor = Predictor(run, device, layout, fps, unit, threshold, up)
    if watch is not None:
        show_watch(predictor, source, window, hop)
        return
    motion = predictor.embedder.clips(source)
    show_findings(motion.info.get("findings", []))
    found = predictor.predict(motion, window, hop)
    if out is None:
        show_predictions(found)
    else:
        write_predictions(found, out)
        console.print(f"{len(found)} predictions written to {out}", highlight=False, soft_wrap=True)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="File to write; encoder.pt2 or model.onnx if not given.")] = None,
    kind: Annotated[str, typer.Option("--format", help="pt2, onnx or onnx-int8")] = "pt2",
    precision: Annotated[str, typer.Option(help="Of pt2: fp32 or bf16.")] = "fp32",
    data: Annotated[Path | None, typer.Option(help="For onnx: where the run's set is, if it has moved.")] = None,
) -> None:
    """Write a run as one file: pt2 (clips in, features out, by PyTorch alone) or ONNX (positions in, classes out)."""
    from airfast.cli.console import console

    if kind not in ("pt2", "onnx", "onnx-int8"):
        raise InputError(f"--format {kind}: expected pt2, onnx or onnx-int8")
    if kind == "pt2":
        from airfast.deploy.export import export as write

        out = out or Path("encoder.pt2")
        write(run, out, precision)
        use = f"torch.export.load({str(out)!r}).module()(clips)"
        console.print(f"written to {out}; {use}", highlight=False, soft_wrap=True)
        return
    from airfast.deploy.onnx_export import export_onnx

    if precision != "fp32":
        raise InputError(
            f"--precision {precision}: belongs to --format pt2; an ONNX file of 8-bit weights is onnx-int8"
        )
    out = out or Path("model.onnx")
    parity = export_onnx(run, out, "int8" if kind == "onnx-int8" else "fp32", data)
    console.print(
        f"written to {out}; on {parity.clips} clips of the run: cosine of features ≥ {parity.cosine:.5f}, "
        f"probabilities within {parity.probability:.2g}, {parity.agreement:.1%} the same class\n"
        f"airfast.runtime.Model({str(out)!r})(positions, fps)",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def view(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    clips: Annotated[
        Path | None, typer.Argument(help="A prepared set, a folder of motion files, or one of them; the run's set.")
    ] = None,
    clip: Annotated[list[str] | None, typer.Option("--clip", help="Name or index; several stand side by side.")] = None,
    window: Annotated[float, typer.Option(help="Seconds of a window of the probabilities over time.")] = 2.0,
    hop: Annotated[float, typer.Option(help="Seconds from window to window.")] = 0.25,
    out: Annotated[Path | None, typer.Option(help="An .html file; view.html in the run folder if not given.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show it to browsers of this machine until Ctrl-C.")] = False,
    layout: Annotated[str | None, typer.Option(help="Of the files; the run's own if not given.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second, where the files do not say.")] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, inch or ft, where it is not the layout's.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where the run's set is, if it has moved.")] = None,
    device: Device = "auto",
) -> None:
    """Write one HTML page on which clips move in 3D, with what the run says of them; it needs no network."""
    from contextlib import suppress

    from airfast.cli.console import console
    from airfast.report.view.build import build_view, serving

    page = build_view(run, clips, clip or (), out, window, hop, device, layout, fps, unit, data)
    console.print(f"written to {page}", highlight=False, soft_wrap=True)
    if serve:
        with serving(page) as server, suppress(KeyboardInterrupt):
            console.print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", highlight=False, soft_wrap=True)
            server.serve_forever()


@app.command()
def card(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    licence: Annotated[str, typer.Option("--license", help="Of the weights, e.g. cc-by-nc-4.0.")] = "other",
    data: Annotated[Path | None, typer.Option(help="Where the run's set is, if it has moved.")] = None,
) -> None:
    """Put a run's weights, settings, figures and provenance into a folder to hand on, with a card for model hubs."""
    from airfast.cli.console import console
    from airfast.report.card import write_card

    written = write_card(run, out, licence, data)
    console.print(f"written to {written}; airfast predict {written} CLIPS", highlight=False, soft_wrap=True)


@app.command()
def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="The device alone; nothing is imported or computed.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Train a small encoder for an epoch, too.")] = False,
) -> None:
    """Say what is installed, which label backend would be used and why, and test it; exit status 0 or 1."""
    from airfast.cli.console import console, show_facts
    from airfast.cli.doctor import examine

    findings = examine(quick, full)
    show_facts({each.name: each.value for each in findings})
    broken = [each.name for each in findings if not each.ok]
    console.print(f"[red]not working: {', '.join(broken)}[/]" if broken else "everything needed works")
    raise typer.Exit(1 if broken else 0)


def main() -> None:
    """Run the command; a wrong input is one line on standard error and exit status 2."""
    warnings.formatwarning = lambda message, *_: f"note: {message}\n"  # not the line of code that says it
    try:
        app()
    except Exception as error:
        if type(error).__name__ == "Stopped":  # its class is torch's neighbour, which most commands never import
            print(error, file=sys.stderr)
            sys.exit(128 + error.number)  # type: ignore[attr-defined]
        wrong_input = isinstance(error, InputError)
        if "--debug" in sys.argv or not (wrong_input or type(error).__name__ in ("NonFiniteLoss", "RankFailed")):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if wrong_input else 1)


if __name__ == "__main__":
    main()
