"""Features to measure the label stage on: of windows of real motion, by an encoder trained on its clips for a while.

Synthetic clusters have wide gaps, and a common direction is not theirs: what is quick on them can crawl on features.
"""

from dataclasses import replace

import numpy as np
import torch

from airfast.config import Config, load_config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.methods.air.air import Air, all_features
from airfast.methods.air.amdl import clustered
from airfast.methods.method import Epoch
from airfast.training.pretrain import begin, train_epoch
from airfast.training.step import TrainingStep

ALIGNED, LABELLED = 4, 2  # epochs without labels, and with


def trained(
    motion: MotionSet, preset: str, overrides: tuple[str, ...], device: torch.device
) -> tuple[Air, DeviceClips]:
    """An encoder after a few epochs on every clip of a set, and the clips on the device."""
    config = load_config(preset, overrides=("split.kind=none", *overrides))
    clips = DeviceClips.from_motion(motion, config.inputs, device)
    state = begin(config, motion, clips)
    step, method = TrainingStep(state, clips), state.method
    assert isinstance(method, Air)
    for epoch in range(ALIGNED + LABELLED):
        if epoch >= ALIGNED:
            method.relabel(all_features(method, clips), state.optimiser)
        train_epoch(step, Epoch(), epoch)
    return method, clips


def windows(clips: DeviceClips, n: int, frames: int) -> DeviceClips:
    """n windows of so many frames (or a whole clip, where it is shorter), spread evenly over every clip.

    They overlap where there are not enough frames for all, as windows of streams do.
    """
    lengths = clips.lengths.cpu().numpy()
    room = np.maximum(1, lengths - frames + 1)  # windows that a clip can have
    pick = np.linspace(0, room.sum() - 1, min(n, room.sum())).astype(np.int64)
    ends = np.cumsum(room)
    clip = np.searchsorted(ends, pick, side="right")
    offsets = clips.offsets.cpu().numpy()[clip] + pick - (ends - room)[clip]
    return replace(
        clips,
        offsets=torch.from_numpy(offsets).to(clips.offsets.device),
        lengths=torch.from_numpy(np.minimum(lengths[clip], frames)).to(clips.offsets.device),
    )


def features(method: Air, clips: DeviceClips, n: int, concat: bool) -> torch.Tensor:
    """(≤ n, D) float32 on the device of the clips: y of X, or what the label stage clusters, the three side by side."""
    config: Config = method.config
    found = all_features(method, windows(clips, n, config.inputs.frames))
    return clustered(config.air, found) if concat else found["x"]
