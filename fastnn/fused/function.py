"""A trained network as a function of one row, for compiled code: Numba's, C's, or whatever takes an address."""

from __future__ import annotations

import ctypes

import numpy as np

from fastnn.checking.arguments import cut
from fastnn.compiler.first_class import FirstClass, bound, of_arrays
from fastnn.compiler.loader import IN_PYTHON, load_kernel, prepared
from fastnn.compiler.program import symbol
from fastnn.fused.guard import check
from fastnn.fused.layout import LAYER_FIELDS, Weights, describe
from fastnn.memory import ALIGNMENT, READABLE, WRITEABLE, address, aligned_zeros, ceil_div, padded_size

STACK = 2**16
"""Bytes of the stack that a call may take: threads have little of it, and whoever overruns theirs ends the process."""

_called_by_numba: list[Function] = []
"""Functions whose address compiled code has got. It may call them to the end of the process, so they stay as long."""


class Function(FirstClass):
    """A trained network as a function of one row: ``f(x, out)`` writes the outputs for x to `out`.

    It has the bits of `predict`, allocates nothing, holds no lock, and may be called by several threads.

    Parameters
    ----------
    network : Network
    params : (n_params,)
        Copied: training on does not change the function.

    Attributes
    ----------
    n_inputs, n_outputs : int
        The lengths of x and out.
    dtype : dtype
        Of both: float64 or float32.
    """

    def __init__(self, network, params):
        self.n_inputs, self.n_outputs, self.dtype = network.n_inputs, network.n_outputs, params.dtype
        self._x, self._out = (network.n_inputs,), (network.n_outputs,)
        lanes = ALIGNMENT // self.dtype.itemsize
        # Activations go from one of two places to the other, each as large as the largest layer that it holds.
        n_vectors = [ceil_div(size, lanes) for size in network.sizes]
        second = max(n_vectors[::2])
        n_scratch = (second + max(n_vectors[1::2])) * lanes
        n_bytes = n_scratch * self.dtype.itemsize + 2 * ALIGNMENT
        if n_bytes > STACK:
            raise ValueError(
                f"layers of {cut(', '.join(map(str, network.sizes)))} neurons would take {n_bytes:,} bytes of the "
                f"stack, more than {STACK:,}: use predict, whose buffers are elsewhere"
            )
        layers = describe(network, self.dtype, 1).layers.copy()
        places = np.resize([0, second], len(network.sizes))
        records = layers.reshape(network.n_layers, len(LAYER_FIELDS))
        records[:, LAYER_FIELDS["input"]], records[:, LAYER_FIELDS["output"]] = places[:-1], places[1:]
        padded_params = aligned_zeros(padded_size(network.n_params, self.dtype), self.dtype)
        padded_params[: network.n_params] = params
        layers.flags.writeable = padded_params.flags.writeable = False
        sizes = network.n_layers, self.n_inputs, self.n_outputs, int(places[-1]), n_scratch
        self._weights = Weights(layers, padded_params, *sizes)  # kept: the block has the addresses of its arrays
        self._block = prepared(self._weights)
        self._kernel, self._wrapper = load_kernel("evaluate", self.dtype), 0
        self._call = self._kernel
        if not IN_PYTHON:  # with three arguments, where an entry point takes two more, a call takes half of the time
            call = ctypes.CFUNCTYPE(None, ctypes.py_object, ctypes.py_object, ctypes.c_char_p)
            self._call = call(self._address("evaluate_objects"))

    def __call__(self, x, out):
        """Write the outputs for the inputs x (n_inputs,) to `out` (n_outputs,), an array that may be written.

        Raises
        ------
        ValueError, TypeError
            For arrays of another length, dtype or layout.
        """
        if not (
            type(x) is type(out) is np.ndarray
            and x.shape == self._x
            and out.shape == self._out
            and x.dtype == out.dtype == self.dtype
            and x.flags.num & READABLE == READABLE
            and out.flags.num & WRITEABLE == WRITEABLE
        ):
            check("x", x, self._x, self.dtype)  # a subclass may be right
            check("out", out, self._out, self.dtype, WRITEABLE)
        self._call(x, out, self._block)

    def __repr__(self):
        return f"<function of x ({self.n_inputs},) and out ({self.n_outputs},), {self.dtype}>"

    def __reduce__(self):
        raise TypeError("a function has addresses of this process: pickle or save the result, and call its function()")

    # -------------------------------------------------------------------------------------------- from compiled code

    def signature(self):
        """Return its type for Numba: a function of two arrays (n,), contiguous, the first one only read."""
        return of_arrays(self.dtype)

    def __wrapper_address__(self):
        """Return the address by which Numba's code calls it; it raises nothing: NaN in `out` is a wrong length."""
        if not self._wrapper:
            self._wrapper = bound(self._address("evaluate_arrays"), self.c_network.value, self.signature())
            _called_by_numba.append(self)
        return self._wrapper

    @property
    def c_function(self):
        """The C function ``void (const T *x, T *out, const void *network)`` as ctypes has it."""
        number = np.ctypeslib.as_ctypes_type(self.dtype)
        pointer = ctypes.POINTER(number)
        return ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_void_p)(self._address("evaluate_row"))

    @property
    def c_network(self):
        """The argument `network` of `c_function`: a pointer to the weights, which live as long as this object."""
        _check_compiled()
        return ctypes.c_void_p(address(np.frombuffer(self._block, np.uint8)))

    def _address(self, name):
        """Return the address of one of the functions for C in the kernel's machine code."""
        _check_compiled()
        return self._kernel.address_of(symbol(name, self.dtype.name))


def _check_compiled():
    """Raise RuntimeError where kernels run as plain Python."""
    if IN_PYTHON:
        raise RuntimeError("with NUMBA_DISABLE_JIT there is no compiled function to call: call f(x, out) from Python")
