"""An instruction that Numba has no name for: asking the memory for what will be read a little later."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def _prefetch(context, array, at):  # type: ignore[no-untyped-def]
    """Bring array[at] of a contiguous array into the nearest cache without waiting for it; any `at` is harmless."""

    def generate(target, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(target, builder, arguments[0]).data  # type: ignore[no-untyped-call]
        place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = cgutils.int32_t
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        builder.call(call, [place, number(0), number(3), number(1)])  # to read, to keep near, data
        return target.get_dummy_value()

    return types.void(array, at), generate


prefetch: Any = intrinsic(_prefetch)
