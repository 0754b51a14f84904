"""Fig. 7: the features of a run in the plane, by class and by cluster, beside the untrained encoder's."""

from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from airfast.data.source import Source
from airfast.methods.air.amdl import label_quality
from airfast.plots.canvas import new_figure, plain, point_size, run_target, save, scatter, styled
from airfast.plots.run_features import RunFeatures, read_features

MOST_POINTS = 4000
"""Clips that are drawn at most: t-SNE of more takes minutes and shows no more."""


def plot_embeddings(run: Path | str, out: Path | str | None = None, data: Source = None, device: str = "auto") -> Path:
    """Draw a run's features and the untrained encoder's by class and by cluster (Fig. 7); returns the picture's path.

    Args:
        run: a run folder.
        out: a .png or .svg; ``embeddings.png`` in the run folder by default.
        data: where the run's clips are, if not where they were.
        device: auto, cpu or cuda.

    Raises:
        InputError: not a run, no such data, a picture that cannot be written.
    """
    out = run_target(run, out, "embeddings.png")
    return save(draw_embeddings(read_features(run, data, device)), out)


@styled
def draw_embeddings(features: dict[str, RunFeatures]) -> Figure:
    """A row for each kind of features: by class on the left, by cluster of the label stage on the right."""
    figure = new_figure(8.6, 4.0 * len(features) + 0.7)
    grid = figure.subplots(len(features), 2, squeeze=False)
    for row, (name, each) in zip(grid, features.items(), strict=True):
        index = drawn_clips(len(each.motion))
        points = in_the_plane(each.clustered().numpy()[index])
        found = each.labels()
        classes = [*map(plain, each.motion.classes), "class not known"]
        scatter(row[0], points, each.motion.labels[index], classes)
        clusters = [*(f"cluster {i}" for i in range(found.num_clusters)), "in no cluster (noise)"]
        scatter(row[1], points, found.labels.numpy()[index], clusters, hollow=True)
        quality = label_quality(found, each.motion)
        row[0].set_title(f"{name}: by class")
        row[1].set_title(f"{name}: by cluster\n{describe_clusters(quality)}")
    by_label: dict[str, Artist] = {}
    for axes in grid[:, 0]:
        by_label |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    handles, labels = grid[0, 1].get_legend_handles_labels()
    by_label |= {label: handle for handle, label in zip(handles, labels, strict=True) if "noise" in label}
    larger = (30 / point_size(len(index))) ** 0.5  # marks of a legend must be told apart, however small the points
    names, columns = list(by_label), min(6, len(by_label))
    figure.legend(list(by_label.values()), names, loc="outside lower center", ncols=columns, markerscale=larger)
    shown, total = len(drawn_clips(len(each.motion))), len(each.motion)
    which = f"{total} training clips" if shown == total else f"{shown} of {total} training clips, drawn evenly"
    figure.suptitle(f"t-SNE of the features that are clustered, {which} (axes have no unit)", fontsize=10)
    return figure


def describe_clusters(quality: dict[str, float]) -> str:
    """Clusters, noise share and adjusted mutual information as one line."""
    line = f"{quality['clusters']} clusters, {quality['noise_share']:.0%} noise"
    names = {"ami_class": "AMI with class", "ami_group": "with group"}
    known = [f"{names[key]} {quality[key]:.2f}" for key in names if key in quality]
    return ", ".join([line, *known])


def drawn_clips(clips: int) -> NDArray[np.int64]:
    """Indices of at most MOST_POINTS clips, evenly spaced."""
    return np.unique(np.linspace(0, clips - 1, min(clips, MOST_POINTS)).round().astype(np.int64))


def in_the_plane(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """t-SNE of features (N, D) to (N, 2), perplexity 30 or what N allows, started from PCA: the same every time."""
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    plane = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    return np.asarray(plane, dtype=np.float32)
