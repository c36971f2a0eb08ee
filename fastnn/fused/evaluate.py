"""The outputs of one row, for code that calls these functions by their addresses, see `function.py`.

A single row goes through the layers as in `propagation.forward`, but through buffers on the stack, two in turn, and by
the weights of an immutable block, so that any number of threads may call it. `kernels.evaluate` has all three compiled,
when one is first used.
"""

from typing import Any, NamedTuple

import numpy as np

from fastnn.compiler.control import choose, each
from fastnn.compiler.memory_ops import lanes_of, offset, put, stack, store, unpack, zero
from fastnn.compiler.tracing import exported
from fastnn.compiler.vectors import like
from fastnn.fused.dense import row_forward_layer
from fastnn.fused.gather import copy
from fastnn.fused.layer_records import each_layer


class _Buffers(NamedTuple):
    """The buffers of `layout.Scratch` that `row_forward_layer` takes."""

    activations: Any
    slopes: Any
    weight: Any
    zeros: Any


@exported
def evaluate_row(x, out, network):
    """Write the outputs (n_outputs,) of a row x (n_inputs,): ``void (const T *x, T *out, const void *network)``."""
    network, L = unpack(network), lanes_of(out)
    # Nothing that outlives the call: any number of threads may be here, and none allocates.
    activations, zeros, ones = stack(out, network.n_scratch), stack(out, L), stack(out, L)
    store(zeros, 0, zero(out))
    store(ones, 0, like(zero(out), 1.0))
    copy(activations, x, network.n_inputs)  # to where whole vectors may be read
    # The slopes, of which nothing is used here, may lie where the activations are: these are written after them.
    buffers = _Buffers(activations, activations, ones, zeros)
    for _, layer in each_layer(network):
        row_forward_layer(layer, buffers, network.params)
    copy(out, offset(activations, network.output * L), network.n_outputs)


@exported
def evaluate_arrays(x, n_inputs, out, n_outputs, network):
    """Write the outputs as `evaluate_row` does, or NaN to all of `out` where one of the lengths is another."""
    sizes = unpack(network)

    def refuse():  # Numba's code calls a function by its address without a way to raise: NaN is what can be seen
        for o in each(n_outputs):
            put(out, o, np.nan)

    right = (n_inputs == sizes.n_inputs) & (n_outputs == sizes.n_outputs)
    choose(right, lambda: evaluate_row(x, out, network), refuse)


@exported
def evaluate_objects(x, out, network):
    """Write the outputs as `evaluate_row` does, of arrays as Python hands them over, which are of the right lengths."""
    sizes = unpack(network)
    evaluate_arrays(unpack(x), sizes.n_inputs, unpack(out), sizes.n_outputs, network)
