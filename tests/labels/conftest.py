"""Without a CUDA device the kernels run in Triton's interpreter, which has to be chosen before Triton is imported."""

import torch

from tests.interpreter import interpret_kernels

if not torch.cuda.is_available():
    interpret_kernels()
