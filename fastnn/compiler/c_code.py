"""C code of traced functions: traced values that write C in place of LLVM's instructions, a vector
being one number.

A function is run once on such values, as `tracing.py` runs it for LLVM: its loops become loops,
each of its operations a statement on a line. Only what `fastnn/fused/in_c.py` needs can be written.
"""

from __future__ import annotations

import collections
import itertools
import operator
import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core.registry import cpu_target

from fastnn.checking.arguments import decimal
from fastnn.compiler import control, vectors
from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.memory_ops import get, load, offset, put, splat, store, zero
from fastnn.compiler.tracing import Traced, all_traced, resolve

_OPERATIONS = {  # those of math.h end in f where they take floats
    operator.add: "{0} + {1}",
    operator.sub: "{0} - {1}",
    operator.mul: "{0} * {1}",
    operator.truediv: "{0} / {1}",
    operator.neg: "-{0}",
    operator.and_: "{0} & {1}",
    operator.or_: "{0} | {1}",
    operator.lshift: "{0} << {1}",
    operator.rshift: "{0} >> {1}",
    vectors.where_gt: "{0} > {1} ? {2} : {3}",
    vectors.fma: "fma{f}({0}, {1}, {2})",
    vectors.absolute: "fabs{f}({0})",
    vectors.copysign: "copysign{f}({0}, {1})",
    vectors.sqrt: "sqrt{f}({0})",
    vectors.bits: "bits({0})",
    vectors.from_bits: "from_bits({0})",
    **dict.fromkeys((load, splat, get), "{0}[{1}]"),
}
_NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1}  # integers that change nothing

BITS = """/* The bits of a number, and the number that has these bits. */
static {word} bits({number} x) {{ union {{ {number} x; {word} u; }} v = {{ x }}; return v.u; }}
static {number} from_bits({word} u) {{ union {{ {word} u; {number} x; }} v = {{ u }}; return v.x; }}"""  # noqa: E501


class CValue(Traced):
    """A traced value of C code: its `value` is the name of a variable, its `builder` the
    `CFunction`.
    """

    outlines = False
    unrolled = 1

    def of(self, type, value, constant=None):
        """Return another value of the same C function."""
        return CValue(self.context, self.builder, type, value, constant)

    def lanes(self):
        """Return 1: a vector is one number."""
        return 1

    def emit(self, function, *args):
        """Write the statement of ``function(*args)``."""
        args = all_traced(self, args)
        if all(x.constant is not None for x in args):
            number = function(*(x.constant for x in args))
            return all_traced(self, [number if isinstance(number, float) else int(number)])[0]
        if function in _NEUTRAL and all(isinstance(x.type, types.Integer) for x in args):
            x, y = args
            if y.constant == _NEUTRAL[function]:
                return x
            if x.constant == _NEUTRAL[function] and function is not operator.sub:
                return y
            if function is operator.sub and x.value == y.value:
                return all_traced(self, [0])[0]
        signature, _ = resolve(self.context, function, *(x.type for x in args))
        kind = signature.return_type
        if function is zero:
            return self.of(kind, ir.Constant(ir.DoubleType(), 0.0))
        if isinstance(args[0], Values):
            return args[0].access(function, kind, *args[1:])
        same = _unchanged(function, args)
        if same is not None:
            return self.of(kind, same.value)
        operands = [_operand(x, t) for x, t in zip(args, signature.args, strict=True)]
        if function is offset:
            return self.of(kind, f"({operands[0]} + {operands[1]})")
        if function in (load, splat, get, store, put):
            operands[1] = _alone(operands[1])
        if function in (store, put):
            return self.builder.store(*operands)
        if function not in _OPERATIONS:
            raise TypeError(
                f"there is no C code for {function.__name__}: c_code.py lists the functions that "
                "have some"
            )
        f = "f" if c_type(kind) == "float" else ""
        return self.of(
            kind, self.builder.declare(kind, _OPERATIONS[function].format(*operands, f=f))
        )

    def __floordiv__(self, divisor):
        if divisor == 1:
            return self
        if self.constant is not None:
            return super().__floordiv__(divisor)
        return self.of(
            self.type,
            self.builder.declare(self.type, f"{_text(self.value, self.type)} / {divisor}"),
        )


class Values(CValue):
    """An array that is there only while a function is traced: its numbers are values, and their
    places constants.
    """

    def __init__(self, near, type, numbers, first=0):
        super().__init__(near.context, near.builder, type, "no memory")
        self._numbers = dict(numbers)
        self._first = first

    def access(self, function, kind, i, x=None):
        """Return a number or another pointer, or write a number."""
        place = self._first + i.constant
        if function is offset:
            return Values(self, self.type, self._numbers, place)
        if function in (store, put):
            self._numbers[place] = x
            if not isinstance(x.value, ir.Constant):
                kind = self.type.dtype
                self._numbers[place] = x.of(kind, self.builder.declare(kind, _operand(x, kind)))
            return None
        (number,) = all_traced(self, [self._numbers[place]])
        return number if kind == types.intp else self.of(kind, number.value)


def _operand(x, kind):
    """Return the text of a traced value as an operand of this type."""
    text = _text(x.value, kind)
    names = c_type(x.type), c_type(kind)
    is_cast = names in (("double", "float"), ("float", "double"))
    return f"({names[1]}){text}" if is_cast and not isinstance(x.value, ir.Constant) else text


def _is_literal(x, number):
    """Return whether a traced value is this constant number."""
    return isinstance(x.value, ir.Constant) and x.value.constant == number


def _unchanged(function, args):
    """Return the argument that an operation gives as it is; None where it computes something."""
    if function is vectors.like:
        return args[1]
    if function is horizontal_sum:  # of one number
        return args[0]
    if function is vectors.blend_prefix and args[0].constant is not None:
        return args[1] if args[0].constant > 0 else args[2]
    if function is operator.mul and _is_literal(args[0], 1.0):
        return args[1]
    if function is operator.mul and _is_literal(args[1], 1.0):
        return args[0]
    if function is vectors.where_gt and all(isinstance(x.value, ir.Constant) for x in args[:2]):
        return args[2] if args[0].value.constant > args[1].value.constant else args[3]
    return None


def _text(value, kind):
    """Return the name of a variable, or the C literal of a number, with all its digits."""
    if not isinstance(value, ir.Constant):
        return value
    # of a vector, the type of its numbers
    x = value.constant
    kind = getattr(kind, "elem", kind)
    if isinstance(kind, types.Float) and not np.isfinite(x):
        text = "NAN" if np.isnan(x) else "INFINITY" if x > 0 else "-INFINITY"
    elif isinstance(kind, types.Float):
        text = decimal(np.dtype(kind.name).type(x)) + "f" * (kind.bitwidth == 32)
    elif kind.signed or abs(x) < kind.bitwidth:
        text = str(x)
    else:
        text = f"{x % 2**kind.bitwidth:#x}u" + "ll" * (kind.bitwidth == 64)
    return f"({text})" if text.startswith("-") else text


def _alone(text):
    """Return an index without the parentheses that it has within others."""
    return text[1:-1] if text.startswith("(") else text


def c_type(kind):
    """Return C's name of the type of a number, or of a vector's or an array's numbers."""
    kind = getattr(kind, "elem", getattr(kind, "dtype", kind))
    names = {
        types.float64: "double",
        types.float32: "float",
        types.uint64: "uint64_t",
        types.uint32: "uint32_t",
    }
    return names.get(kind, "size_t")


@control.loop.register
def _loop(n: CValue, kept):
    """Write a loop around what the caller of `each` traces as its body; what is kept are
    variables.
    """
    code = n.builder
    first = all_traced(n, itertools.chain(*kept))
    now = [x.of(x.type, code.declare(x.type, _text(x.value, x.type), "s")) for x in first]
    counter = code.open(_text(n.value, n.type))
    control.assign(kept, now)
    yield n.of(n.type, counter)
    values = all_traced(n, itertools.chain(*kept))
    variables = [x.value for x in now]
    # A variable that goes to another one is read before any is written.
    values = [
        code.declare(y.type, y.value) if y.value in variables else _text(y.value, y.type)
        for y in values
    ]
    code.close(zip(variables, values, strict=True))
    control.assign(kept, now)


class CFunction:
    """A function of C that returns nothing, made by tracing one of Python; `str` is its text.

    Parameters
    ----------
    name : str
    parameters : dict
        {name: Numba's type}, a pointer or an integer; the names are no letter with a number, as
        variables have them.
    body : callable
        The traced function of these.
    comment : str
    """

    def __init__(self, name, parameters, body, comment):
        self._name = name
        self._comment = comment
        self._parameters = parameters
        self._lines = []
        self._numbers = itertools.count(1)
        self._written = set()
        self._known = [{}]  # {what is computed: its name}, one for each block that is open
        for context in (cpu_target.typing_context, cpu_target.target_context):
            context.refresh()  # so that Numba knows the primitives, though it compiles nothing
        body(
            *(
                CValue(cpu_target.target_context, self, kind, name)
                for name, kind in parameters.items()
            )
        )

    def _write(self, line):
        self._lines.append("    " * len(self._known) + line)

    def declare(self, kind, text, letter="t"):
        """Write the line that declares a variable, return its name; those of the letter "s" are
        written again.
        """
        # it reads nothing that is written again
        if is_fixed := letter == "t" and not re.search(r"\[|\bs\d", text):
            if kind == types.intp:
                return f"({text})"
            for known in self._known:
                if text in known:
                    return known[text]
        name = f"{letter}{next(self._numbers)}"
        self._write(f"{'const ' * (letter == 't')}{c_type(kind)} {name} = {text};")
        if is_fixed:
            self._known[-1][text] = name
        return name

    def store(self, pointer, i, value):
        """Write a number to memory."""
        self._written.add(re.search(r"\w+", pointer)[0])
        self._write(f"{pointer}[{i}] = {value};")

    def open(self, n):
        """Begin a loop of n rounds, to whose body the next lines belong; return the name of its
        counter.
        """
        i = f"i{next(self._numbers)}"
        self._write(f"for (size_t {i} = 0; {i} < {_alone(n)}; {i}++) {{")
        self._known.append({})
        return i

    def close(self, assigned):
        """End the body of the innermost loop with assignments, (variable, value) each."""
        for variable, value in assigned:
            self._write(f"{variable} = {value};")
        self._known.pop()
        self._write("}")

    def _used_lines(self):
        """Return the lines without the constants that no line uses: C compilers warn of them."""
        lines = self._lines
        n = 0
        while n != len(lines):
            uses = collections.Counter(re.findall(r"\w+", "\n".join(lines)))
            n = len(lines)
            named = ((re.match(r" *const \w+ (\w+) = ", line), line) for line in lines)
            lines = [line for found, line in named if not found or uses[found[1]] > 1]
        return lines

    def __str__(self):
        parameters = []
        for name, kind in self._parameters.items():
            is_pointer = isinstance(kind, types.CPointer)
            const = "const " * (is_pointer and name not in self._written)
            star = "*restrict " * is_pointer
            parameters.append(f"{const}{c_type(kind)} {star}{name}")
        head = textwrap.fill(
            f"static void {self._name}({', '.join(parameters)})", 120, subsequent_indent="    "
        )
        lines = self._used_lines()
        used = set(re.findall(r"\w+", "\n".join(lines)))  # C compilers warn of the others
        unused = [f"    (void){name};" for name in self._parameters if name not in used]
        return "\n".join([f"/* {self._comment} */", head, "{", *unused, *lines, "}"])


def source(functions: Iterable[CFunction], dtype: np.dtype[Any]) -> str:
    """Return the text of functions of a dtype, and before them of those that all of them call."""
    texts = [*map(str, functions)]
    if any("bits(" in text for text in texts):
        number = c_type(from_dtype(dtype))
        word = {"double": "uint64_t", "float": "uint32_t"}[number]
        texts.insert(0, BITS.format(number=number, word=word))
    return "\n\n".join(texts)
