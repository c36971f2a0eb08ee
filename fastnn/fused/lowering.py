"""How a Python function becomes a primitive of the compiled code: typing, lowering and tracing.

Two mechanisms, both without a compilation of their own (an ``@overload`` around an ``@intrinsic`` costs about a second
for the primitives of this package):

- `primitive` and `compiled`: a Python function, which is the meaning, and beside it the LLVM instructions that it
  stands for in compiled code.
- `traced`: a Python function over primitives that is run once, on `Traced` values, when Numba lowers a call of it.
  Each primitive then emits its instructions; Python's own loops unroll and a Python list of vectors is a set of
  registers. `loop` is the loop that stays one, `choose` the branch and `select` the choice among many. The
  instructions stand where the call stood; `outlined` makes them a function, which all calls share.

This is the one file that knows Numba's internals (`resolve_function_type`, `get_function`).
"""

from __future__ import annotations

import functools
import inspect
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

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
        if not isinstance(args[0], Traced):
            return function(*args)
        args = _all_traced(args[0], args)
        builder, kinds = args[0].builder, [x.value.type for x in args]
        name = f"{function.__module__}.{function.__qualname__}({','.join(str(x.type) for x in args)})"
        code = builder.module.globals.get(name)
        if code is None:
            code = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), kinds), name)
            code.linkage = "internal"
            for attribute in OUTLINED_ARE:
                code.attributes.add(attribute)
            inside = ir.IRBuilder(code.append_basic_block("entry"))
            function(*(Traced(x.context, inside, x.type, y) for x, y in zip(args, code.args, strict=True)))
            inside.ret_void()
        builder.call(code, [x.value for x in args])
        return None

    return traced(functools.wraps(function)(body))


def _trace(function, returns):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    @compiled(call)
    def _(*args):
        signature = returns(*args)(*(types.intp if isinstance(t, types.Integer) else t for t in args))

        def codegen(context, builder, sig, values):
            given = (Traced(context, builder, t, v) for t, v in zip(sig.args, values, strict=True))
            result = function(*given)
            return None if result is None else result.value

        return signature, codegen

    return call


class Traced:
    """A value of the compiled code, seen from the function that is being traced."""

    def __init__(self, context, builder, type, value):
        self.context, self.builder, self.type, self.value = context, builder, type, value

    def of(self, type, value):
        """Another value of the same code."""
        return Traced(self.context, self.builder, type, value)

    def emit(self, function, *args):
        """The instructions of ``function(*args)``; a plain Python number among `args` is a constant."""
        args = _all_traced(self, args)
        signature, implementation = _resolve(self.context, function, *(x.type for x in args))
        values = [
            self.context.cast(self.builder, x.value, x.type, t) for x, t in zip(args, signature.args, strict=True)
        ]
        return self.of(signature.return_type, implementation(self.builder, values))

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
        return self.of(self.type, self.builder.udiv(self.value, const(divisor)))

    def __bool__(self):
        raise TypeError("a traced value is not known yet: no `if`, `while` or `range` may depend on it")

    __index__ = __bool__


def _constant(x):
    """A plain number as compiled code has it."""
    if isinstance(x, int):
        return types.intp, const(x)
    return types.float64, ir.Constant(ir.DoubleType(), float(x))


@functools.cache
def _resolve(context, function, *argument_types):
    known = context.typing_context.resolve_value_type(function)
    signature = context.typing_context.resolve_function_type(known, argument_types, {})
    return signature, context.get_function(known, signature)


def loop(n, step, state=()):
    """``for k in range(n): state = step(k, state)``, kept as a loop where `n` is traced. Returns the last state."""
    if isinstance(n, Traced):
        return _loop_ir(n, step, state)
    for k in range(n):
        state = step(k, state)
    return state


def _loop_ir(n, step, state):
    builder, start = n.builder, n.builder.block
    test, body, done = (builder.append_basic_block(name) for name in ("loop.test", "loop.body", "loop.done"))
    builder.branch(test)
    builder.position_at_end(test)
    first = [n.of(n.type, const(0)), *_all_traced(n, state)]
    phis = [builder.phi(x.value.type) for x in first]
    k, *held = (x.of(x.type, phi) for x, phi in zip(first, phis, strict=True))
    builder.cbranch(builder.icmp_signed("<", k.value, n.value), body, done)
    builder.position_at_end(body)
    last = [k + 1, *_all_traced(n, step(k, held))]
    for phi, x, y in zip(phis, first, last, strict=True):
        phi.add_incoming(x.value, start)
        phi.add_incoming(y.value, builder.block)
    builder.branch(test).set_metadata("llvm.loop", _keep_rolled(builder.module))
    builder.position_at_end(done)
    return held


def choose(condition, yes, no):
    """``yes() if condition else no()``, lists of values of the same kinds, kept as a branch where traced."""
    if isinstance(condition, Traced):
        return _choose_ir(condition, yes, no)
    return yes() if condition else no()


def _choose_ir(condition, yes, no):
    builder, results = condition.builder, []
    blocks = [builder.append_basic_block(name) for name in ("choose.yes", "choose.no", "choose.done")]
    builder.cbranch(builder.icmp_signed("!=", condition.value, const(0)), *blocks[:2])
    for block, values in zip(blocks, (yes, no), strict=False):
        builder.position_at_end(block)
        results.append((_all_traced(condition, values() or ()), builder.block))
        builder.branch(blocks[2])
    builder.position_at_end(blocks[2])
    phis = [builder.phi(x.value.type) for x in results[0][0]]
    for values, block in results:
        for phi, x in zip(phis, values, strict=True):
            phi.add_incoming(x.value, block)
    return [x.of(x.type, phi) for x, phi in zip(results[0][0], phis, strict=True)]


def smaller(x, most):
    """``min(x, most)``, `most` a positive constant and x not negative."""
    (least,) = choose(x // most, lambda: [most], lambda: [x])
    return least


def select(code, cases):
    """``cases[code]()``, which returns nothing; nothing is done where there is no such case."""
    if isinstance(code, Traced):
        builder = code.builder
        done = builder.append_basic_block("select.done")
        for key, case in cases.items():  # not LLVM's switch: its jump through a table costs more than some comparisons
            blocks = [builder.append_basic_block(name) for name in ("select.case", "select.next")]
            builder.cbranch(builder.icmp_signed("==", code.value, const(key)), *blocks)
            builder.position_at_end(blocks[0])
            case()
            builder.branch(done)
            builder.position_at_end(blocks[1])
        builder.branch(done)
        builder.position_at_end(done)
    elif code in cases:
        cases[code]()


def _all_traced(near, values):
    """The values, plain numbers among them as constants of the code that `near` is in."""
    return [x if isinstance(x, Traced) else near.of(*_constant(x)) for x in values]


def _keep_rolled(module):
    """Metadata of a loop that LLVM is not to unroll: the bodies are long already, and copies of them take time to
    compile.
    """
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop_id = ir.MDValue(module, [option], name=str(len(module.metadata)))
    loop_id.operands = (loop_id, option)  # a loop's metadata names itself first
    return loop_id


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
