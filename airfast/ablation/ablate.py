"""`airfast ablate`: Tables IV and V, Fig. 5 and 6 as sweeps of runs; every row of them has the same seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airfast.ablation.sweep import Job, SweepState, run_sweep
from airfast.config import Config, Method, load_config
from airfast.data.motion import MotionSet
from airfast.errors import InputError, nearest
from airfast.runs.checkpoint import flatten
from airfast.runs.folder import read_evaluation, read_metrics
from airfast.training.pretrain import choose_split


@dataclass(frozen=True)
class Variant:
    """A row: its name, the settings that make it, the paper's accuracy on EGBM where it prints one, and its method."""

    name: str
    overrides: tuple[str, ...]
    paper: float | None = None
    method: Method = "air"


@dataclass(frozen=True)
class Study:
    """A table or figure of a paper.

    Attributes:
        file: stem of the files it is written to.
        title: what it shows.
        axis: label of the horizontal axis.
        variants: its rows.
        reference: the row that the others are compared with, seed by seed.
        notes: what has to be known to read it.
        numeric: whether the names are numbers on an axis.
    """

    file: str
    title: str
    axis: str
    variants: tuple[Variant, ...]
    reference: str
    notes: tuple[str, ...]
    numeric: bool = False


# The losses and the label stage of the paper, on the inputs and the schedule of the other rows.
LETTER = (
    "air.head=linear",
    "air.own_parts=false",
    "air.mgaa.vcreg=false",
    "air.cluster.weight=1",
    "air.cluster.k1=30",
    "air.cluster.k2=6",
    "air.nuisance=none",
)
NO_LABELS = ("air.amdl=false", "air.alr.enabled=false")
UNREFINED = ("air.amdl=true", "air.alr.enabled=false")
REFINED = ("air.amdl=true", "air.alr.enabled=true")
EQUAL = "equal: LA and HA are runs of as many joints each, which know no anatomy"


STUDIES = {
    "methods": Study(
        "methods",
        "Pre-training methods",
        "method",
        (
            Variant("UmURL, its inputs", ("air.asp=none", *NO_LABELS, "air.nuisance=none", "inputs=paper")),
            Variant("UmURL", ("air.asp=none", *NO_LABELS, "air.nuisance=none")),
            Variant("UmURL, nuisance", ("air.asp=none", *NO_LABELS)),
            Variant("AIR-J", ("modalities=[joint]",)),
            Variant("AIR − ASP", ("air.asp=none", "air.alr.enabled=false")),
            Variant("AIR − ALR", ("air.alr.enabled=false",)),
            Variant("AIR, letter", LETTER),
            Variant("AIR", ()),
        ),
        "UmURL",
        (
            "every row but the first on the same inputs and views: what differs is what is learnt from them.",
            "UmURL, its inputs: on the inputs and views of its public code (inputs=paper). UmURL: on AIR's.",
            "UmURL, nuisance: with the known action or person as AIR is told it (`air.nuisance`); UmURL itself is not.",
            "AIR-J: one modality, joints. AIR − ASP: without part skeletons, and so without refined labels.",
            f"AIR, letter: {', '.join(LETTER)}.",
        ),
    ),
    "iv": Study(
        "table-iv",
        "Table IV: modules",
        "modules",
        (
            Variant("baseline", ("air.asp=none", *NO_LABELS), 45.87),
            Variant("+ ASP", ("air.asp=both", *NO_LABELS), 47.71),
            Variant("+ AMDL", ("air.asp=none", *UNREFINED), 46.79),
            Variant("+ AMDL + ALR", ("air.asp=both", "air.partition=equal", *REFINED), 52.29),
            Variant("all", ("air.asp=both", "air.partition=appendages", *REFINED), 56.88),
        ),
        "baseline",
        (
            "baseline: alignment of X with itself, which are UmURL's losses. The paper's Baseline* is + ASP.",
            "+ AMDL + ALR, without ASP: the labels are refined by a view that is not of appendages "
            f"(the lower bar of Fig. 6; {EQUAL}).",
        ),
    ),
    "v": Study(
        "table-v",
        "Table V: scales of appendages",
        "part skeletons beside X",
        (
            Variant("none", ("air.asp=none", *UNREFINED), 47.71),
            Variant("LA", ("air.asp=la", *REFINED), 48.90),
            Variant("HA", ("air.asp=ha", *REFINED), 53.46),
            Variant("LA + HA", ("air.asp=both", "air.partition=appendages", *REFINED), 56.88),
        ),
        "none",
        (
            "none: X alone; there is nothing to refine its labels with. One run with Table IV's + AMDL, for which the "
            "paper prints 46.79; 47.71 is what it prints for + ASP too.",
            "LA: agreement and refinement (Eq. 1 to 3) are with LA, where the others have HA.",
        ),
    ),
    "eps": Study(
        "fig-5",
        "Fig. 5: eps of DBSCAN",
        "eps (Jaccard distance)",
        tuple(Variant(f"{eps:g}", (f"air.cluster.eps={eps:g}",)) for eps in (0.4, 0.5, 0.6, 0.7, 0.8)),
        "0.6",
        (),
        numeric=True,
    ),
    "eps-auto": Study(
        "eps-auto",
        "eps of DBSCAN by the plateau of each epoch",
        "eps",
        (Variant("0.6", ()), Variant("auto", ("air.cluster.eps=auto",))),
        "0.6",
        ("auto: of 0.4 to 0.8, the eps at which the labels of the epoch's features change least.",),
    ),
    "parts": Study(
        "fig-6",
        "Fig. 6: what refines the labels",
        "parts that refine",
        (
            Variant("no refinement", ("air.asp=both", "air.partition=appendages", *UNREFINED)),
            Variant("equal", ("air.asp=both", "air.partition=equal", *REFINED)),
            Variant("appendages", ("air.asp=both", "air.partition=appendages", *REFINED)),
        ),
        "equal",
        (f"{EQUAL}.",),
    ),
    "alr-k": Study(
        "alr-k",
        "Neighbours that Eq. 1 compares",
        "k (the paper's 1 makes every agreement 0 or 1)",
        tuple(Variant(str(k), (f"air.alr.k={k}",)) for k in (1, 5, 10, 20, 40)),
        "20",
        (),
        numeric=True,
    ),
}


def of(method: Method, **rows: str | tuple[str, ...]) -> tuple[Variant, ...]:
    """Rows of a method by name, underscores for blanks; settings without the name of the method's section."""
    section = "scd" if method == "scd-net" else method
    settings = {name: (row,) if isinstance(row, str) else row for name, row in rows.items()}
    return tuple(
        Variant(name.replace("_", " "), tuple(f"{section}.{each}" for each in row), method=method)
        for name, row in settings.items()
    )


def shares(method: Method, key: str, *values: float) -> tuple[Variant, ...]:
    """A row a value of one setting."""
    return tuple(Variant(f"{each:g}", (f"{key}={each:g}",), method=method) for each in values)


CARTESIAN = "deploy=cartesian"
FAMILY = {
    "cage": Study(
        "cage",
        "CAGE, its Tables 1 and 3: ambiguous samples and coordinate systems",
        "what is contrasted",
        of(
            "cage",
            GE_CLR=("bank=plain", "cross=none", CARTESIAN),
            ambiguous_samples=("cross=none", CARTESIAN),
            spherical=("bank=plain", "cross=none", "deploy=spherical"),
            spherical_with_ambiguous_samples=("cross=none", "deploy=spherical"),
            across_systems="bank=plain",
            CAGE=(),
        ),
        "GE CLR",
        (),
    ),
    "cage-speed": Study(
        "cage-speed",
        "CAGE, its Table 2: speed of ambiguous samples (one queue for both kinds)",
        "every so many frames, or a share of the clip",
        tuple(
            Variant(
                f"{speed:g}",
                ("cage.bank=hybrid", "cage.cross=none", f"cage.{CARTESIAN}", f"cage.speed={speed:g}"),
                method="cage",
            )
            for speed in (0.1, 0.3, 0.5, 2, 4, 8)
        ),
        "4",
        (),
        numeric=True,
    ),
    "crossclr": Study(
        "crossclr",
        "CrosSCLR: mining across modalities",
        "epochs before it",
        of("crossclr", never="cross_from=1", from_half_of_the_epochs=()),
        "never",
        ("never: SkeletonCLR in each modality.",),
    ),
    "cmd": Study(
        "cmd", "CMD: distillation", "modalities", of("cmd", alone="weight=0", teach_one_another=()), "alone", ()
    ),
    "isc": Study(
        "isc",
        "ISC: representations",
        "pair",
        tuple(
            Variant(pair, (f"isc.pair={pair}",), method="isc")
            for pair in ("seq", "graph", "image", "seq+image", "graph+image", "seq+graph")
        ),
        "seq+graph",
        ("the first of a pair is measured; one alone is contrasted with itself.",),
    ),
    "scd": Study(
        "scd",
        "SCD-Net: masks",
        "what views lose",
        of("scd-net", nothing="masks=none", joints="masks=graph", frames="masks=segment", both=()),
        "nothing",
        (),
    ),
    "ssal": Study(
        "ssal",
        "SSAL: strong view, image branch, drop",
        "what is left out",
        of(
            "ssal",
            no_strong_view="weight=0",
            no_image="image=false",
            no_drop="drop=false",
            no_mask="strong=jitter",
            no_jitter="strong=mask",
            all=(),
        ),
        "no strong view",
        (),
    ),
    "mgrl": Study(
        "mgrl",
        "MGRL, its Table II: whom a clip is merged with",
        "partner",
        of("mgrl", none="merge=none", nearest="merge=clips"),
        "none",
        ("none: PSTL. The paper's own choice, by a classifier's confusions, takes labels and is not made here.",),
    ),
    "mgrl-share": Study(
        "mgrl-share",
        "MGRL, its Table I: share of merged clips",
        "share",
        shares("mgrl", "mgrl.share", 0, 0.1, 0.2, 0.3, 1),
        "0",
        (),
        numeric=True,
    ),
    "family": Study(
        "family",
        "AIR and its siblings",
        "method",
        (
            Variant("UmURL", ("air.asp=none", *NO_LABELS)),
            Variant("GE-CLR", tuple(f"cage.{each}" for each in ("bank=plain", "cross=none", CARTESIAN)), method="cage"),
            Variant("CAGE", (), method="cage"),
            Variant("CrosSCLR", (), method="crossclr"),
            Variant("CMD", (), method="cmd"),
            Variant("ISC", (), method="isc"),
            Variant("SCD-Net", (), method="scd-net"),
            Variant("SSAL", (), method="ssal"),
            Variant("MGRL", (), method="mgrl"),
            Variant("AIR", ()),
        ),
        "UmURL",
        ("every row on the preset's epochs, batches and views; its own rates and networks.",),
    ),
}
STUDIES |= FAMILY
PAPER_STUDIES = "iv,v,eps,parts"


def ablate(
    data: Path | str,
    out: Path | str,
    tables: str = PAPER_STUDIES,
    seeds: int = 3,
    preset: str = "small",
    epochs: int | None = None,
    overrides: tuple[str, ...] = (),
    workers: int = 1,
    device: str = "auto",
    report: Callable[[SweepState], None] = lambda state: None,
) -> list[dict[str, Any]]:
    """Make the runs of some tables and figures, and measure each by the linear and the kNN protocol.

    Runs that rows share are made once; those that are in the folder already are not made again. A seed draws split,
    weights and views, the same for every row.

    Args:
        data: a prepared set with labels.
        out: folder; ``runs/`` within it holds a run folder each.
        tables: names of :data:`STUDIES` with commas between.
        seeds: 0 .. seeds−1.
        preset: the configuration that the rows are changes of.
        epochs: instead of the preset's; the warm-up keeps its share of them, unless an override sets it.
        overrides: ``key=value`` for every row.
        workers: runs at a time.
        device: auto, cpu or cuda.
        report: called while runs are made.

    Returns:
        A record a study: rows with every seed's figures, and the lines of runs that failed.

    Raises:
        InputError: an unknown table, a set without labels to test on, a folder with other runs.
    """
    data, out = Path(data), Path(out)
    studies = parse_tables(tables)
    if seeds < 1 or workers < 1:
        raise InputError(f"--seeds {seeds}, --jobs {workers}: expected at least 1")
    methods = dict.fromkeys(variant.method for study in studies for variant in study.variants)
    bases = {method: base_config(preset, epochs, overrides, method) for method in methods}
    name = check_set(data, next(iter(bases.values())))
    plan = {
        (study.file, variant.name, seed): job_of(out, bases[variant.method], preset, overrides, variant, seed)
        for seed in range(seeds)  # seed by seed: whoever stops early has whole tables of fewer seeds
        for study in studies
        for variant in study.variants
    }
    jobs = list({job.name: job for job in plan.values()}.values())
    failed = run_sweep(data, jobs, workers, device, report)
    return [{"set": name, **collect(study, seeds, plan, failed)} for study in studies]


def parse_tables(tables: str) -> list[Study]:
    """Names with commas between to studies."""
    names = tables.split(",")
    for name in names:
        if name not in STUDIES:
            raise InputError(f"--tables {name!r}: unknown{nearest(name, STUDIES)}; known: {', '.join(STUDIES)}")
    return [STUDIES[name] for name in dict.fromkeys(names)]


def base_config(preset: str, epochs: int | None, overrides: tuple[str, ...], method: Method = "air") -> Config:
    """The configuration that every row of a method is a change of."""
    config = load_config(preset, overrides=overrides, method=method)
    if epochs is None:
        return config
    if method != "air":
        return load_config(preset, overrides=(*overrides, f"train.epochs={epochs}"), method=method)
    told = any(each.startswith("air.warmup") for each in overrides)
    warmup = config.air.warmup if told else round(config.air.warmup * epochs / config.train.epochs)
    return load_config(preset, overrides=(*overrides, f"train.epochs={epochs}", f"air.warmup={warmup}"))


def check_set(data: Path, config: Config) -> str:
    """The set's name; InputError, before any run is made, where there would be nothing to test on."""
    motion = MotionSet.load(data)
    _, test = choose_split(motion, config)
    if not len(test):
        raise InputError(f"{data}: no labelled clips to test on (split.kind={config.split.kind})")
    return str(motion.info.get("name") or data.resolve().name)


def job_of(out: Path, base: Config, preset: str, overrides: tuple[str, ...], variant: Variant, seed: int) -> Job:
    """The run of a row and a seed; its folder is named by what differs from the base, so that equal runs are one."""
    length = [f"train.epochs={base.train.epochs}"]
    if base.method == "air":
        length.append(f"air.warmup={base.air.warmup}")
    config = load_config(preset, overrides=(*overrides, *length, *variant.overrides), seed=seed, method=base.method)
    plain, ours = (flatten(each.record()) for each in (base, config))
    changes = [] if base.method == "air" else [f"method={base.method}"]
    changes += [f"{key}={value}".lower() for key, value in ours.items() if value != plain[key] and key != "seed"]
    return Job(out / "runs" / f"{','.join(changes) or 'base'},seed={seed}", config)


def collect(study: Study, seeds: int, plan: dict[tuple[str, str, int], Job], failed: Sequence[str]) -> dict[str, Any]:
    """The figures of a study: a list of rows, each with a measurement a seed (None where its run failed)."""
    last = study.variants[-1].name
    rows = []
    for variant in study.variants:
        jobs = [plan[study.file, variant.name, seed] for seed in range(seeds)]
        rows.append({"name": variant.name, "paper": variant.paper, "seeds": [measured(job) for job in jobs]})
    full = [plan[study.file, study.reference if study.numeric else last, seed] for seed in range(seeds)]
    names = {plan[study.file, variant.name, seed].name for variant in study.variants for seed in range(seeds)}
    config = full[0].config
    return {
        "file": study.file,
        "title": study.title,
        "axis": study.axis,
        "numeric": study.numeric,
        "reference": study.reference,
        "notes": list(study.notes),
        "rows": rows,
        "baselines": {name: [measured(job, name) for job in full] for name in ("majority", "hand-made", "untrained")},
        "config": config.record(),
        "failed": [line for line in failed if line.partition(": ")[0] in names],
    }


def measured(job: Job, features: str = "pre-trained") -> dict[str, float] | None:
    """Accuracy and macro-F1 of a run by probe (means over its probes), and its last epoch's labels."""
    if not job.finished():
        return None
    found: dict[str, float] = {}
    for protocol in ("linear", "knn"):
        record = read_evaluation(job.folder / f"evaluate-{protocol}.json")
        for row in record["rows"]:
            if row["features"] == features and row["probe"] in ("–", "linear", "1-NN", "20-NN"):
                probe = "linear" if row["probe"] == "–" else row["probe"]
                found |= {f"{probe} {figure}": row[figure]["mean"] for figure in ("accuracy", "macro_f1")}
    if features == "pre-trained":
        epoch = read_metrics(job.folder)[-1]
        wanted = ("clusters", "noise_share", "mean_agreement", "ami_class")
        found |= {name: epoch[name] for name in wanted if name in epoch}
    return found
