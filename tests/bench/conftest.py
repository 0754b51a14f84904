"""As in tests/labels: without a CUDA device the kernels run in Triton's interpreter."""

import torch

from tests.interpreter import interpret_kernels

if not torch.cuda.is_available():
    interpret_kernels()
