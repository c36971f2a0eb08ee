"""What was trained as a function of one row, for compiled code: Numba's, C's, or whatever takes an
address.
"""

from __future__ import annotations

import ctypes

import numpy as np

from fastnn.checking.arguments import cut
from fastnn.compiler.arguments import ArrayPointer
from fastnn.compiler.first_class import FirstClass, bound, of_arrays
from fastnn.compiler.loader import IN_PYTHON, load_kernel, prepared
from fastnn.compiler.program import symbol
from fastnn.fused.guard import check
from fastnn.fused.layout import LAYER_FIELDS, TableWeights, Weights, describe
from fastnn.memory import (
    ALIGNMENT,
    READABLE,
    WRITEABLE,
    aligned_zeros,
    ceil_div,
    padded_size,
    vector_lanes,
)

STACK = 2**16
"""Bytes of the stack that a call may take: threads have little of it, and whoever overruns theirs
ends the process."""

_called_by_numba: list[Function] = []
"""Functions whose address compiled code has got. It may call them to the end of the process, so
they stay as long."""


class RowFunction(FirstClass):
    """The base of functions of one row: ``f(x, out)`` writes the outputs for x to `out`.

    It has the bits of `predict`, allocates nothing, holds no lock, and may be called by several
    threads.

    Parameters
    ----------
    weights : Weights or TableWeights
        Their arrays are its own.
    kernel : str
        The entry point that takes them.
    dtype : dtype
        Of x and out.
    precision : dtype, optional
        The one in which networks compute, where it is another.

    Attributes
    ----------
    n_inputs, n_outputs : int
        The lengths of x and out.
    dtype : dtype
        Of both: float64 or float32.
    """

    def __init__(self, weights, kernel, dtype, precision=None):
        self.n_inputs = weights.n_inputs
        self.n_outputs = weights.n_outputs
        self.dtype = dtype
        self._x = (self.n_inputs,)
        self._out = (self.n_outputs,)
        for array in weights:
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        self._block = prepared(weights)
        self._argument = self._block if IN_PYTHON else ctypes.byref(self._block)
        self._name = kernel
        self._kernel = load_kernel(kernel, precision or dtype)
        self._wrapper = 0
        self._call = self._kernel
        # with three arguments, where an entry point takes two more, a call takes half of the time
        if not IN_PYTHON:
            call = ctypes.CFUNCTYPE(None, ArrayPointer, ArrayPointer, ctypes.c_void_p)
            self._call = call(self._address("objects"))

    def __call__(self, x, out):
        """Write the outputs for the inputs x (n_inputs,) to `out` (n_outputs,), an array that may
        be written.

        Raises
        ------
        ValueError, TypeError
            For arrays of another length, dtype or layout.
        """
        fits = type(x) is type(out) is np.ndarray and x.shape == self._x and out.shape == self._out
        fits = fits and x.dtype == out.dtype == self.dtype and x.flags.num & READABLE == READABLE
        if not (fits and out.flags.num & WRITEABLE == WRITEABLE):
            check("x", x, self._x, self.dtype)  # a subclass may be right
            check("out", out, self._out, self.dtype, WRITEABLE)
        self._call(x, out, self._argument)

    def __repr__(self):
        return f"<function of x ({self.n_inputs},) and out ({self.n_outputs},), {self.dtype}>"

    def __reduce__(self):
        raise TypeError(
            "a function has addresses of this process: pickle or save the result, and call its "
            "function()"
        )

    # --------------------------------------------------------------------------- from compiled code

    def signature(self):
        """Return its type for Numba: a function of two arrays (n,), contiguous, the first one only
        read.
        """
        return of_arrays(self.dtype)

    def __wrapper_address__(self):
        """Return the address by which Numba's code calls it; it raises nothing: NaN in `out` is a
        wrong length.
        """
        if not self._wrapper:
            self._wrapper = bound(self._address("arrays"), self.c_network.value, self.signature())
            _called_by_numba.append(self)
        return self._wrapper

    @property
    def c_function(self):
        """The C function ``void (const T *x, T *out, const void *network)`` as ctypes has it."""
        number = np.ctypeslib.as_ctypes_type(self.dtype)
        pointer = ctypes.POINTER(number)
        return ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_void_p)(self._address("row"))

    @property
    def c_network(self):
        """The argument `network` of `c_function`: a pointer to the weights, which live as long as
        this object.
        """
        _check_compiled()
        return ctypes.c_void_p(ctypes.addressof(self._block))

    def _address(self, of_what):
        """Return the address of one of the functions for C in the kernel's machine code: of a row,
        arrays, objects.
        """
        _check_compiled()
        return self._kernel.address_of(symbol(f"{self._name}_{of_what}", self.dtype.name))


class Function(RowFunction):
    """A trained network as a function of one row.

    Parameters
    ----------
    network : Network
    params : (n_params,)
        Copied: training on does not change the function.
    jacobian : bool
        Whether the derivatives of the outputs by the inputs follow them, row by row.
    """

    def __init__(self, network, params, jacobian=False):
        lanes = vector_lanes(params.dtype)
        n_written = network.n_outputs
        n_delta = 0
        if jacobian:
            n_written += network.n_outputs * network.n_inputs
            n_delta = (ceil_div(max(network.sizes), lanes) + 1) * lanes
        layers, output, n_scratch = _layers(network, params.dtype, 0, n_delta)
        sizes = network.n_layers, network.n_inputs, n_written, output, n_scratch, n_delta
        super().__init__(Weights(layers, _padded(params), *sizes), "evaluate", params.dtype)


class TableFunction(RowFunction):
    """An ensemble with the preparation of a table's numbers as a function of one row of float64.

    Parameters
    ----------
    network : Network
    params : (n_members, n_params), float32
        Copied, as is `row`.
    row : TableRow
        What is computed before and behind the networks.
    """

    def __init__(self, network, params, row):
        k = len(row.places)
        n_members = len(params)
        lanes = vector_lanes(np.dtype(np.float64))
        width = ceil_div(k, lanes) * lanes
        n_targets = ceil_div(network.n_outputs, lanes) * lanes
        n_bytes = 8 * (4 * width + n_targets) + params.itemsize * (network.n_inputs + 1)
        layers, output, n_scratch = _layers(network, params.dtype, n_bytes)
        numbers = [
            *(_in_rows(part, width) for part in (row.preparation, row.imputation)),
            _in_rows(row.targets, n_targets),
            row.steps,
            *row.ramps,
            np.zeros(1),
        ]
        params = np.concatenate([_padded(one) for one in params])
        places = np.concatenate([row.places, row.flags, row.ramped, [0]]).astype(np.int64)
        weights = TableWeights(
            layers,
            params,
            np.concatenate(numbers),
            places,
            n_layers=network.n_layers,
            n_inputs=row.n_columns,
            n_outputs=network.n_outputs,
            output=output,
            n_scratch=n_scratch,
            n_members=n_members,
            stride=params.size // n_members,
            n_numbers=k,
            n_flags=len(row.flags),
            n_rounds=len(row.steps),
            n_ramps=len(row.ramped),
            adds_up=int(row.adds_up),
            divisor=float(n_members),
            limit=row.limit,
            bound=row.bound,
            largest=row.largest,
        )
        super().__init__(weights, "evaluate_table", np.dtype(np.float64), params.dtype)


def _layers(network, dtype, n_bytes, n_delta=0):
    """Return the layers' records, whose activations are on the stack beside `n_bytes`; the output's
    place; their sum. With derivatives, of `n_delta` numbers a layer, all activations stay there.

    Raises
    ------
    ValueError
        For layers that are too large for the stack.
    """
    lanes = vector_lanes(dtype)
    # Activations go from one of two places to the other, each as large as the largest layer that it
    # holds.
    n_vectors = [ceil_div(size, lanes) for size in network.sizes]
    second = max(n_vectors[::2])
    places = np.resize([0, second], len(network.sizes))
    n_scratch = (second + max(n_vectors[1::2])) * lanes
    n_bytes += n_scratch * dtype.itemsize + 2 * ALIGNMENT
    if n_delta:
        places = np.cumsum([0, *n_vectors[:-1]])
        n_scratch = sum(n_vectors) * lanes
        n_bytes = 2 * (n_scratch + n_delta) * dtype.itemsize + 2 * ALIGNMENT
    if n_bytes > STACK:
        sizes = cut(", ".join(map(str, network.sizes)))
        room = f"{n_bytes:,} bytes of the stack, more than {STACK:,}"
        raise ValueError(
            f"layers of {sizes} neurons would take {room}: use predict, whose buffers are elsewhere"
        )
    layers = describe(network, dtype, 1).layers.copy()
    records = layers.reshape(network.n_layers, len(LAYER_FIELDS))
    records[:, LAYER_FIELDS["input"]] = places[:-1]
    records[:, LAYER_FIELDS["output"]] = places[1:]
    return layers, int(places[-1]), n_scratch


def _in_rows(numbers, width):
    """Return the numbers (m, any) one row after another, each with zeros up to this width."""
    return np.pad(numbers, ((0, 0), (0, width - numbers.shape[1]))).ravel()


def _padded(params):
    """Return a copy of parameters with room for whole vectors."""
    padded = aligned_zeros(padded_size(params.size, params.dtype), params.dtype)
    padded[: params.size] = params
    return padded


def _check_compiled():
    """Raise RuntimeError where kernels run as plain Python."""
    if IN_PYTHON:
        raise RuntimeError(
            "with NUMBA_DISABLE_JIT there is no compiled function to call: call f(x, out) from "
            "Python"
        )
