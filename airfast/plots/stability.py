"""The labels of any features over eps: clusters, noise, and how far neighbouring eps agree."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from airfast.device import pick_device
from airfast.labels import load_features
from airfast.labels.stability import Stability, stability
from airfast.plots.canvas import COLOURS, GREY, new_figure, save, styled, target


def plot_stability(features: Path | str, out: Path | str | None = None, device: str = "auto") -> tuple[Path, Stability]:
    """Draw the label stage over eps 0.4 to 0.8 on a file of features.

    Args:
        features: a file that :func:`airfast.load_features` reads.
        out: a .png or .svg; the file's name with ``-eps.png`` beside it by default.
        device: auto, cpu or cuda.

    Returns:
        The picture's path, and what it shows.
    """
    path = Path(features)
    where = target(out or path.with_name(f"{path.stem}-eps.png"))
    found = stability(load_features(path).to(pick_device(device)))
    return save(draw_stability(found), where), found


@styled
def draw_stability(found: Stability) -> Figure:
    """Three panels over eps, the suggested one dotted."""
    figure = new_figure(9.6, 3.1)
    clusters, noise, agreed = figure.subplots(1, 3)
    eps = found.table["eps"]
    look = {"color": COLOURS[0], "markersize": 4}
    clusters.plot(eps, found.table["clusters"], "o-", **look)
    clusters.set(title="Clusters", ylabel="clusters", ylim=(0, 1.1 * max(1, found.table["clusters"].max())))
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    noise.plot(eps, 100 * found.table["noise_share"], "o-", **look)
    noise.set(title="Samples in no cluster", ylabel="share of the samples (%)", ylim=(0, 103))
    between = (eps.to_numpy()[1:] + eps.to_numpy()[:-1]) / 2
    agreed.plot(between, found.table["ami_next"].to_numpy()[:-1], "o-", **look)
    agreed.set(title="Labels of neighbouring eps", ylabel="AMI (0: chance, 1: same)", ylim=(-0.1, 1.05))
    for axes in (clusters, noise, agreed):
        axes.axvline(found.suggested, color=GREY, linestyle=":", linewidth=1.2)
        axes.set_xlabel("eps (Jaccard distance)")
    figure.suptitle(f"eps {found.suggested:g} (dotted): {found.reason}", fontsize=10)
    return figure
