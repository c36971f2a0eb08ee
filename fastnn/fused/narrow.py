"""The gradient of a small layer from a block of a few rows, one vector: whole vectors of the flat gradient at a time.

A tile of weights would be a corner of one here, and its results would be written number by number, which holds up the
update that reads them as vectors. So the layer's numbers, weights and then biases, are gone through in the order in
which they lie, as many at a time as a vector has lanes: each is the total of one product of two rows of the panels, and
`Model.pairs` says which. The bias of a neuron counts as the weight of an input that is always 1.
"""

from __future__ import annotations

from fastnn.fused.jit import inlined
from fastnn.fused.lowering import choose, loop, traced
from fastnn.fused.places import at, get, lanes, lanes_of, load, store, zero
from fastnn.fused.shuffles import totals
from fastnn.fused.simd import first, fma, like


@inlined
def write_ones(A, fan_in):
    """The input that is always 1: a row of the panel, behind the others."""
    store(A, fan_in * lanes(A), like(zero(A), 1.0))


@traced
def _gradient(G, A, D, params, pairs, n_weights, n, times_bias):
    L, nothing = lanes_of(G), zero(G)

    def vector(k, _):
        i = k * L
        products = [
            fma(load(A, get(pairs, 2 * (i + j))), load(D, get(pairs, 2 * (i + j) + 1)), nothing) for j in range(L)
        ]
        g = totals(products)
        (g,) = choose(times_bias, lambda: [g * first(n_weights - i, like(g, 1.0), load(params, i))], lambda: [g])
        store(G, i, first(n - i, g, load(G, i)))
        return ()

    loop((n + (L - 1)) // L, vector)


@inlined
def narrow_gradient(G, A, D, params, pairs, fan_in, fan_out, n_bias, times_bias):
    """What `weight_gradient` and `bias_gradient` compute, to G (fan_in * fan_out + n_bias,); `params` lie likewise.

    A (fan_in + 1, one vector) ends with a row of ones; D (fan_out + 1, one vector) has room for the sum of its rows.
    """
    if n_bias < fan_out:
        s = load(D, 0)
        for o in range(1, fan_out):
            s = s + load(D, o * lanes(D))
        store(D, fan_out * lanes(D), s)
    _gradient(G, A, D, params, pairs, fan_in * fan_out, fan_in * fan_out + n_bias, times_bias)
