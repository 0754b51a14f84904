"""The image branch of SSAL: adaptive Fourier filters over a clip read as an image (Huang et al., ICCV 2023)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from airfast.models.backbone import Backbone

CHANNELS, HIDDEN, GROUPS = 64, 256, 8
THRESHOLD = 0.01  # entries of a mask that are smaller are nothing
FEATURE = 256


class FourierFilter(nn.Module):
    """A mask over frequencies that the image itself decides: (B, C, T, J) to the same, always in float32.

    X = rfft2(x), mask = softshrink(W₂·ReLU(W₁X + b₁) + b₂) in complex numbers, out = irfft2(X ∘ mask). W₁ and W₂ mix
    the channels of a group alone; ReLU and softshrink take real and imaginary part apart.

    Args:
        channels: C, a multiple of 8. There are C²/2 + 4C parameters.

    Source: FAMILY 10.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = channels // GROUPS
        # real and imaginary part first
        self.weights = nn.ParameterList([nn.Parameter(0.02 * torch.randn(2, GROUPS, wide, wide)) for _ in range(2)])
        self.biases = nn.ParameterList([nn.Parameter(0.02 * torch.randn(2, GROUPS, wide, 1, 1)) for _ in range(2)])

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, T, J) to (B, C, T, J)."""
        with torch.autocast("cuda" if image.is_cuda else "cpu", enabled=False):  # counted on meta, which has none
            spectrum = torch.fft.rfft2(image.float(), norm="ortho")  # (B, C, T, J/2 + 1)
            grouped = spectrum.unflatten(1, (GROUPS, -1))
            real, imaginary = (torch.relu(each) for each in self._mix(0, grouped.real, grouped.imag))
            mask = torch.complex(*(F.softshrink(each, THRESHOLD) for each in self._mix(1, real, imaginary)))
            filtered: Tensor = torch.fft.irfft2(spectrum * mask.flatten(1, 2), s=image.shape[2:], norm="ortho")
            return filtered

    def _mix(self, layer: int, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """A complex product and sum within each group: (B, G, C/G, T, F) both."""
        of_real, of_imaginary = self.weights[layer].float().unbind()
        bias_real, bias_imaginary = self.biases[layer].float().unbind()

        def product(weight: Tensor, values: Tensor) -> Tensor:
            return torch.einsum("goi,bgitf->bgotf", weight, values)

        return (
            product(of_real, real) - product(of_imaginary, imaginary) + bias_real,
            product(of_real, imaginary) + product(of_imaginary, real) + bias_imaginary,
        )


class FourierBlock(nn.Module):
    """A perceptron over the channels, then a filter over frequencies, each behind a BatchNorm and around a residual."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.mix = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.GELU(), nn.Conv2d(hidden, channels, 1))
        self.filter = FourierFilter(channels)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, T, J) to (B, C, T, J)."""
        mixed = image + self.mix(self.first(image))
        filtered: Tensor = mixed + self.filter(self.second(mixed))
        return filtered.to(self.first.weight.dtype)  # a network that is bfloat16 throughout goes on so


class ImageBranch(Backbone):
    """Positions of clips (B, 3, T, J) as an image of three channels to features (B, 256): 88,320 parameters."""

    width = FEATURE

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(3, CHANNELS, 1), nn.BatchNorm2d(CHANNELS))
        self.blocks = nn.Sequential(*(FourierBlock(CHANNELS, HIDDEN) for _ in range(2)))
        self.project = nn.Linear(CHANNELS, FEATURE)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, 256)."""
        feature: Tensor = self.project(self.blocks(self.embed(clips)).mean(dim=(2, 3)))
        return feature
