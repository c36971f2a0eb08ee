"""Tracing: a Python function becomes compiled code by being run once, on values that write down what is done to them.

Two mechanisms, neither with a compilation of its own (an ``@overload`` around an ``@intrinsic`` costs about a second
for the primitives of this package):

- `primitive` and `compiled`: a Python function, which is the meaning, and beside it the LLVM instructions that it
  stands for in compiled code.
- `traced`: a Python function over primitives that is run once, on `Traced` values, when Numba compiles a call of it.
  Each primitive then emits its instructions; Python's own loops unroll, and a Python list of vectors is a set of
  registers. `control.py` has the loops and branches that stay loops and branches. The instructions stand where the
  call stood; `outlined` makes them a function of their own, which all calls share.

In a specialized kernel some traced values are constants. Operations on constants are evaluated in Python while tracing;
only the others emit instructions.

``tests/fused/test_kernel_code.py`` lists the internals of Numba that this file and the others rest on.
"""

from __future__ import annotations

import functools
import inspect
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from fastnn.compiler.arguments import digest
from fastnn.compiler.instructions import INT64, const

OUTLINED_ATTRIBUTES: list[str] = []
"""LLVM's attributes of outlined functions. A profiler adds "noinline", so that it can tell them from their callers."""


def compiled(function, *formal):
    """Register what `function` compiles to: a decorator of ``lowering(*types) -> (signature, codegen)``.

    The lowering gets Numba's types of the arguments and returns None where they do not fit. ``codegen(context, builder,
    signature, values)`` emits the instructions.
    """

    def register(lowering):
        @type_callable(function)
        def type_call(context):
            def signature_of(*args):
                found = lowering(*args)
                return found and found[0]

            signature_of.__signature__ = inspect.signature(function)  # Numba reads the parameters' names from it
            return signature_of

        # One implementation for all types, since typing has refused the others. Operators, which Numba implements for
        # numbers as well, are registered for the types in `formal` alone.
        @lower_builtin(function, *(formal or [types.VarArg(types.Any)]))
        def lower_call(context, builder, signature, values):
            return lowering(*signature.args)[1](context, builder, signature, values)

        return lowering

    return register


def primitive(function):
    """Make a Python function a primitive: called with a traced value, it emits what it compiles to."""

    @functools.wraps(function)
    def call(*args):
        for x in args:
            if isinstance(x, Traced):  # somebody is tracing; else this is plain Python
                return x.emit(call, *args)
        return function(*args)

    return call


def traced(function):
    """Compile a Python function by running it once on traced values. It returns nothing: it writes to arrays."""
    return _trace(function, lambda *args: types.void)


def traced_vector(function):
    """Compile like `traced` a function that returns a vector of its first argument's type: the elementary functions."""
    return _trace(function, lambda *args: args[0])


def outlined(function):
    """Compile like `traced`, but as one function of LLVM's that all calls within a kernel share.

    LLVM then optimizes the function once, by itself, which is most of what a compilation takes. Arguments are traced
    values, plain numbers, and NamedTuples of them.
    """

    def body(*args):
        leaves = list(_leaves(args))
        near = next((x for x in leaves if isinstance(x, Traced)), None)  # any one has the builder; none: plain Python
        return function(*args) if near is None else _call_outlined(function, args, leaves, near)

    return traced(functools.wraps(function)(body))


def _call_outlined(function, args, leaves, near):
    """Call the LLVM function for arguments of these types and constants; trace it where the module has none yet."""
    # A plain number is a constant inside a specialized kernel only: elsewhere each number would get a function of its
    # own, where one that takes the number as an argument serves all calls.
    special = any(isinstance(x, Traced) and x.constant is not None for x in leaves)
    leaves = all_traced(near, leaves)
    constants = [x.constant if special else None for x in leaves]
    builder = near.builder
    name = f"{function.__module__}.{function.__qualname__}({','.join(str(x.type) for x in leaves)}){digest(constants)}"
    code = builder.module.globals.get(name)
    if code is None:
        kind = ir.FunctionType(ir.VoidType(), [x.value.type for x in leaves])
        code = ir.Function(builder.module, kind, name)
        code.linkage = "internal"  # not seen from outside, so LLVM may inline it and drop it
        for attribute in OUTLINED_ATTRIBUTES:
            code.attributes.add(attribute)
        inside = ir.IRBuilder(code.append_basic_block("entry"))  # the caller's builder stays where it is
        parameters = zip(leaves, code.args, constants, strict=True)
        values = (Traced(x.context, inside, x.type, y, constant) for x, y, constant in parameters)
        _run_once(inside, function, *_like(args, values))
        inside.ret_void()
    builder.call(code, [x.value for x in leaves])


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


def _run_once(builder, function, *args):
    """Run a function on traced values, and refuse one that has left a loop before its end."""
    # A loop that was left has an end that nothing jumps from; Numba's own blocks, made before, are not looked at.
    n_blocks = len(builder.function.blocks)
    result = function(*args)
    if any(block is not builder.block and not block.is_terminated for block in builder.function.blocks[n_blocks:]):
        raise TypeError(f"{function.__qualname__}: a loop of compiled code cannot be left by `break`")
    return result


def _trace(function, returns):
    """Make a function that runs plainly when Python calls it, and is traced where compiled code calls it.

    ``returns(*types)`` is Numba's type of the result.
    """

    @functools.wraps(function)
    def call(*args):
        return function(*args)

    @compiled(call)
    def lower_traced(*args):
        whole = (types.Integer, types.Boolean)  # counts and conditions become one type, so that they mix
        signature = returns(*args)(*(types.intp if isinstance(t, whole) else t for t in args))

        def codegen(context, builder, sig, values):
            given = (_given(context, builder, t, v) for t, v in zip(sig.args, values, strict=True))
            result = _run_once(builder, function, *given)
            return None if result is None else result.value

        return signature, codegen

    return call


def _given(context, builder, kind, value):
    """Wrap an argument of a traced function: a number as a traced value, a NamedTuple as one of traced values."""
    if not isinstance(kind, types.NamedTuple):
        return Traced(context, builder, kind, value)
    # Its constants come with Numba's type, see `memory_ops.Unpacked`: the kernel's own code does not know of them.
    parts = (builder.extract_value(value, i) for i in range(len(kind)))
    fields = zip(kind.types, parts, kind.constants, strict=True)
    return kind.instance_class(*(Traced(context, builder, *field) for field in fields))


_ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)


def _binary(operation, reflected=False):
    """Make the method of an operator of Python; `reflected`: of the one whose left operand is a plain number."""
    return lambda self, other: self.emit(operation, *((other, self) if reflected else (self, other)))


def _comparison(how, operation):
    """Make the method of a comparison; `how` is LLVM's word for it."""
    return lambda self, other: self._compare(how, operation, other)


class Traced:
    """A value of the compiled code, as the function that is being traced sees it.

    Instructions go to Numba's `context` and llvmlite's `builder`. `type` is Numba's: a vector, a pointer, a number;
    `value` is llvmlite's, the register, so to speak, that will hold it; `constant` is the integer or array that it is
    at compile time, else None.
    """

    def __init__(self, context, builder, type, value, constant=None):
        self.context, self.builder, self.type, self.value, self.constant = context, builder, type, value, constant

    def of(self, type, value, constant=None):
        """Return another value of the same code."""
        return Traced(self.context, self.builder, type, value, constant)

    def emit(self, function, *args):
        """Emit the instructions of ``function(*args)``; a plain Python number among `args` is a constant."""
        args = all_traced(self, args)
        constant = None
        if all(x.constant is not None for x in args):
            constant = function(*(x.constant for x in args))
            # A number needs no instruction. An array, the rest of a table, has its pointer all the same: a later index
            # into it may be no constant.
            if not isinstance(constant, np.ndarray):
                return self.of(*_constant(int(constant)))
        # Numba types and casts the operands, so a number beside a vector means the same as in ordinary compiled code.
        signature, implementation = _resolve(self.context, function, *(x.type for x in args))
        values = [
            self.context.cast(self.builder, x.value, x.type, t) for x, t in zip(args, signature.args, strict=True)
        ]
        return self.of(signature.return_type, implementation(self.builder, values), constant)

    __add__, __sub__, __mul__, __truediv__ = map(_binary, _ARITHMETIC)
    __radd__, __rsub__, __rmul__, __rtruediv__ = map(_binary, _ARITHMETIC, [True] * 4)

    def __neg__(self):
        return self.emit(operator.neg, self)

    def __floordiv__(self, divisor):
        """Divide without sign by a positive Python integer. Numba's own operator would add sign and zero checks."""
        if self.constant is not None:
            return self.of(*_constant(self.constant // divisor))
        return self.of(self.type, self.builder.udiv(self.value, const(divisor)))

    def _compare(self, how, function, other):
        """Compare integers: 1 or 0."""
        (other,) = all_traced(self, [other])
        if self.constant is not None and other.constant is not None:
            return self.of(*_constant(int(function(self.constant, other.constant))))
        # widened from one bit, so that conditions can be added, passed on and kept like any integer
        return self.of(types.intp, self.builder.zext(self.builder.icmp_signed(how, self.value, other.value), INT64))

    def _combine(self, other, absorbing, instruction):
        """Combine two conditions, each 1 or 0: a constant one decides alone if it is `absorbing`, else it drops out."""
        for x, y in ((self, other), (other, self)):
            value = x.constant if isinstance(x, Traced) else x
            if value is not None:
                return x if bool(value) == absorbing else y
        return self.of(types.intp, instruction(self.value, other.value))

    def __and__(self, other):
        return self._combine(other, False, self.builder.and_)

    def __or__(self, other):
        return self._combine(other, True, self.builder.or_)

    __rand__, __ror__ = __and__, __or__

    __eq__, __ne__ = _comparison("==", operator.eq), _comparison("!=", operator.ne)
    __lt__, __le__ = _comparison("<", operator.lt), _comparison("<=", operator.le)
    __gt__, __ge__ = _comparison(">", operator.gt), _comparison(">=", operator.ge)
    __hash__ = None  # two equal ones are not known to be equal

    # Python would decide once, while tracing, what the compiled code has to decide each time.
    def __bool__(self):
        raise TypeError("a traced value is not known yet: no `if`, `not`, `and`, `while` or `range` may depend on it")

    __index__ = __bool__


def _constant(x):
    """Return a plain number as compiled code has it: type, value, constant."""
    if isinstance(x, int):
        return types.intp, const(int(x)), int(x)
    # A float is no constant to compute with: Python would round it otherwise than the kernel's dtype does.
    return types.float64, ir.Constant(ir.DoubleType(), float(x)), None


@functools.cache  # the same primitive on the same types, thousands of times
def _resolve(context, function, *argument_types):
    """Find Numba's signature and implementation of a function for these types."""
    kind = context.typing_context.resolve_value_type(function)
    signature = context.typing_context.resolve_function_type(kind, argument_types, {})
    return signature, context.get_function(kind, signature)


def all_traced(near, values):
    """Return the values, the plain numbers among them as constants of the code that `near` is in."""
    return [x if isinstance(x, Traced) else near.of(*_constant(x)) for x in values]
