"""Operations on memory: compiled code reads and writes numbers and vectors, sums along lanes, and shares work.

Arrays are one-dimensional and contiguous; an index is in elements, and a vector may begin at any element. In compiled
code an array is handed on as a pointer to one of its elements (`offset`); in Python it is the rest of the array from
that element on. Compiled code checks no index, Python asserts on each.

An array may consist of numbers that many networks have, see `vectors.Many`: such a number is a vector by itself. The
lanes of horizontal sums are those of rows, so it has one of them, and the sums of rows run over the lanes one after the
other, see `each_lane`.
"""

from __future__ import annotations

import platform
import threading
import time

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastnn.compiler.control import assign, each, once, when
from fastnn.compiler.program import AfterFirst, digest
from fastnn.compiler.tracing import INT32, INT64, Traced, compiled, const, intrinsic_ir, mask, primitive, splat_ir
from fastnn.compiler.vectors import VECTOR_BYTES, Lanes, Many, ManyLanes, Vec, is_many
from fastnn.memory import DATA

BYTES = ir.IntType(8).as_pointer()


class ArrayObject(types.Type):
    """Numba's type of an array that Python passes as an object, which holds the data pointer."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"ArrayObject({dtype})")


class ArgumentBlock(types.Type):
    """Numba's type of a NamedTuple's arrays and numbers in memory: the 8-byte words of `program.pack`.

    `constants` are those of a specialized kernel: for each field its integer, its array or its `AfterFirst`, or None
    where it is no constant.
    """

    def __init__(self, kind, fields, constants=None):
        self.kind, self.fields, self.constants = kind, tuple(fields), constants or (None,) * len(fields)
        # Numba takes types of one name for one type, so the constants are part of the name.
        super().__init__(name=f"ArgumentBlock({kind.__name__}, {self.fields}, {digest(self.constants)})")


class Unpacked(types.NamedTuple):
    """Numba's type of a NamedTuple read from its argument block; `constants` are those of its integers and arrays."""

    def __init__(self, block):
        # A distance is no value to compute with: it has done its work when the pointer is made, in `unpack`.
        self.constants = tuple(None if isinstance(value, AfterFirst) else value for value in block.constants)
        self.digest = digest(self.constants)
        super().__init__(block.fields, block.kind)
        self.name += self.digest

    @property
    def key(self):
        """The key by which Numba compares types: class and fields alone would let two networks share a kernel."""
        return *super().key, self.digest


register_model(ArrayObject)(lambda manager, kind: models.PrimitiveModel(manager, kind, BYTES))
register_model(ArgumentBlock)(lambda manager, kind: models.PrimitiveModel(manager, kind, INT64.as_pointer()))
register_model(Unpacked)(models.TupleModel)


def address_ir(a, i, kind=None):
    """Emit the address of ``a[i]``: no wraparound, no check. `i` is LLVM's, as is `kind`, that of a vector there."""
    address = a.builder.gep(a.value, [i])
    return a.builder.bitcast(address, kind.as_pointer()) if kind else address


@primitive(lambda a, i: types.CPointer(a.dtype), lambda a, i: address_ir(a, i.value))
def offset(a, i):
    """Return a pointer to ``a[i]``: how a panel or a layer's weights are handed to a function."""
    assert i >= 0, "a pointer before the array"  # Python would count from the end
    return a[i:]


def _unpacked(argument):
    """Return Numba's type of the value that `unpack` returns."""
    return types.CPointer(argument.dtype) if isinstance(argument, ArrayObject) else Unpacked(argument)


def unpack_ir(argument):
    """Emit the loads of an argument, but for what is constant."""
    builder, context, kind = argument.builder, argument.context, argument.type

    def read(address, kind):
        """Emit a load of a number or pointer."""
        return builder.load(builder.bitcast(address, context.get_value_type(kind).as_pointer()))

    if isinstance(kind, ArrayObject):
        return read(address_ir(argument, const(DATA)), _unpacked(kind))
    values = []
    for k, (field, constant) in enumerate(zip(kind.fields, kind.constants, strict=True)):
        if isinstance(constant, int):
            values.append(const(constant))  # in the place of a load: LLVM sees the number, too
        elif isinstance(constant, AfterFirst):  # so LLVM knows that what is written here changes nothing there
            start = builder.bitcast(values[0], BYTES)
            values.append(builder.bitcast(builder.gep(start, [const(constant.bytes)]), context.get_value_type(field)))
        else:  # no constant, or an array: its numbers are constants while tracing, its pointer is read
            values.append(read(address_ir(argument, const(k)), field))
    return context.make_tuple(builder, _unpacked(kind), values)


@primitive(_unpacked, unpack_ir)
def unpack(argument):
    """Unpack an argument of an entry point: an array to a pointer, an argument block to its NamedTuple."""
    return argument


def _block_of_many(block):
    """Return an argument block's type with numbers of many networks in the place of its floats."""
    floats = [t.dtype for t in block.fields if isinstance(t, types.CPointer) and isinstance(t.dtype, types.Float)]
    lanes = VECTOR_BYTES * 8 // min(kind.bitwidth for kind in floats)
    fields = [types.CPointer(Many(t.dtype, lanes)) if getattr(t, "dtype", t) in floats else t for t in block.fields]
    return ArgumentBlock(block.kind, fields, block.constants)


@primitive(
    lambda argument: _unpacked(_block_of_many(argument)),
    lambda argument: unpack_ir(argument.of(_block_of_many(argument.type), argument.value)),
)
def unpack_many(argument):
    """Unpack an argument block whose floats are numbers of as many networks as a vector of its dtype has lanes."""
    lanes = VECTOR_BYTES // min(a.itemsize for a in argument if isinstance(a, np.ndarray) and a.dtype.kind == "f")
    return type(argument)(
        *(a.reshape(-1, lanes) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in argument)
    )


def has_many(a):
    """Return whether array a's numbers are those of many networks: a Python bool, also while tracing."""
    return isinstance(a.type.dtype, Many) if isinstance(a, Traced) else a.ndim == 2


def lanes_of(a):
    """Return the lanes of a vector of array a's dtype: a Python integer, also while tracing; 1 if it has many's."""
    return a.lanes() if isinstance(a, Traced) else 1 if a.ndim == 2 else VECTOR_BYTES // a.itemsize


compiled(lanes_of, lambda a: types.intp, lambda a: const(lanes_of(a)))  # in ordinary Numba code


def row_lanes_of(a):
    """Return the lanes over which the format divides the rows of a batch, whatever a vector of array a's dtype is."""
    if has_many(a):
        return a.type.dtype.lanes if isinstance(a, Traced) else a.shape[1]
    return lanes_of(a)


def narrow_width(a, width):
    """Return the width of a panel that is at most one vector of rows wide: a constant but for many networks."""
    return width if has_many(a) else lanes_of(a)


def _vector(a, *indices):
    """Return the type of a vector of array a's dtype."""
    return a.dtype if isinstance(a.dtype, Many) else Vec(a.dtype)


def _llvm_vector(a):
    """Return LLVM's type of a vector of array a's dtype."""
    return a.context.get_value_type(_vector(a.type))


def align(a):
    """Return the alignment of a vector in bytes: an element's, for it may begin anywhere."""
    return min(a.type.dtype.bitwidth // 8, VECTOR_BYTES)


def load_ir(a, i):
    """Emit the load of a vector that may begin anywhere."""
    return a.builder.load(address_ir(a, i.value, _llvm_vector(a)), align=align(a))


@primitive(_vector, load_ir)
def load(a, i):
    """Read the vector ``a[i : i + lanes_of(a)]``."""
    if has_many(a):
        return get(a, i)
    v = a[i : i + lanes_of(a)].view(Lanes).copy()  # a value: it stays when the array is written
    assert i >= 0 and v.nbytes == VECTOR_BYTES, "load outside the array"
    return v


def store_ir(a, i, v):
    """Emit the store of a vector that may begin anywhere."""
    address, value = address_ir(a, i.value, v.value.type), v.value
    if isinstance(value, ir.SelectInstr):
        # Of a selection from what lies there LLVM 22 makes a store under a mask, which AMD's processors take 20 cycles
        # for and which loads wait for; a fence, no instruction, keeps the two apart.
        value = intrinsic_ir("arithmetic.fence", v)
    a.builder.store(value, address, align=align(a))


@primitive(lambda a, i, v: types.void if v == _vector(a) else None, store_ir)
def store(a, i, v):
    """Write a vector: ``a[i : i + lanes_of(a)] = v``."""
    n = lanes_of(a)
    assert v.dtype == a.dtype and 0 <= i <= len(a) - n, "store outside the array or of another dtype"
    a[i : i + n] = v


@primitive(_vector, lambda a: ir.Constant(_llvm_vector(a), None))
def zero(a):
    """Return a vector of zeros of array a's dtype."""
    if has_many(a):
        return np.zeros(row_lanes_of(a), a.dtype).view(ManyLanes)
    return np.zeros(lanes_of(a), a.dtype).view(Lanes)


def put_ir(a, i, x):
    """Emit the store of a number; to many networks, of theirs or of one for all, rounded to the array's dtype."""
    value, kind = x.value, a.context.get_value_type(a.type.dtype)
    if has_many(a):
        value = value if isinstance(x.type, Many) else splat_ir(x, row_lanes_of(a))
        value = value if value.type == kind else a.builder.fptrunc(value, kind)
    a.builder.store(value, address_ir(a, i.value), align=align(a))


def _put(a, i, x):
    """Return the signature of `put`: what many networks have is rounded by itself."""
    if isinstance(a.dtype, Many):
        return types.void(a, i, x if isinstance(x, Many) else types.float64)
    return types.void(a, i, a.dtype)


@primitive(_put, put_ir)
def put(a, i, x):
    """Write one number: ``a[i] = x``; no index counts from the end."""
    assert i >= 0, "put outside the array"
    a[i] = x


def get_ir(a, i):
    """Emit the load of a number."""
    return a.builder.load(address_ir(a, i.value), align=align(a))


@primitive(lambda a, i: a.dtype, get_ir)
def get(a, i):
    """Read one number: ``a[i]``; no index counts from the end."""
    assert i >= 0, "get outside the array"
    return a[i].copy().view(ManyLanes) if has_many(a) else a[i]


def broadcast_ir(a, i):
    """Emit the load of a number into each lane."""
    return get_ir(a, i) if has_many(a) else splat_ir(a.of(a.type.dtype, get_ir(a, i)), lanes_of(a))


@primitive(_vector, broadcast_ir)
def splat(a, i):
    """Read ``a[i]`` to every lane: a broadcast."""
    if has_many(a):
        return get(a, i)
    assert i >= 0, "splat outside the array"
    return np.full(lanes_of(a), a[i]).view(Lanes)


def gather_ir(a, offsets, i):
    """Emit the loads of numbers into the lanes of a vector."""
    v = ir.Constant(_llvm_vector(a), ir.Undefined)
    base = a.builder.gep(a.value, [i.value])
    for j in range(lanes_of(a)):
        start = a.builder.load(address_ir(offsets, const(j)))
        v = a.builder.insert_element(v, a.builder.load(a.builder.gep(base, [start])), INT32(j))
    return v


@primitive(_vector, gather_ir)
def gather(a, offsets, i):
    """Read ``a[offsets[j] + i]`` to lane j."""
    chosen = offsets[: lanes_of(a)] + i
    assert chosen.min() >= 0, "gather outside the array"
    return a[chosen].view(Lanes)


def stack_ir(a, n):
    """Emit an allocation on the stack, aligned as vectors are."""
    memory = a.builder.alloca(a.context.get_value_type(a.type.dtype), n.value)
    memory.align = VECTOR_BYTES
    return memory


@primitive(lambda a, n: types.CPointer(a.dtype), stack_ir)
def stack(a, n):
    """Return room on the stack for `n` numbers of array a's dtype, until the function that is being traced returns."""
    return np.empty(n, a.dtype)


def prefetch_ir(a, i):
    """Emit LLVM's prefetch."""
    kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(a.builder.module, kind, "llvm.prefetch.p0i8")
    address = a.builder.bitcast(address_ir(a, i.value), BYTES)
    a.builder.call(function, [address, INT32(0), INT32(3), INT32(1)])  # to read; to the nearest cache; data, not code


@primitive(lambda a, i: types.void, prefetch_ir)
def prefetch(a, i):
    """Fetch ``a[i]`` to the cache before it is read. It may lie beyond the array: nothing is read here."""


# -------------------------------------- lanes: horizontal sums, in one fixed tree of halves onto halves, and transposes


def each_lane(a, width, *kept):
    """Iterate over the lanes along which sums over `width` columns run: a function ``columns(width, *kept)`` of each.

    That is a loop over a lane's columns of a panel, ``for b in columns(width, kept)``, with `kept` as in `each`. All
    lanes of vectors of a's dtype go at once, and the body is traced once; what is kept then is a vector of them for
    `horizontal_sum`. Of numbers of many networks one lane goes after the other, and the body is traced for each; what
    is kept then is the sum of those that have columns, by the same tree: `add_padding` adds what panels here lack.
    """
    if not has_many(a):
        L = lanes_of(a)
        yield lambda width, *kept: each(width // L, *kept, step=L)
        return
    L, begin = row_lanes_of(a), [list(x) for x in kept]

    def tree(first, step):
        """Leave in `kept` the sum of the lanes first, first + step, ...: depth first, so that few sums wait."""
        if step == L:
            assign(kept, [x for values in begin for x in values])
            yield lambda width, *kept: (b + first for b in each((width + (L - 1 - first)) // L, *kept, step=L))
            return
        yield from tree(first, 2 * step)
        for _ in once(width > first + step, *kept):  # else none of the others has a column
            lower = [list(x) for x in kept]
            yield from tree(first + step, 2 * step)
            assign(kept, [x + y for xs, ys in zip(lower, kept, strict=True) for x, y in zip(xs, ys, strict=True)])

    yield from tree(0, 1)


def has_padding(a, width):
    """Return whether panels of rows, if they were padded, would have padding beside `width` columns."""
    L = row_lanes_of(a)
    return width // L * L < width


def add_padding(sums, n, condition):
    """Add to n sums of many networks what padding adds, on a `condition`: that there would be any, see `has_padding`.

    Its products are 0.0, which makes 0.0 of -0.0 and changes no other sum; so once, at the root of a tree, is enough.
    """
    if has_many(sums):
        nothing = zero(sums)

        def add():
            for i in each(n):
                store(sums, i, load(sums, i) + nothing)

        when(condition, add)


def horizontal_sum_ir(a):
    """Emit the tree of additions of halves onto halves."""
    builder, x = a.builder, a.value
    if is_many(a):
        return x
    while n := x.type.count // 2:
        low, high = (builder.shuffle_vector(x, x, mask(range(i, i + n))) for i in (0, n))
        x = builder.fadd(low, high)
    return builder.extract_element(x, INT32(0))


@primitive(lambda a: a if isinstance(a, Many) else a.elem, horizontal_sum_ir)
def horizontal_sum(a):
    """Return the sum of the lanes: the upper half onto the lower one, until one number is left."""
    if is_many(a):
        return a
    a = a.view(np.ndarray)
    # The order of these additions is part of the format: it shows in the bits.
    while a.size > 1:
        a = a[: a.size // 2] + a[a.size // 2 :]
    return a[0]


# Lists of vectors are no type of Numba's, so the following are no primitives: traced code calls them, and they emit.


def store_horizontal_sums(rows, vectors):
    """Write ``rows[r][c] = horizontal_sum(vectors[r * n + c])``, n vectors a row, powers of two; in traced code."""
    n = len(vectors) // len(rows)
    if isinstance(rows[0], Traced) and not has_many(rows[0]):
        store_horizontal_sums_ir(rows, vectors, n)
        return
    for j, v in enumerate(vectors):
        put(rows[j // n], j % n, horizontal_sum(v))


def store_horizontal_sums_ir(rows, vectors, n):
    """Emit the stores of n sums a row."""
    width = lanes_of(rows[0])
    for g in range(0, len(vectors), width):  # up to a vector of sums at once, which is some rows of results
        sums = horizontal_sums_ir(vectors[g : g + width])
        for j in range(0, sums.type.count, n):
            # n neighboring numbers of a row by one store; the next row's lie elsewhere
            row, part = rows[(g + j) // n], rows[0].builder.shuffle_vector(sums, sums, mask(range(j, j + n)))
            row.builder.store(part, address_ir(row, const(0), part.type), align=align(row))


def horizontal_sums(vectors):
    """Return the vector of the horizontal sums of as many vectors as they have lanes; in traced code."""
    if is_many(vectors[0]):
        return vectors[0]
    if isinstance(vectors[0], Traced):
        return vectors[0].of(vectors[0].type, horizontal_sums_ir(vectors))
    return np.array([horizontal_sum(v) for v in vectors]).view(Lanes)


def horizontal_sums_ir(vectors):
    """Emit the vector of the horizontal sums of 2**k vectors, at most one a lane, each by the same tree."""
    builder, sums = vectors[0].builder, [v.value for v in vectors]
    half = sums[0].type.count

    def fold(x, y=None):
        """Add, in each run of 2 half lanes, the upper half onto the lower one; with y, x's sums and y's in turn."""
        n = x.type.count
        low = [k + s for s in range(0, n, 2 * half) for k in (*range(half), *(range(n, n + half) if y else ()))]
        y = y or x
        return builder.fadd(*(builder.shuffle_vector(x, y, mask([k + up for k in low])) for up in (0, half)))

    # While there are pairs, one addition folds both vectors of a pair, each in its half of the lanes: n sums take n - 1
    # additions, where n sums by themselves take n log2(n).
    while half := half // 2:
        m = len(sums) // 2
        sums = [fold(x, y) for x, y in zip(sums[:m], sums[m:], strict=True)] if m else [fold(sums[0])]
    return sums[0]


def transposed(vectors):
    """Transpose a square block of numbers, one vector a row; in traced code."""
    if isinstance(vectors[0], Traced):
        return [v.of(v.type, row) for v, row in zip(vectors, transposed_ir(vectors), strict=True)]
    return vectors if is_many(vectors[0]) else [v.view(Lanes) for v in np.stack(vectors).T.copy()]


def transposed_ir(vectors):
    """Emit the rows of the transposed block."""
    builder, n = vectors[0].builder, len(vectors)
    rows = [v.value for v in vectors]
    # Rounds of shuffles, two for each pair of vectors: in blocks of 2 s, the two off the diagonal change places.
    for s in (1 << k for k in range(n.bit_length() - 1)):
        upper = mask([n + k - s if k & s else k for k in range(n)])
        lower = mask([n + k if k & s else k + s for k in range(n)])
        for i in (i for i in range(n) if not i & s):
            a, b = rows[i], rows[i + s]
            rows[i], rows[i + s] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
    return rows


# -------------------------------------------------------------------------------------------- threads that share work


# All threads see the changes of these numbers in one order, and with each of them all that was written before it.

NAP = 20
"""Microseconds of a nap, if the system's clock is so fine."""
RELAXED = 40
"""Ticks that a pause takes besides what the processor's clock says, or in its place."""
WAIT, WAKE = 128, 129
"""The operations of `futex`, among the threads of a process."""

_in_python = threading.Lock()


@primitive(lambda a, i: types.int64, lambda a, i: a.builder.load_atomic(address_ir(a, i.value), "seq_cst", 8))
def observed(a, i):
    """Read ``a[i]``, int64; what another thread wrote before it changed this number can be read afterwards."""
    return a[i]


@primitive(
    lambda a, i, x: types.int64(a, i, types.int64),
    lambda a, i, x: a.builder.atomic_rmw("add", address_ir(a, i.value), x.value, "seq_cst"),
)
def added(a, i, x):
    """Add x to ``a[i]``, int64; return what it was. No other thread comes in between."""
    with _in_python:
        before = a[i]
        a[i] += x
    return before


def swapped_ir(a, i, old, new):
    """Emit a comparison and exchange; whether it has found the old number, as an integer."""
    pair = a.builder.cmpxchg(address_ir(a, i.value), old.value, new.value, "seq_cst", "seq_cst")
    return a.builder.zext(a.builder.extract_value(pair, 1), INT64)


@primitive(lambda a, i, old, new: types.int64(a, i, types.int64, types.int64), swapped_ir)
def swapped(a, i, old, new):
    """Write ``a[i] = new``, int64, if it is `old`; return whether it was. No other thread comes in between."""
    with _in_python:
        was_old = a[i] == old
        if was_old:
            a[i] = new
    return was_old


def _call_ir(builder, name, returns, *arguments):
    """Emit a call of LLVM's function of this name."""
    kind = ir.FunctionType(returns, [x.type for x in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def relax_ir(a):
    """Emit the processor's instruction for a loop that waits, which takes 40 to 150 ticks; none for one that has none.

    On arm64, where it takes some 40, no clock is read: not all systems let a program do that.
    """
    machine, ticks = platform.machine().lower(), INT64(RELAXED)
    if machine in ("x86_64", "amd64"):
        began = _call_ir(a.builder, "llvm.readcyclecounter", INT64)
        _call_ir(a.builder, "llvm.x86.sse2.pause", ir.VoidType())
        passed = a.builder.sub(_call_ir(a.builder, "llvm.readcyclecounter", INT64), began)
        ticks = a.builder.add(passed, ticks)
    elif machine in ("aarch64", "arm64"):
        _call_ir(a.builder, "llvm.aarch64.isb", ir.VoidType(), INT32(15))
    return ticks


@primitive(lambda a: types.int64, relax_ir)
def relax(a):
    """Tell the processor that this thread waits for a number of `a`; return the ticks of its clock that this took.

    It saves power, and room for the processor's other threads.
    """
    return RELAXED


def nap_ir(function):
    """Emit a call of the C function with the time to sleep."""
    kind = ir.FunctionType(INT32, [INT32])
    function.builder.call(function.builder.inttoptr(function.value, kind.as_pointer()), [INT32(NAP)])


@primitive(lambda function: types.void(types.int64), nap_ir)
def nap(function):
    """Let other threads have the CPU for a while, by the C function at this address."""
    time.sleep(NAP * 1e-6)


def futex_ir(function, number, a, i, operation, value, j):
    """Emit ``syscall(number, &a[i], operation, value, &a[j])``."""
    builder, kind = function.builder, ir.FunctionType(INT64, [INT64] * 5)
    at, time_at = (builder.ptrtoint(address_ir(a, k.value), INT64) for k in (i, j))
    builder.call(
        builder.inttoptr(function.value, kind.as_pointer()), [number.value, at, operation.value, value.value, time_at]
    )


@primitive(
    lambda function, number, a, i, operation, value, j: types.void(*[types.int64] * 2, a, *[types.int64] * 4), futex_ir
)
def futex(function, number, a, i, operation, value, j):
    """Sleep while the low half of ``a[i]`` is that of `value` (WAIT), or wake so many that do (WAKE), as Linux has it.

    `function` is the address of C's `syscall`, `number` that of the system call; ``a[j]`` and the next number are the
    seconds and nanoseconds after which a sleep ends anyway.
    """
    time.sleep(NAP * 1e-6)


# ----------------------------------------------------------- calls of an entry point by the address of its machine code


def caller(n_arguments):
    """Return the primitive that calls an entry point of so many arguments, each an integer, an array or a NamedTuple.

    ``call(code, result, arguments)`` reads the arguments as Python would hand them over, 8-byte words in memory: an
    integer, the address of an array's object or that of an argument block. It writes what the entry point returns.
    """

    def call_ir(code, result, arguments):
        builder = code.builder
        words = [builder.load(address_ir(arguments, const(k))) for k in range(n_arguments)]
        # Numba's calling convention, see `loader._callable`: an integer goes the same way as a pointer.
        kind = ir.FunctionType(INT32, [INT64.as_pointer(), BYTES.as_pointer(), *[INT64] * n_arguments])
        unused = cgutils.alloca_once(builder, BYTES)
        written = builder.bitcast(result.value, INT64.as_pointer())  # or a float, of as many bytes
        builder.call(builder.inttoptr(code.value, kind.as_pointer()), [written, unused, *words])

    @primitive(lambda code, result, arguments: types.void, call_ir)
    def call(code, result, arguments):
        """Call the entry point at the address `code`."""
        raise NotImplementedError("in plain Python, entry points are called by their names")

    return call
