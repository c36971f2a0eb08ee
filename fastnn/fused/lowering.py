"""How a Python function becomes a primitive of the compiled code: typing, lowering and tracing.

Two mechanisms, both without a compilation of their own (an ``@overload`` around an ``@intrinsic`` costs about a second
for the primitives of this package):

- `primitive` and `compiled`: a Python function, which is the meaning, and beside it the LLVM instructions that it
  stands for in compiled code.
- `traced`: a Python function over primitives that is run once, on `Traced` values, when Numba lowers a call of it.
  Each primitive then emits its instructions; Python's own loops unroll and a Python list of vectors is a set of
  registers. `control.py` has the loops and branches that stay what they are. The instructions stand where the call
  stood; `outlined` makes them a function, which all calls share.

What a traced value is may be known, if the kernel is compiled for one network: then Python computes with it while it
traces, as it does where kernels run as plain Python, and only what depends on the rest is compiled.

This is the one file that knows Numba's internals (`resolve_function_type`, `get_function`).
"""

from __future__ import annotations

import functools
import inspect
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from fastnn.fused.words import digest

INT32, INT64 = ir.IntType(32), ir.IntType(64)

OUTLINED_ARE: list[str] = []
"""LLVM's attributes of outlined functions; a profiler adds "noinline", to tell them from their callers."""


def compiled(function, *formal):
    """Say what `function` compiles to: decorates ``typer(*types) -> (signature, codegen)``.

    `typer` gets the argument types and returns None when they do not fit; ``codegen(context, builder, signature,
    values)`` emits the instructions.
    """

    def register(typer):
        @type_callable(function)
        def _(context):
            def signature_of(*args):
                found = typer(*args)
                return found and found[0]

            signature_of.__signature__ = inspect.signature(function)
            return signature_of

        @lower_builtin(function, *(formal or [types.VarArg(types.Any)]))
        def _(context, builder, signature, values):
            return typer(*signature.args)[1](context, builder, signature, values)

        return typer

    return register


def primitive(function):
    """A Python function that, called with a traced value, emits what it compiles to."""

    @functools.wraps(function)
    def call(*args):
        for x in args:
            if isinstance(x, Traced):
                return x.emit(call, *args)
        return function(*args)

    return call


def traced(function):
    """A Python function that is compiled by running it once on traced values. It returns nothing: it writes arrays."""
    return _trace(function, lambda *args: types.void)


def traced_vector(function):
    """The same for a function that returns a vector of its first argument's kind, such as the elementary functions."""
    return _trace(function, lambda *args: args[0])


def outlined(function):
    """`traced`, but optimised once for all calls within a kernel, which is what takes the time of a compilation."""

    def body(*args):
        if isinstance(args[0], Traced):
            return _outlined_ir(function, args)
        return function(*args)

    return traced(functools.wraps(function)(body))


def _outlined_ir(function, args):
    """Call the function that `function` was traced to for arguments of these types, and of what is known of them."""
    special = any(isinstance(x, Traced) and x.known is not None for x in args)
    args = all_traced(args[0], args)
    known = [x.known if special else None for x in args]
    builder, kinds = args[0].builder, [x.value.type for x in args]
    name = f"{function.__module__}.{function.__qualname__}({','.join(str(x.type) for x in args)}){digest(known)}"
    code = builder.module.globals.get(name)
    if code is None:
        code = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), kinds), name)
        code.linkage = "internal"
        for attribute in OUTLINED_ARE:
            code.attributes.add(attribute)
        inside = ir.IRBuilder(code.append_basic_block("entry"))
        parameters = zip(args, code.args, known, strict=True)
        _run_once(inside, function, *(Traced(x.context, inside, x.type, y, value) for x, y, value in parameters))
        inside.ret_void()
    builder.call(code, [x.value for x in args])


def _run_once(builder, function, *args):
    """Run a function on traced values, and refuse one that has left a loop before its end."""
    n_blocks = len(builder.function.blocks)
    result = function(*args)
    if any(block is not builder.block and not block.is_terminated for block in builder.function.blocks[n_blocks:]):
        raise TypeError(f"{function.__qualname__}: a loop of compiled code cannot be left by `break`")
    return result


def _trace(function, returns):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    @compiled(call)
    def _(*args):
        whole = (types.Integer, types.Boolean)
        signature = returns(*args)(*(types.intp if isinstance(t, whole) else t for t in args))

        def codegen(context, builder, sig, values):
            given = (_given(context, builder, t, v) for t, v in zip(sig.args, values, strict=True))
            result = _run_once(builder, function, *given)
            return None if result is None else result.value

        return signature, codegen

    return call


def _given(context, builder, kind, value):
    """An argument as the traced function sees it: a NamedTuple as one, of traced values."""
    if not isinstance(kind, types.NamedTuple):
        return Traced(context, builder, kind, value)
    parts = (builder.extract_value(value, i) for i in range(len(kind)))
    fields = zip(kind.types, parts, kind.known, strict=True)
    return kind.instance_class(*(Traced(context, builder, *field) for field in fields))


class Traced:
    """A value of the compiled code, seen from the function that is being traced; `known` is what it is in Python, an
    integer or an array, or None.
    """

    def __init__(self, context, builder, type, value, known=None):
        self.context, self.builder, self.type, self.value, self.known = context, builder, type, value, known

    def of(self, type, value, known=None):
        """Another value of the same code."""
        return Traced(self.context, self.builder, type, value, known)

    def emit(self, function, *args):
        """The instructions of ``function(*args)``; a plain Python number among `args` is a constant."""
        args = all_traced(self, args)
        known = None
        if all(x.known is not None for x in args):
            known = function(*(x.known for x in args))
            if not isinstance(known, np.ndarray):
                return self.of(*_constant(int(known)))
        signature, implementation = _resolve(self.context, function, *(x.type for x in args))
        values = [
            self.context.cast(self.builder, x.value, x.type, t) for x, t in zip(args, signature.args, strict=True)
        ]
        return self.of(signature.return_type, implementation(self.builder, values), known)

    def __add__(self, other):
        return self.emit(operator.add, self, other)

    def __sub__(self, other):
        return self.emit(operator.sub, self, other)

    def __mul__(self, other):
        return self.emit(operator.mul, self, other)

    def __truediv__(self, other):
        return self.emit(operator.truediv, self, other)

    def __radd__(self, other):
        return self.emit(operator.add, other, self)

    def __rsub__(self, other):
        return self.emit(operator.sub, other, self)

    def __rmul__(self, other):
        return self.emit(operator.mul, other, self)

    def __rtruediv__(self, other):
        return self.emit(operator.truediv, other, self)

    def __neg__(self):
        return self.emit(operator.neg, self)

    def __floordiv__(self, divisor):
        """Of an integer that is not negative by a positive constant: Numba's own checks signs and zero."""
        if self.known is not None:
            return self.of(*_constant(self.known // divisor))
        return self.of(self.type, self.builder.udiv(self.value, const(divisor)))

    def _compare(self, how, function, other):
        """1 or 0: of integers."""
        (other,) = all_traced(self, [other])
        if self.known is not None and other.known is not None:
            return self.of(*_constant(int(function(self.known, other.known))))
        return self.of(types.intp, self.builder.zext(self.builder.icmp_signed(how, self.value, other.value), INT64))

    def _combine(self, other, absorbing, instruction):
        """1 or 0, of two conditions; only the other one counts where one is known and does not decide alone."""
        for x, y in ((self, other), (other, self)):
            value = x.known if isinstance(x, Traced) else x
            if value is not None:
                return x if bool(value) == absorbing else y
        return self.of(types.intp, instruction(self.value, other.value))

    def __and__(self, other):
        return self._combine(other, False, self.builder.and_)

    def __or__(self, other):
        return self._combine(other, True, self.builder.or_)

    __rand__, __ror__ = __and__, __or__

    def __eq__(self, other):
        return self._compare("==", operator.eq, other)

    def __ne__(self, other):
        return self._compare("!=", operator.ne, other)

    __hash__ = None

    def __lt__(self, other):
        return self._compare("<", operator.lt, other)

    def __le__(self, other):
        return self._compare("<=", operator.le, other)

    def __gt__(self, other):
        return self._compare(">", operator.gt, other)

    def __ge__(self, other):
        return self._compare(">=", operator.ge, other)

    def __bool__(self):
        raise TypeError("a traced value is not known yet: no `if`, `not`, `and`, `while` or `range` may depend on it")

    __index__ = __bool__


def _constant(x):
    """A plain number as compiled code has it: type, value, and what is known."""
    if isinstance(x, int):
        return types.intp, const(int(x)), int(x)
    return types.float64, ir.Constant(ir.DoubleType(), float(x)), None


@functools.cache
def _resolve(context, function, *argument_types):
    known = context.typing_context.resolve_value_type(function)
    signature = context.typing_context.resolve_function_type(known, argument_types, {})
    return signature, context.get_function(known, signature)


def all_traced(near, values):
    """The values, plain numbers among them as constants of the code that `near` is in."""
    return [x if isinstance(x, Traced) else near.of(*_constant(x)) for x in values]


# ------------------------------------------------------------------------------------------- LLVM IR: a few shorthands


def const(i):
    """An index."""
    return ir.Constant(INT64, i)


def mask(lanes):
    """The lane numbers of a shuffle."""
    return ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes))


def splat_ir(builder, x, n):
    """The scalar `x` in each of `n` lanes."""
    undefined = ir.Constant(ir.VectorType(x.type, n), ir.Undefined)
    first = builder.insert_element(undefined, x, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, mask([0] * n))


def intrinsic_ir(builder, name, *args):
    """A call of LLVM's intrinsic `name` on vectors of one type; none of those used here becomes a libm call where the
    CPU has the instruction.
    """
    vector = args[0].type
    kind = f"v{vector.count}{'f32' if isinstance(vector.element, ir.FloatType) else 'f64'}"
    signature = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.{kind}"), args)
