"""The prepared set on the training device: one tensor of frames; a batch is an index selection (METHOD 6 and 8)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from airfast.config import Inputs
from airfast.data.augment import family, mild, uniform
from airfast.data.motion import MotionSet
from airfast.data.room import room
from airfast.data.skeleton import canonical

FEATURE_BATCH = 512  # clips a forward pass that trains nothing; results do not depend on it


@dataclass(frozen=True)
class DeviceClips:
    """Every frame of every clip as one tensor: on the device or, where it is too large for that, on the host.

    Attributes:
        frames: (F, C, J) float32; on the host, which then reads what a batch needs, if the device has no room. C is 3
            (positions in metres, root-centred) or 6 (and velocities, metres a second).
        offsets: (N,) int64, first frame of each clip.
        lengths: (N,) int64, frames of each clip.
        mirror: (J,) int64, the layout's permutation of left and right, on the device too.
        inputs: how clips are read: T, the augmentation, the velocity.
    """

    frames: Tensor
    offsets: Tensor
    lengths: Tensor
    mirror: Tensor
    inputs: Inputs

    @classmethod
    def from_motion(cls, motion: MotionSet, inputs: Inputs, device: torch.device | str) -> "DeviceClips":
        """Normalise a prepared set as ``inputs`` says and move it to the device, once, if there is room."""
        motion = canonical(motion) if inputs.joints == "canonical" else motion
        frames = torch.from_numpy(normalise(motion, inputs))
        return cls(
            frames=frames.to(device) if fits(frames, torch.device(device)) else frames,
            offsets=torch.from_numpy(motion.offsets).to(device),
            lengths=torch.from_numpy(motion.lengths).to(device),
            mirror=torch.tensor(motion.layout.mirror, device=device),
            inputs=inputs,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self.mirror.device

    def read(self, clips: Tensor, start: Tensor, span: Tensor) -> Tensor:
        """Resample a stretch of each clip to T frames by linear interpolation.

        Args:
            clips: (B,) int64 indices.
            start: (B,) first frame of the stretch, counted from the clip's own, may be fractional.
            span: (B,) frames between its first and its last sample.

        Returns:
            (B, C, T, J).
        """
        steps = torch.linspace(0, 1, self.inputs.frames, device=self.device)
        time = start[:, None] + span[:, None] * steps  # (B, T)
        last = (self.lengths[clips] - 1)[:, None]
        before = time.floor().long().minimum(last).clamp(min=0)
        after = (before + 1).minimum(last)
        weight = (time - before)[:, :, None, None]
        offset = self.offsets[clips][:, None]
        return torch.lerp(self.of(offset + before), self.of(offset + after), weight).transpose(1, 2)

    def of(self, index: Tensor) -> Tensor:
        """Frames (B, T, C, J) by their index (B, T), on the device."""
        return self.frames[index.to(self.frames.device)].to(self.device)

    def whole(self, clips: Tensor) -> Tensor:
        """Each clip from first frame to last, not augmented: (B, C, T, J)."""
        span = (self.lengths[clips] - 1).float()
        return self.read(clips, torch.zeros_like(span), span)

    def view(self, clips: Tensor, generator: Generator) -> Tensor:
        """One random view of each clip: a temporal crop resized to T, then the augmentation: (B, C, T, J).

        A crop for ``mild`` is 0.5 to 1 of the clip; else, by the paper's family, 0.1 to 1 of its n frames, but never
        fewer than min(T, n): a clip of up to T frames is read whole.
        """
        if self.inputs.augmentation != "mild":
            return family(self.family_crop(clips, generator), generator)
        length = (self.lengths[clips] - 1).float()
        span = length * uniform(length.shape, 0.5, 1.0, length, generator)
        start = (length - span) * uniform(length.shape, 0.0, 1.0, length, generator)
        return mild(self.read(clips, start, span), self.mirror, generator)

    def family_crop(self, clips: Tensor, generator: Generator) -> Tensor:
        """0.1 to 1 of each clip's n frames, but never fewer than min(T, n), resized to T: (B, C, T, J)."""
        length = (self.lengths[clips] - 1).float()
        ratio = uniform(length.shape, 0.1, 1.0, length, generator)
        span = torch.maximum((length + 1) * ratio - 1, length.clamp(max=self.inputs.frames - 1))
        start = (length - span) * uniform(length.shape, 0.0, 1.0, length, generator)
        return self.read(clips, start, span)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Every clip once, in order, whole, in batches of at most ``size``."""
        for index in torch.split(torch.arange(len(self), device=self.device), size):
            yield self.whole(index)


def normalise(motion: MotionSet, inputs: Inputs) -> NDArray[np.float32]:
    """Positions (and velocities) as the encoder reads them: (F, C, J) float32.

    Root-centred in every frame. With ``facing: clip`` each clip is first turned about the vertical axis until its
    mean shoulder line lies on x, with ``facing: first`` until that of its first frame does.
    With ``velocity: true`` three channels of velocity in metres a second follow, of the
    joints in the room and not of the joints about the root: walking speed lives there, and no resampling changes it.
    """
    channels = 6 if inputs.velocity == "true" else 3
    frames = room((len(motion.positions), channels, len(motion.layout.joints)))
    for start, length, fps in zip(motion.offsets, motion.lengths, motion.fps, strict=True):
        clip = motion.positions[start : start + length].astype(np.float32, copy=False)
        if inputs.facing != "none":
            clip = clip @ facing_turn(clip[:1] if inputs.facing == "first" else clip, motion.layout.shoulders)
        read = [clip - clip[:, [motion.layout.root]]]
        if channels == 6:
            read.append(np.gradient(clip, axis=0) * fps)
        frames[start : start + length] = np.concatenate(read, axis=2).transpose(0, 2, 1)
    return frames


def fits(frames: Tensor, device: torch.device) -> bool:
    """Whether a device has room for all frames and as much again to compute with."""
    return device.type != "cuda" or 2 * frames.nbytes < torch.cuda.mem_get_info(device)[0]


def facing_turn(clip: NDArray[np.float32], shoulders: tuple[int, int]) -> NDArray[np.float32]:
    """The rotation about y (3, 3), for row vectors, that lays the mean line from right to left shoulder on +x."""
    left, right = shoulders
    across = (clip[:, left] - clip[:, right]).mean(axis=0)
    angle = math.atan2(across[2], across[0])
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]], dtype=np.float32)
