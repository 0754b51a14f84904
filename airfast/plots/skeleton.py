"""A prepared clip to look at: a strip of frames, or an animation, with its HA and LA parts coloured."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from airfast.atomic import replacing
from airfast.data.motion import MotionSet
from airfast.data.source import Source, open_motion
from airfast.errors import InputError, nearest
from airfast.plots.canvas import new_figure, plain, save, styled, target
from airfast.plots.pose import DrawnPose, Flat, both_partitions, legend_of, prepare_axes, seen_from_the_side

FRAMES = 6
"""Frames of a strip."""
RATE = 15
"""Frames a second of an animation, at most; it runs in true time."""
MOST_SECONDS = 20
"""Of an animation; a longer clip is cut, and its title says so."""
MOVING = (".gif", ".mp4")


def plot_skeleton(data: Source, clip: str | None = None, out: Path | str | None = None) -> list[Path]:
    """Draw a clip of a prepared set; returns the paths written.

    Args:
        data: a prepared folder, a set in memory, or None for the embedded synthetic walkers.
        clip: its name or its index from 0; the first by default.
        out: .gif or .mp4 (an animation, true time, needs ffmpeg for .mp4), .png or .svg (a strip of frames). By
            default both a .gif and a .png named after the clip, in the current folder.

    Raises:
        InputError: no such set or clip, another suffix, no ffmpeg for an .mp4.
    """
    paths = [target(out, (*MOVING, ".png", ".svg"))] if out else []
    if out and paths[0].suffix.lower() == ".mp4":
        find_ffmpeg(paths[0])
    motion = open_motion(data, whole=False)  # of one clip
    index = find_clip(motion, clip)
    stem = "skeleton-" + "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(motion.names[index]).stem)
    for path in paths or [Path(f"{stem}.gif"), Path(f"{stem}.png")]:
        if path.suffix.lower() in MOVING:
            animate(motion, index, path)
        else:
            save(draw_strip(motion, index), path)
    return paths or [Path(f"{stem}.gif"), Path(f"{stem}.png")]


def find_clip(motion: MotionSet, clip: str | None) -> int:
    """The index of a clip by name or index; InputError names the nearest."""
    if not len(motion):
        raise InputError("plot skeleton: the set has no clips")
    if clip is None or clip in motion.names:
        return 0 if clip is None else motion.names.index(clip)
    if clip.isdecimal() and int(clip) < len(motion):
        return int(clip)
    hint = nearest(clip, motion.names)
    raise InputError(f"--clip {clip}: no such clip{hint}; expected a name or 0 to {len(motion) - 1}")


@styled
def draw_strip(motion: MotionSet, index: int) -> Figure:
    """Frames of a clip side by side, evenly spaced in time, HA above and LA below."""
    flat = seen_from_the_side(motion.clip(index), motion.layout)
    frames = np.linspace(0, len(flat) - 1, min(FRAMES, len(flat))).round().astype(int)
    width, height = np.ptp(flat[frames].reshape(-1, 2), axis=0) + 0.2  # metres
    tall = 2.3  # inches of a row
    across = max(0.75, tall * width / height)
    figure = new_figure(across * len(frames) + 2.1, 2 * tall + 0.6)
    grid = figure.subplots(2, len(frames) + 1, width_ratios=[across] * len(frames) + [1.35], squeeze=False)
    for row, parts in zip(grid, both_partitions(motion.layout), strict=True):
        for axes, frame in zip(row, frames, strict=False):
            prepare_axes(axes, flat[frames], heights=frame == frames[0])
            DrawnPose(axes, flat[frame], motion.layout, parts)
        legend_of(row[-1], parts)
    for axes, frame in zip(grid[0], frames, strict=False):
        axes.set_title(f"{frame / motion.fps[index]:.2f} s", fontsize=9, loc="center")
    figure.suptitle(caption(motion, index), fontsize=10)
    return figure


def caption(motion: MotionSet, index: int) -> str:
    """Name, class and length of a clip; a synthetic one is called so."""
    label = motion.labels[index]
    seconds = motion.lengths[index] / motion.fps[index]
    facts = [plain(motion.classes[label])] if label >= 0 else []
    facts += [f"{seconds:.1f} s at {motion.fps[index]:g} frames a second"]
    facts += ["synthetic"] if motion.info.get("synthetic") else []
    return f"{plain(motion.names[index], 48)}: {', '.join(facts)}"


def animate(motion: MotionSet, index: int, out: Path) -> None:
    """Write a clip as .gif or .mp4 in true time, HA on the left and LA on the right, whole or not at all."""
    step = max(1, round(float(motion.fps[index]) / RATE))
    frames = list(range(0, int(min(motion.lengths[index], MOST_SECONDS * motion.fps[index])), step))
    times = np.append(frames, frames[-1] + step) / float(motion.fps[index])  # seconds
    with replacing(out) as part:
        if out.suffix.lower() == ".gif":
            write_gif(part, drawn_frames(motion, index, frames), times)
        else:
            write_mp4(part, drawn_frames(motion, index, frames), 1 / (times[1] - times[0]))


def drawn_frames(motion: MotionSet, index: int, frames: list[int]) -> Iterator[Image.Image]:
    """The pictures of an animation, all of one size."""
    flat = seen_from_the_side(motion.clip(index), motion.layout)
    figure, poses, title = open_stage(motion, index, flat)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")  # laid out once: titles that move would shake
    for frame in frames:
        for pose in poses:
            pose.move(flat[frame])
        title.set_text(f"{caption(motion, index)}\n{frame / motion.fps[index]:5.2f} s")
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        yield Image.fromarray(pixels[:, :, :3])


@styled
def open_stage(motion: MotionSet, index: int, flat: Flat) -> tuple[Figure, list[DrawnPose], Text]:
    """The figure of an animation, with the poses and the title that change."""
    figure = new_figure(8.0, 4.6)
    figure.set_dpi(90)
    grid = figure.subplots(1, 4, width_ratios=[1.6, 1, 1.6, 1])
    title = figure.suptitle(f"{caption(motion, index)}\n0.00 s", fontsize=10)
    poses = []
    for column, parts in enumerate(both_partitions(motion.layout)):
        prepare_axes(grid[2 * column], flat, heights=column == 0)
        poses.append(DrawnPose(grid[2 * column], flat[0], motion.layout, parts))
        legend_of(grid[2 * column + 1], parts)
    return figure, poses, title


def write_gif(path: Path, pictures: Iterator[Image.Image], times: NDArray[np.float64]) -> None:
    """Frames with one palette; a GIF counts in 10 ms, so durations are rounded such that their sum is right."""
    ticks = np.round(100 * times).astype(int)
    first, *rest = pictures
    palette = first.quantize(colors=64, dither=Image.Dither.NONE)
    shown = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in (first, *rest)]
    milliseconds = (10 * np.diff(ticks)).tolist()
    shown[0].save(path, "GIF", save_all=True, append_images=shown[1:], duration=milliseconds, loop=0, optimize=True)


def write_mp4(path: Path, pictures: Iterator[Image.Image], rate: float) -> None:
    """H.264 by ffmpeg, fed with raw frames."""
    first, *rest = pictures
    size = f"{first.width // 2 * 2}x{first.height // 2 * 2}"  # the codec wants even sides
    command = [find_ffmpeg(path), "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{first.width}x{first.height}", "-r", f"{rate:.6f}", "-i", "-", "-s", size]
    command += ["-pix_fmt", "yuv420p", "-f", "mp4", str(path)]
    raw = b"".join(each.tobytes() for each in (first, *rest))
    done = subprocess.run(command, input=raw, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise InputError(f"{path.name}: ffmpeg failed ({said[-1]})")


def find_ffmpeg(out: Path) -> str:
    """The path of ffmpeg; InputError where it is not installed."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise InputError(f"--out {out}: an .mp4 needs ffmpeg, which is not installed; use .gif")
    return found
