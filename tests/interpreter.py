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
