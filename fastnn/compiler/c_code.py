"""C code of traced functions: values that write down C in place of LLVM's instructions, a vector being one number.

A function is run once on such values, as `tracing.py` runs it for LLVM: its loops become loops, its operations
expressions. What Python has given a name, or what is used twice, becomes a variable of that name; the rest stands where
it is used. Only what predictions need can be written.
"""

from __future__ import annotations

import collections
import operator
import sys
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target

from fastnn.compiler import control, tracing, vectors
from fastnn.compiler.memory_ops import load, splat, store, zero
from fastnn.compiler.tracing import Traced, all_traced, resolve

LONGEST = 80  # characters of an expression, beyond which a part of it becomes a variable

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

BITS = """/* The bits of a number, and the number that has these bits. */
static {word} bits({number} x) {{ union {{ {number} x; {word} u; }} both; both.x = x; return both.u; }}
static {number} from_bits({word} u) {{ union {{ {number} x; {word} u; }} both; both.u = u; return both.x; }}
"""


@dataclass(eq=False)
class _Expression:
    """An operation, or without operands a variable; `reads` is what must not be written before it is used."""

    template: str
    kind: object  # Numba's type
    operands: list = field(default_factory=list)
    reads: set = field(default_factory=set)
    rank: int | None = None  # of an operator
    name: str | None = None  # "": no name of Python's will do


@dataclass(eq=False)
class _Statement:
    """What writes to memory or to a variable; with `body`, a loop."""

    template: str
    operands: list
    writes: object = None
    body: list | None = None


class CValue(Traced):
    """A value of C code, as the function that is being traced sees it: `builder` is the `CFunction`."""

    def of(self, type, value, constant=None):
        return CValue(self.context, self.builder, type, value, constant)

    def lanes(self):
        return 1

    def emit(self, function, *args):
        args = all_traced(self, args)
        if all(x.constant is not None for x in args):
            return all_traced(self, [int(function(*(x.constant for x in args)))])[0]
        for x, other in (args, args[::-1]) if function in _NEUTRAL else ():
            if other.constant == _NEUTRAL[function] and (other is args[1] or function is not operator.sub):
                return x
        signature, _ = resolve(self.context, function, *(x.type for x in args))
        kind = signature.return_type
        if function is zero:
            return self.of(kind, ir.Constant(ir.DoubleType(), 0.0))
        if function is vectors.like:
            return self.of(kind, args[1].value)
        operands = [_operand(x.value, t) for x, t in zip(args, signature.args, strict=True)]
        if function is store:
            return self.builder.add(_Statement("{0}[{1}] = {2};", operands, _MEMORY))
        template, rank = _OPERATORS.get(function) or (_CALLS[function], None)
        reads = {_MEMORY} if function in (load, splat) else set()
        return self.of(kind, self.builder.add(_Expression(template, kind, operands, reads, rank)))

    def __floordiv__(self, divisor):
        if divisor == 1:
            return self
        operands = [_operand(self.value, self.type), str(divisor)]
        return self.of(self.type, self.builder.add(_Expression("{0} / {1}", self.type, operands, rank=2)))


def _operand(value, kind):
    """Return the text of a constant, anything else as it is."""
    return literal(value.constant, kind) if isinstance(value, ir.Constant) else value


def literal(x, kind):
    """Return a finite number as C has it, with all its digits."""
    kind = getattr(kind, "elem", kind)  # of a vector, that of its numbers
    if isinstance(kind, types.Float):
        return f"{np.dtype(kind.name).type(x)!s}{'f' * (kind.bitwidth == 32)}"
    if kind.signed or abs(x) < kind.bitwidth:
        return str(x)
    return f"{x % 2**kind.bitwidth:#x}u" + "ll" * (kind.bitwidth == 64)


def c_type(kind):
    """Return C's name of a number's type, or of that of a vector's or an array's numbers."""
    kind = getattr(kind, "elem", getattr(kind, "dtype", kind))
    names = {types.float64: "double", types.float32: "float", types.uint64: "uint64_t", types.uint32: "uint32_t"}
    return names.get(kind, "size_t")


@control.loop.register
def _loop(n: CValue, kept):
    """Write a loop around what the caller of `each` traces as its body."""
    code, first = n.builder, all_traced(n, chain(*kept))
    now = [x.of(x.type, code.variable(_operand(x.value, x.type), x.type)) for x in first]
    counter = _Expression("", n.type)
    code.open(_Statement("for (size_t {1} = 0; {1} < {0}; {1}++) {{", [_operand(n.value, n.type), counter], body=[]))
    control.assign(kept, now)
    yield n.of(n.type, counter)
    values = [_operand(x.value, x.type) for x in all_traced(n, chain(*kept))]
    # A variable that goes to another one is read before any is written, like what is computed.
    values = [code.add(_Expression("{0}", y.kind, [y])) if getattr(y, "reads", None) == {y} else y for y in values]
    for variable, y in zip(now, values, strict=True):
        code.add(_Statement("{0} = {1};", [variable.value, y], variable.value))
    code.close()
    control.assign(kept, now)


class CFunction:
    """A function of C that returns nothing: what was traced, and with `str` its text.

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
        self._parameters = [_Expression("", kind, name=name) for name, kind in parameters.items()]
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
        variable = _Expression("", kind)
        variable.reads.add(variable)
        self.add(_Statement(f"{c_type(kind)} {{1}} = {{0}};", [start, variable], variable))
        return variable

    def open(self, loop):
        self._blocks.append(self.add(loop).body)

    def close(self):
        self._blocks.pop()

    def __str__(self):
        written = {item.operands[0] for item in _all(self._blocks[0]) if getattr(item, "writes", None) is _MEMORY}
        writer, parameters = _Writer(self._blocks[0]), []
        for x in self._parameters:
            is_pointer = isinstance(x.kind, types.CPointer)
            const, star = "const " * (is_pointer and x not in written), "*restrict " * is_pointer
            parameters.append(f"{const}{c_type(x.kind)} {star}{writer.text(x)}")
        writer.write(self._blocks[0])
        comma = ", " if len(parameters) < 4 else ",\n    "
        head = f"static void {self._name}({comma.join(parameters)})"
        return "\n".join([f"/* {self._comment} */", head, "{", *writer.lines, "}", ""])


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
            if isinstance(x, _Expression) and x.name is None:
                x.name = "" if x.operands and values is local else name if len(values) == 1 else f"{name}{k}"


def _all(block):
    """Iterate over all expressions and statements of a block, and of the loops in it."""
    for item in block:
        yield item
        yield from _all(getattr(item, "body", None) or ())


class _Writer:
    """The lines of a function: which expressions are variables, and where the others stand."""

    def __init__(self, block):
        self.lines, self._depth, self._taken = [], 1, set()
        self._names, self._waiting = {}, []  # of variables; what stands where it is used
        self._uses = collections.Counter()
        for item in _all(block):
            if isinstance(item, _Statement):
                self._count(item.operands)

    def _count(self, operands):
        for x in operands:
            if isinstance(x, _Expression):
                self._uses[x] += 1
                if self._uses[x] == 1:
                    self._count(x.operands)

    def write(self, block):
        """Write the lines of a block."""
        outside = set(self._taken)
        for item in block:
            if isinstance(item, _Statement):
                self._write_statement(item)
            elif item.name or (self._uses[item] > 1 and item.kind != types.intp):
                self._declare(item)
            elif self._uses[item]:
                self._waiting.append(item)
        self._taken = outside

    def _write_statement(self, item):
        is_loop = item.body is not None
        texts = [self.text(x) for x in item.operands]
        for x in list(self._waiting):
            # used later, it would read something else there, or be computed in each round
            if item.writes in self._reads(x) or (is_loop and x.kind != types.intp):
                self._declare(x)
        self._line(item.template.format(*texts))
        if is_loop:
            self._depth += 1
            self.write(item.body)
            self._depth -= 1
            self._line("}")
            self._taken.discard(texts[1])  # the counter, which later loops may call the same

    def text(self, x):
        """Return the text of an operand: a constant, a variable, or an expression."""
        if isinstance(x, str):
            return x
        if x in self._names or not x.operands:
            return self._names.get(x) or self._named(x)
        if x in self._waiting:
            self._waiting.remove(x)
        texts = [self.text(operand) for operand in x.operands]
        if sum(map(len, texts)) > LONGEST:
            pairs = zip(x.operands, texts, strict=True)
            texts = [self._declare(y, text) if len(text) > LONGEST / 3 else text for y, text in pairs]
        texts = [f"({text})" if self._apart(x, k) else text for k, text in enumerate(texts)]
        return x.template.format(*texts, f="f" if c_type(x.kind) == "float" else "")

    def _apart(self, x, k):
        """Return whether operand k of an expression is to stand in parentheses."""
        y = x.operands[k]
        if x.rank is None or isinstance(y, str) or y in self._names or y.rank is None:
            return False
        return 0 in (x.rank, y.rank) or y.rank < x.rank or (y.rank == x.rank and k > 0)

    def _declare(self, x, text=None):
        """Write the line that declares a variable for an expression, whose text may be known; return its name."""
        text = text or self.text(x)
        self._line(f"const {c_type(x.kind)} {self._named(x)} = {text};")
        return self._names[x]

    def _named(self, x):
        """Return the name of a new variable, one that no other has."""
        wanted, n = (x.name or "").strip("_") or ("t" if x.operands else "i"), 1
        name = wanted
        while name in self._taken:
            n += 1
            name = f"{wanted}_{n}"
        self._taken.add(name)
        self._names[x] = name
        return name

    def _reads(self, x):
        """Return what an expression reads that may change, by what stands in it."""
        if isinstance(x, str) or (x in self._names and x.operands):
            return set()
        return x.reads.union(*map(self._reads, x.operands))

    def _line(self, text):
        self.lines.append("    " * self._depth + text)
