"""C code of traced functions: traced values that write C in place of LLVM's instructions, a vector being one number.

A function is run once on such values, as `tracing.py` runs it for LLVM: its loops become loops, its operations
expressions. Only what predictions need can be written.
"""

from __future__ import annotations

import operator
import sys
from itertools import chain

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target

from fastnn.compiler import control, tracing, vectors
from fastnn.compiler.c_text import Expression, Statement, Writer, all_items, c_type, literal
from fastnn.compiler.memory_ops import load, splat, store, zero
from fastnn.compiler.tracing import Traced, all_traced, resolve

_OPERATORS = {  # with a rank: what binds tighter needs no parentheses; 0 always has them
    operator.add: ("{0} + {1}", 1),
    operator.sub: ("{0} - {1}", 1),
    operator.mul: ("{0} * {1}", 2),
    operator.truediv: ("{0} / {1}", 2),
    operator.neg: ("-{0}", 3),
    operator.and_: ("{0} & {1}", 0),
    operator.or_: ("{0} | {1}", 0),
    operator.lshift: ("{0} << {1}", 0),
    operator.rshift: ("{0} >> {1}", 0),
    vectors.where_gt: ("{0} > {1} ? {2} : {3}", 0),
}
_CALLS = {  # those of math.h end in f where they take floats
    vectors.fma: "fma{f}({0}, {1}, {2})",
    vectors.absolute: "fabs{f}({0})",
    vectors.copysign: "copysign{f}({0}, {1})",
    vectors.sqrt: "sqrt{f}({0})",
    vectors.bits: "bits({0})",
    vectors.from_bits: "from_bits({0})",
    load: "{0}[{1}]",
    splat: "{0}[{1}]",
}
_NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1}  # integers that change nothing
_MEMORY = "memory"
_NO_FORMULAS = {module.__file__ for module in (control, tracing, vectors)} | {__file__}  # their names say nothing


class CValue(Traced):
    """A traced value of C code; its `builder` is the `CFunction`."""

    def of(self, type, value, constant=None):
        """Return another value of the same C function."""
        return CValue(self.context, self.builder, type, value, constant)

    def lanes(self):
        """Return 1: a vector is one number."""
        return 1

    def emit(self, function, *args):
        """Add the expression or statement of ``function(*args)`` to the C function."""
        args = all_traced(self, args)
        if all(x.constant is not None for x in args):
            return all_traced(self, [int(function(*(x.constant for x in args)))])[0]
        if function in _NEUTRAL and all(isinstance(x.type, types.Integer) for x in args):
            x, y = args
            if y.constant == _NEUTRAL[function]:
                return x
            if x.constant == _NEUTRAL[function] and function is not operator.sub:
                return y
        signature, _ = resolve(self.context, function, *(x.type for x in args))
        kind = signature.return_type
        if function is zero:
            return self.of(kind, ir.Constant(ir.DoubleType(), 0.0))
        if function is vectors.like:
            return self.of(kind, args[1].value)
        operands = [_operand(x.value, t) for x, t in zip(args, signature.args, strict=True)]
        if function is store:
            return self.builder.add(Statement("{0}[{1}] = {2};", operands, _MEMORY))
        if function not in _OPERATORS and function not in _CALLS:
            raise TypeError(f"there is no C code for {function.__name__}: c_code.py lists the functions that have some")
        template, rank = _OPERATORS.get(function) or (_CALLS[function], None)
        reads = {_MEMORY} if function in (load, splat) else set()
        return self.of(kind, self.builder.add(Expression(template, kind, operands, reads, rank)))

    def __floordiv__(self, divisor):
        if divisor == 1:
            return self
        operands = [_operand(self.value, self.type), str(divisor)]
        return self.of(self.type, self.builder.add(Expression("{0} / {1}", self.type, operands, rank=2)))


def _operand(value, kind):
    """Return a constant's text, or anything else unchanged."""
    return literal(value.constant, kind) if isinstance(value, ir.Constant) else value


@control.loop.register
def _loop(n: CValue, kept):
    """Write a loop around what the caller of `each` traces as its body."""
    code, first = n.builder, all_traced(n, chain(*kept))
    now = [x.of(x.type, code.variable(_operand(x.value, x.type), x.type)) for x in first]
    counter = Expression("", n.type)
    code.open(Statement("for (size_t {1} = 0; {1} < {0}; {1}++) {{", [_operand(n.value, n.type), counter], body=[]))
    control.assign(kept, now)
    yield n.of(n.type, counter)
    values = [_operand(x.value, x.type) for x in all_traced(n, chain(*kept))]
    # A variable that goes to another one is read before any is written, like what is computed.
    values = [code.add(Expression("{0}", y.kind, [y])) if getattr(y, "reads", None) == {y} else y for y in values]
    for variable, y in zip(now, values, strict=True):
        code.add(Statement("{0} = {1};", [variable.value, y], variable.value))
    code.close()
    control.assign(kept, now)


class CFunction:
    """A function of C that returns nothing, made by tracing one of Python; `str` is its text.

    Parameters
    ----------
    name : str
    parameters : dict
        {name: Numba's type}, a pointer or an integer.
    body : callable
        The traced function of these.
    comment : str
    """

    def __init__(self, name, parameters, body, comment):
        self._name, self._comment, self._blocks = name, comment, [[]]
        self._parameters = [Expression("", kind, name=name) for name, kind in parameters.items()]
        for context in (cpu_target.typing_context, cpu_target.target_context):
            context.refresh()  # so that Numba knows the primitives, though it compiles nothing
        before = sys.getprofile()
        sys.setprofile(_take_names)
        try:
            body(*(CValue(cpu_target.target_context, self, x.kind, x) for x in self._parameters))
        finally:
            sys.setprofile(before)

    def add(self, item):
        """Write down an expression or a statement; return it."""
        self._blocks[-1].append(item)
        return item

    def variable(self, start, kind):
        """Declare a variable that is assigned to; return it."""
        variable = Expression("", kind)
        variable.reads.add(variable)
        self.add(Statement(f"{c_type(kind)} {{1}} = {{0}};", [start, variable], variable))
        return variable

    def open(self, loop):
        """Add a loop, to whose body what follows belongs."""
        self._blocks.append(self.add(loop).body)

    def close(self):
        """End the body of the innermost loop."""
        self._blocks.pop()

    def __str__(self):
        written = {item.operands[0] for item in all_items(self._blocks[0]) if getattr(item, "writes", None) is _MEMORY}
        writer, parameters = Writer(self._blocks[0]), []
        for x in self._parameters:
            is_pointer = isinstance(x.kind, types.CPointer)
            const, star = "const " * (is_pointer and x not in written), "*restrict " * is_pointer
            parameters.append(f"{const}{c_type(x.kind)} {star}{writer.text(x)}")
        writer.write(self._blocks[0])
        comma = ", " if len(parameters) < 4 else ",\n    "
        head = f"static void {self._name}({comma.join(parameters)})"
        return "\n".join([f"/* {self._comment} */", head, "{", *writer.lines, "}"])


def _take_names(frame, event, _):
    """Name values after the variables of Python that hold them: for `sys.setprofile`.

    A list keeps what changes from round to round, which is named after it; nothing else in a list gets a name.
    """
    frame = {"return": frame, "call": frame.f_back}.get(event)  # of a call, the names that the caller has
    if frame is None or frame.f_code.co_filename in _NO_FORMULAS:
        return
    for name, local in frame.f_locals.items():
        values = local if isinstance(local, list) else [local]
        for k, x in enumerate(values):
            x = x.value if isinstance(x, CValue) else None
            if isinstance(x, Expression) and x.name is None:
                x.name = "" if x.operands and values is local else name if len(values) == 1 else f"{name}{k}"
