"""The text of a C function: expressions and statements as lines, with the names of Python's variables.

What Python has given a name, or what is used twice, becomes a variable; the rest stands where it is used, if nothing
that it reads is written in between.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

import numpy as np
from numba import types

from fastnn.checking.arguments import decimal

LONGEST = 80  # characters of an expression, beyond which a part of it becomes a variable

BITS = """/* The bits of a number, and the number that has these bits. */
static {word} bits({number} x) {{ union {{ {number} x; {word} u; }} both; both.x = x; return both.u; }}
static {number} from_bits({word} u) {{ union {{ {number} x; {word} u; }} both; both.u = u; return both.x; }}"""


@dataclass(eq=False)
class Expression:
    """An operation, or without operands a variable; what it `reads` must not be written before it is used."""

    template: str
    kind: object  # Numba's type
    operands: list = field(default_factory=list)
    reads: set = field(default_factory=set)
    rank: int | None = None  # of an operator
    name: str | None = None  # "": no name of Python's will do


@dataclass(eq=False)
class Statement:
    """A statement that writes to memory or to a variable; with `body`, a loop."""

    template: str
    operands: list
    writes: object = None
    body: list | None = None


def literal(x, kind):
    """Return the C literal of a finite number, with all its digits."""
    kind = getattr(kind, "elem", kind)  # of a vector, that of its numbers
    if isinstance(kind, types.Float):
        return decimal(np.dtype(kind.name).type(x)) + "f" * (kind.bitwidth == 32)
    if kind.signed or abs(x) < kind.bitwidth:
        return str(x)
    return f"{x % 2**kind.bitwidth:#x}u" + "ll" * (kind.bitwidth == 64)


def c_type(kind):
    """Return C's name of the type of a number, or of a vector's or an array's numbers."""
    kind = getattr(kind, "elem", getattr(kind, "dtype", kind))
    names = {types.float64: "double", types.float32: "float", types.uint64: "uint64_t", types.uint32: "uint32_t"}
    return names.get(kind, "size_t")


def all_items(block):
    """Iterate over all expressions and statements of a block, and of the loops in it."""
    for item in block:
        yield item
        yield from all_items(getattr(item, "body", None) or ())


class Writer:
    """The writer of a function's lines: some expressions get a variable, the others stand where they are used."""

    def __init__(self, block):
        self.lines, self._depth, self._taken = [], 1, set()
        self._names, self._waiting = {}, []  # of variables; what stands where it is used
        self._uses = collections.Counter()
        for item in all_items(block):
            if isinstance(item, Statement):
                self._count(item.operands)

    def _count(self, operands):
        """Count the uses of each expression among the operands."""
        for x in operands:
            if isinstance(x, Expression):
                self._uses[x] += 1
                if self._uses[x] == 1:
                    self._count(x.operands)

    def write(self, block):
        """Write the lines of a block."""
        outside = set(self._taken)
        for item in block:
            if isinstance(item, Statement):
                self._write_statement(item)
            elif self._uses[item] and (item.name or (self._uses[item] > 1 and item.kind != types.intp)):
                self._declare(item)
            elif self._uses[item]:
                self._waiting.append(item)
        self._taken = outside

    def _write_statement(self, item):
        """Write the line of a statement, of a loop with its body."""
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
            for k, y in enumerate(x.operands):
                if self._stands_here(y) and len(texts[k]) > LONGEST / 3:
                    texts[k] = self._declare(y, texts[k])
        texts = [f"({text})" if self._apart(x, k, text) else text for k, text in enumerate(texts)]
        return x.template.format(*texts, f="f" if c_type(x.kind) == "float" else "")

    def _stands_here(self, x):
        """Return whether an operand is written as an expression, being no constant and no variable."""
        return isinstance(x, Expression) and x not in self._names

    def _apart(self, x, k, text):
        """Return whether operand k of an expression, which has this text, needs parentheses."""
        y = x.operands[k]
        if x.template == "-{0}" and text.startswith("-"):
            return True
        if x.rank is None or not self._stands_here(y) or y.rank is None:
            return False
        return 0 in (x.rank, y.rank) or y.rank < x.rank or (y.rank == x.rank and k > 0)

    def _declare(self, x, text=None):
        """Write the line that declares a variable for an expression, whose text may be given; return its name."""
        text = text or self.text(x)
        self._line(f"const {c_type(x.kind)} {self._named(x)} = {text};")
        return self._names[x]

    def _named(self, x):
        """Return a name for a new variable that no other has."""
        wanted, n = (x.name or "").strip("_") or ("t" if x.operands else "i"), 1
        name = wanted
        while name in self._taken:
            n += 1
            name = f"{wanted}_{n}"
        self._taken.add(name)
        self._names[x] = name
        return name

    def _reads(self, x):
        """Return the memory and the variables that an expression reads, in its operands too, and that may change."""
        if isinstance(x, str) or (x in self._names and x.operands):  # the second has been read
            return set()
        return x.reads.union(*map(self._reads, x.operands))

    def _line(self, text):
        """Append an indented line."""
        self.lines.append("    " * self._depth + text)
