"""What would be a copy between host and device, or a wait for the device, if the tensors lay on one."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class ExplicitCopies(TorchFunctionMode):
    """Tensors handed to Python or NumPy by name."""

    CALLS = frozenset({"cpu", "numpy", "tolist", "cuda", "pin_memory", "__array__"})

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "") in self.CALLS
        return func(*args, **(kwargs or {}))


class HiddenCopies(TorchDispatchMode):
    """A tensor read as a number, numbers (or a list as an index) made into a tensor, a shape that depends on data."""

    OPERATORS = frozenset({"aten::_local_scalar_dense", "aten::lift_fresh", "aten::nonzero", "aten::masked_select"})

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split(".")[0]
        masks = name == "aten::index" and any(each is not None and each.dtype == torch.bool for each in args[1])
        self.count += masks or name in self.OPERATORS
        return func(*args, **(kwargs or {}))


def crossings(work):
    with ExplicitCopies() as explicit, HiddenCopies() as hidden:
        work()
    return explicit.count + hidden.count
