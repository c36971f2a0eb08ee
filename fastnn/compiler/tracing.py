"""Tracing: a Python function becomes compiled code by running once, on values that record the
operations on them.

- A `primitive` is a Python function, which is its meaning, with the LLVM instructions that it
stands for when compiled.
- A `traced` function is made of primitives. Where Numba compiles a call of it, it is run once, on
`Traced` values, and
  each primitive emits its instructions there: Python's own loops unroll, and a list of vectors is a
  set of registers. `outlined` makes the instructions a function of their own, which all calls
  share.
- `entry` and `inlined` are the decorators of ordinary Numba code, that of the entry points.

Primitives and traced functions are not compiled by themselves: Numba's ``@overload`` and
``@intrinsic`` would take about a second for the primitives. In a specialized kernel some traced
values are constants; operations on constants are evaluated in Python while tracing. What is named
``..._ir``, here and in the other files of the compiler, emits LLVM's instructions by llvmlite.

``tests/compiler/test_numba.py`` lists the internals of Numba that this file and the others rest on.
"""

from __future__ import annotations

import functools
import inspect
import operator

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import lower_builtin, type_callable

from fastnn.compiler.program import digest, symbol
from fastnn.memory import ALIGNMENT

INT32 = ir.IntType(32)
INT64 = ir.IntType(64)


def const(i):
    """Return an index, a 64-bit integer."""
    return ir.Constant(INT64, i)


def mask(lanes):
    """Return the lane numbers of a shuffle."""
    return ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes))


def splat_ir(x, n):
    """Emit a vector with the number `x` in each of `n` lanes."""
    # The form that LLVM knows as a broadcast: into lane 0 of any vector, and from there to all
    # lanes.
    undefined = ir.Constant(ir.VectorType(x.value.type, n), ir.Undefined)
    first = x.builder.insert_element(undefined, x.value, INT32(0))
    return x.builder.shuffle_vector(first, undefined, mask([0] * n))


def intrinsic_ir(name, *vectors):
    """Emit a call of LLVM's intrinsic `name` on vectors of one type, or on numbers.

    None of those used here becomes a call of the C library where the CPU has the instruction.
    """
    builder = vectors[0].builder
    vector = vectors[0].value.type
    # An intrinsic is a function of the module, declared at its first use; its name ends in its
    # vector type.
    count, kind = (
        (f"v{vector.count}", vector.element) if isinstance(vector, ir.VectorType) else ("", vector)
    )
    name = f"llvm.{name}.{count}{'f32' if isinstance(kind, ir.FloatType) else 'f64'}"
    signature = ir.FunctionType(vector, [vector] * len(vectors))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, signature, name), [v.value for v in vectors]
    )


# ------------------------------------------------------------------------ functions that are traced


OUTLINED_ATTRIBUTES: list[str] = []
"""LLVM's attributes of outlined functions. A profiler adds "noinline", so that it can tell them
from their callers."""


def compiled(function, returns, lowering, formals=None):
    """Register the code that a call of `function` compiles to.

    ``returns(*types)`` gets Numba's types of the arguments and returns that of the result; a whole
    signature, to which the arguments are cast; or None where they do not fit. ``lowering(*args)``
    gets traced values, emits instructions and returns LLVM's value or a traced one. Operators,
    which Numba itself implements for numbers, are registered for the argument types in `formals`
    alone.
    """

    @type_callable(function)
    def type_call(context):
        def signature_of(*args):
            # counts and conditions become one type, so that they mix
            whole = (types.Integer, types.Boolean)
            args = [types.intp if isinstance(t, whole) else t for t in args]
            found = returns(*args)
            return found(*args) if isinstance(found, types.Type) else found

        # Numba reads the parameters' names from it
        signature_of.__signature__ = inspect.signature(function)
        return signature_of

    def lower_call(context, builder, signature, values):
        result = lowering(
            *(_given(context, builder, t, v) for t, v in zip(signature.args, values, strict=True))
        )
        if signature.return_type != types.void:
            return result.value if isinstance(result, Traced) else result

    for formal in formals or [[types.VarArg(types.Any)]]:
        lower_builtin(function, *formal)(lower_call)


def _given(context, builder, kind, value, constant=None):
    """Wrap an argument or a result: an array as a pointer, a NamedTuple as one of traced values."""
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
        kind = types.CPointer(kind.dtype)
    if not isinstance(kind, types.NamedTuple):
        return Traced(context, builder, kind, value, constant)
    # Its constants come with Numba's type, see `memory_ops.Unpacked`: the kernel's own code does
    # not know of them.
    parts = (builder.extract_value(value, i) for i in range(len(kind)))
    fields = zip(kind.types, parts, kind.constants, strict=True)
    return kind.instance_class(*(Traced(context, builder, *field) for field in fields))


def primitive(returns, lowering):
    """Make a Python function a primitive: called with a traced value, it emits its `lowering`, see
    `compiled`.
    """

    def decorate(function):
        @functools.wraps(function)
        def call(*args):
            for x in args:
                if isinstance(x, Traced):  # somebody is tracing; else this is plain Python
                    return x.emit(call, *args)
            return function(*args)

        compiled(call, returns, lowering)
        return call

    return decorate


def traced(function, returns=lambda *args: types.void):
    """Compile a Python function by running it once on traced values. It returns nothing: it writes
    to arrays.
    """

    @functools.wraps(function)
    def call(*args):
        return function(*args)

    compiled(call, returns, functools.partial(_run_once, function))
    return call


def traced_vector(function):
    """Compile like `traced` a function that returns a vector of its first argument's type: the
    elementary functions.
    """
    return traced(function, lambda *args: args[0])


def _run_once(function, *args):
    """Run a function on traced values, and refuse one that has left a loop before its end."""
    # A loop that was left has an end that nothing jumps from; Numba's own blocks, made before, are
    # not looked at.
    builder = next(_leaves(args)).builder
    n_blocks = len(builder.function.blocks)
    result = function(*args)
    if any(
        block is not builder.block and not block.is_terminated
        for block in builder.function.blocks[n_blocks:]
    ):
        raise TypeError(
            f"{function.__qualname__}: a loop of compiled code cannot be left by `break`"
        )
    return result


def outlined(function, linkage="internal"):
    """Compile like `traced`, but as one function of LLVM's that all calls within a kernel share.

    LLVM then optimizes the function once, by itself, which is most of what a compilation takes.
    Arguments are traced values, plain numbers, and NamedTuples of them.
    """

    @traced
    @functools.wraps(function)
    def body(*args):
        # any one has the builder
        near = next((x for x in _leaves(args) if isinstance(x, Traced)), None)
        if near is None or not near.outlines:  # plain Python, or a target without outlined code
            return function(*args)
        return _call_outlined(function, args, near, linkage)

    return body


def exported(function):
    """Compile like `outlined`, as a function that C can call; a kernel's `address_of` finds it by
    its `symbol`.
    """
    return outlined(function, "external")


def _call_outlined(function, args, near, linkage):
    """Call the LLVM function for arguments of these types and constants; trace it where the module
    has none yet.
    """
    # A plain number is a constant inside a specialized kernel only: elsewhere each number would get
    # a function of its own, where one that takes the number as an argument serves all calls.
    special = any(isinstance(x, Traced) and x.constant is not None for x in _leaves(args))
    leaves = all_traced(near, _leaves(args))
    constants = [x.constant if special else None for x in leaves]
    module = near.builder.module
    types = ",".join(str(x.type) for x in leaves)
    name = f"{function.__module__}.{function.__qualname__}({types}){digest(constants)}"
    if linkage == "external":
        name = symbol(function.__name__, leaves[0].type.dtype)
    code = module.globals.get(name)
    if code is None:
        code = ir.Function(
            module, ir.FunctionType(ir.VoidType(), [x.value.type for x in leaves]), name
        )
        code.linkage = (
            linkage  # "internal": not seen from outside, so LLVM may inline it and drop it
        )
        for attribute in OUTLINED_ATTRIBUTES:
            code.attributes.add(attribute)
        # the caller's builder stays where it is
        inside = ir.IRBuilder(code.append_basic_block("entry"))
        parameters = zip(leaves, code.args, constants, strict=True)
        values = (Traced(x.context, inside, x.type, y, constant) for x, y, constant in parameters)
        _run_once(function, *_like(args, values))
        inside.ret_void()
    near.builder.call(code, [x.value for x in leaves])


def _leaves(values):
    """Iterate over the values in a tuple and in the NamedTuples in it."""
    for value in values:
        if isinstance(value, tuple):
            yield from _leaves(value)
        else:
            yield value


def _like(values, leaves):
    """Put other leaves, an iterator, in the place of those in a tuple: a list of its values."""
    return [type(x)(*_like(x, leaves)) if isinstance(x, tuple) else next(leaves) for x in values]


# --------------------------------------------------------------------- the values on which they are


def _operator(operation):
    """Make the two methods of an operator of Python: for a traced left operand, and for a right
    one.
    """

    def on_the_left(self, other):
        return self.emit(operation, self, other)

    def on_the_right(self, other):
        return self.emit(operation, other, self)

    return on_the_left, on_the_right


def _comparison(how, operation):
    """Make the method of a comparison of integers, which gives 1 or 0; `how` is LLVM's word for
    it.
    """

    def compare(self, other):
        (other,) = all_traced(self, [other])
        if self.constant is not None and other.constant is not None:
            return self.of(*_constant(int(operation(self.constant, other.constant))))
        # widened from one bit, so that conditions can be added, passed on and kept like any integer
        return self.of(
            types.intp,
            self.builder.zext(self.builder.icmp_signed(how, self.value, other.value), INT64),
        )

    return compare


def _combination(operation, absorbing):
    """Make the method of ``&`` or ``|`` of two conditions, 1 or 0: a constant decides if
    `absorbing`, or drops out.
    """

    def combine(self, other):
        # else bits of vectors
        for x, y in ((self, other), (other, self)) if self.type == types.intp else ():
            value = x.constant if isinstance(x, Traced) else x
            if value is not None:
                return x if bool(value) == absorbing else y
        return self.emit(operation, self, other)

    return combine


class Traced:
    """A stand-in for a value of the compiled code, on which a function is traced.

    Instructions go to Numba's `context` and llvmlite's `builder`. `type` is Numba's: a vector, a
    pointer, a number; `value` is llvmlite's, the register, so to speak, that will hold it;
    `constant` is the integer or array that it is at compile time, else None.
    """

    outlines = True
    """Whether `outlined` functions become functions of their own."""
    unrolled = 8
    """Rounds up to which a loop with a constant number of them is unrolled."""

    def __init__(self, context, builder, type, value, constant=None):
        self.context = context
        self.builder = builder
        self.type = type
        self.value = value
        self.constant = constant

    def of(self, type, value, constant=None):
        """Return another value of the same code."""
        return Traced(self.context, self.builder, type, value, constant)

    def lanes(self):
        """Return the lanes of a vector of this array's dtype, a Python integer: 1 where its numbers
        are vectors.
        """
        return ALIGNMENT * 8 // self.type.dtype.bitwidth or 1

    def emit(self, function, *args):
        """Emit the instructions of ``function(*args)``; a plain Python number among `args` is a
        constant.
        """
        args = all_traced(self, args)
        constant = None
        if all(x.constant is not None for x in args):
            constant = function(*(x.constant for x in args))
            # A number needs no instruction. What is left of an array has its pointer all the same:
            # a later index into it may be no constant.
            if not isinstance(constant, np.ndarray):
                return self.of(
                    *_constant(constant if isinstance(constant, float) else int(constant))
                )
        # Numba types and casts the operands, so a number beside a vector means the same as in
        # ordinary compiled code.
        signature, implementation = resolve(self.context, function, *(x.type for x in args))
        operands = zip(args, signature.args, strict=True)
        values = [self.context.cast(self.builder, x.value, x.type, t) for x, t in operands]
        return _given(
            self.context,
            self.builder,
            signature.return_type,
            implementation(self.builder, values),
            constant,
        )

    __add__, __radd__ = _operator(operator.add)
    __sub__, __rsub__ = _operator(operator.sub)
    __mul__, __rmul__ = _operator(operator.mul)
    __truediv__, __rtruediv__ = _operator(operator.truediv)
    __lshift__, __rlshift__ = _operator(operator.lshift)
    __rshift__, __rrshift__ = _operator(operator.rshift)
    __and__ = __rand__ = _combination(operator.and_, absorbing=False)
    __or__ = __ror__ = _combination(operator.or_, absorbing=True)
    __eq__ = _comparison("==", operator.eq)
    __ne__ = _comparison("!=", operator.ne)
    __lt__ = _comparison("<", operator.lt)
    __le__ = _comparison("<=", operator.le)
    __gt__ = _comparison(">", operator.gt)
    __ge__ = _comparison(">=", operator.ge)
    __hash__ = None  # two equal ones are not known to be equal

    def __neg__(self):
        return self.emit(operator.neg, self)

    def __floordiv__(self, divisor):
        """Divide without sign by a positive Python integer. Numba's own operator would add sign and
        zero checks.
        """
        if self.constant is not None:
            return self.of(*_constant(self.constant // divisor))
        return self.of(self.type, self.builder.udiv(self.value, const(divisor)))

    # Python would decide once, while tracing, what the compiled code has to decide each time.
    def __bool__(self):
        raise TypeError(
            "a traced value is not known yet: no `if`, `not`, `and`, `while` or `range` may "
            "depend on it"
        )

    __index__ = __bool__


def _constant(x):
    """Return a plain number as compiled code has it: type, value, constant."""
    if isinstance(x, int):
        return types.intp, const(int(x)), int(x)
    # A float is no constant to compute with: Python would round it otherwise than the kernel's
    # dtype does.
    return types.float64, ir.Constant(ir.DoubleType(), float(x)), None


@functools.cache  # the same primitive on the same types, thousands of times
def resolve(context, function, *argument_types):
    """Find Numba's signature and implementation of a function for these types."""
    kind = context.typing_context.resolve_value_type(function)
    signature = context.typing_context.resolve_function_type(kind, argument_types, {})
    return signature, context.get_function(kind, signature)


def all_traced(near, values):
    """Return the values, the plain numbers among them as constants of the code that `near` is
    in.
    """
    return [x if isinstance(x, Traced) else near.of(*_constant(x)) for x in values]


# ------------------------------------------------------------------------------ ordinary Numba code


# No GIL, NumPy's error model (division by zero gives infinity), no fast-math, no threads, no
# wrappers for Python. Python never calls these functions by Numba's own wrappers: `loader.py` calls
# their machine code.
_FLAGS = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def inlined(function):
    """Compile a part of a kernel where it is called, before types are inferred.

    Numba would optimize a function of its own twice, for itself and in the kernel.
    """
    return njit(function, inline="always", **_FLAGS)


def entry(function, **annotations):
    """Compile an entry point, which takes addresses and numbers, not Python's objects.

    `annotations` are those of its parameters and its result which others have too.
    """
    function.__annotations__ |= annotations
    if config.DISABLE_JIT:
        # compiled code does not warn of infinities and NaN either
        return np.errstate(all="ignore")(function)
    return njit(function, **_FLAGS)  # pragma: no cover - compiled


def cpu_has(feature: str) -> bool:
    """Return whether code is compiled for a CPU with this feature of LLVM's, such as "avx512f".

    It may choose how a result is computed, never a bit of it. A CPU that is only named
    (``NUMBA_CPU_NAME``) lists none.
    """
    # Numba's setting or the host's: the same features that the cache's key holds.
    return f"+{feature}" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
