"""The commands of ``airfast plot``: each calls one function of the plots room and says what it wrote."""

from pathlib import Path
from typing import Annotated

import typer

plot_app = typer.Typer(no_args_is_help=True, help="Draw a run or a clip: PNG or SVG, by the suffix of --out.")

Run = Annotated[Path, typer.Argument(help="A run folder.")]
Out = Annotated[Path | None, typer.Option(help="A .png or .svg; in the run folder if not given.")]
Data = Annotated[Path | None, typer.Option(help="Where the run's set is, if it has moved.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


@plot_app.command()
def embeddings(run: Run, out: Out = None, data: Data = None, device: Device = "auto") -> None:
    """Features in the plane by class and by cluster, beside the untrained encoder's (Fig. 7)."""
    from airfast.plots.embeddings import plot_embeddings

    say(plot_embeddings(run, out, data, device))


@plot_app.command()
def clusters(run: Run, out: Out = None) -> None:
    """Clusters, noise, agreement and adjusted mutual information over the epochs."""
    from airfast.plots.curves import plot_clusters

    say(plot_clusters(run, out))


@plot_app.command()
def eps(
    runs: Annotated[
        list[Path], typer.Argument(help="A run, several that differ in air.cluster.eps, or a file of features.")
    ],
    out: Out = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Label quality over eps 0.4 to 0.8 on final features; of several runs, accuracy too (Fig. 5)."""
    if len(runs) == 1 and runs[0].is_file():
        from airfast.plots.stability import plot_stability

        path, found = plot_stability(runs[0], out, device)
        typer.echo(found.table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        typer.echo(f"suggested: eps {found.suggested:g}; {found.reason}")
        say(path)
        return
    from airfast.plots.eps import plot_eps

    say(plot_eps(runs, out, data, device))


@plot_app.command()
def confusion(run: Run, out: Out = None) -> None:
    """Confusion matrix of the linear probe in per cent, beside the untrained encoder's."""
    from airfast.plots.confusion import plot_confusion

    say(plot_confusion(run, out))


@plot_app.command()
def relevance(
    run: Run,
    other: Annotated[Path | None, typer.Argument(help="A second run, e.g. without ALR.")] = None,
    kind: Annotated[str | None, typer.Option("--class", help="A class; every class if not given.")] = None,
    out: Out = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Agreement of each limb with the body on a skeleton (Fig. 8); with a second run, one class in both (Fig. 9)."""
    from airfast.plots.relevance import plot_relevance

    say(plot_relevance(run, other, kind, out, data, device))


@plot_app.command()
def skeleton(
    directory: Annotated[
        Path | None, typer.Argument(help="A prepared set; the embedded synthetic one if none.")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="Its name, or its index from 0.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4 that moves, or a .png or .svg strip.")] = None,
) -> None:
    """A clip with its HA and LA parts, moving and as a strip of frames."""
    from airfast.plots.skeleton import plot_skeleton

    for path in plot_skeleton(directory, clip, out):
        say(path)


def say(path: Path) -> None:
    """Tell what was written."""
    from airfast.cli.console import console

    console.print(f"written to {path}", highlight=False, soft_wrap=True, markup=False)
