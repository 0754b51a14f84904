"""Triton's interpreter without what it does over and over."""

import importlib.util
import os


def interpret_kernels():
    """Let kernels run in the interpreter; to be called before Triton is imported.

    For every call of a device function the interpreter puts its own functions in the place of the language's, by a look
    at all its names. Within a launch they are there since the first call; here they are looked for once a launch.
    """
    os.environ.setdefault("TRITON_INTERPRET", "1")
    if importlib.util.find_spec("triton") is None:
        return
    from triton import language
    from triton.runtime import interpreter

    patch, call = interpreter._patch_lang, interpreter.GridExecutor.__call__
    if hasattr(patch, "done"):
        return

    def patch_once(function):
        seen = frozenset(
            id(each) for each in function.__globals__.values() if each is language or each is language.core
        )
        if seen in patch_once.done:
            return None  # nobody restores what a device function has put in
        patch_once.done.add(seen)
        return patch(function)

    def launch(*given, **named):
        patch_once.done.clear()
        return call(*given, **named)

    patch_once.done = set()
    interpreter._patch_lang = patch_once
    interpreter.GridExecutor.__call__ = launch
    known, look_up = {}, interpreter._get_np_dtype
    interpreter._get_np_dtype = lambda dtype: known.get(dtype.name) or known.setdefault(dtype.name, look_up(dtype))
    remember_types(language.core)
    skip_broadcast(language.semantic.TritonSemantic)


def remember_types(core):
    """Make the type of a block, and the shape of a tensor, once each: every operation asks for both again."""
    plain_block, plain_tensor = core.block_type.__init__, core.tensor.__init__
    blocks, shapes = {}, {}

    def block(self, element_ty, shape):
        key = element_ty.name, tuple(getattr(each, "value", each) for each in shape)
        if key not in blocks:
            plain_block(self, element_ty, shape)
            blocks[key] = dict(vars(self))
        vars(self).update(blocks[key])

    def tensor(self, handle, type):
        key = tuple(type.shape.values) if type.is_block() else ()
        if key not in shapes:
            plain_tensor(self, handle, type)
            shapes[key] = self.shape, self.numel
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = shapes[key]

    core.block_type.__init__, core.tensor.__init__ = block, tensor


def skip_broadcast(semantic):
    """Blocks of one shape are left as they are, without a look at every side of it."""
    broadcast = semantic.broadcast_impl_value

    def broadcast_unless_equal(self, left, right):
        if left.shape is right.shape:  # one object a shape: see remember_types
            return left, right
        return broadcast(self, left, right)

    semantic.broadcast_impl_value = broadcast_unless_equal
