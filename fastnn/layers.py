"""The layers of a network: where their weights and biases lie in one flat vector, and how these are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.checking.arguments import check_seed, fill_layers, shown
from fastnn.memory import Array


class Layer(NamedTuple):
    """One layer: its widths and where its numbers lie in the flat parameter vector."""

    fan_in: int
    fan_out: int
    n_bias: int  # fan_out, 1 or 0
    weight: slice  # fan_in * fan_out numbers: W (fan_in, fan_out), row-major
    bias: slice  # n_bias numbers
    activation: str

    @property
    def all(self) -> slice:
        """Weights and biases, which lie side by side."""
        return slice(self.weight.start, self.bias.stop)


class Layered:
    """The base of `Network`: its layers, which follow from its sizes, and its parameters as one flat vector."""

    sizes: tuple[int, ...]
    activation: str | tuple[str, ...]
    output: str
    bias: str
    init: str
    bias_init: str | float

    @property
    def n_layers(self) -> int:
        """Layers with weights: hidden ones and the output."""
        return len(self.sizes) - 1

    @cached_property
    def n_params(self) -> int:
        """Length of the flat parameter vector: counted without `layers`, which are large for what they are made of."""
        widths = zip(self.sizes, self.sizes[1:], strict=False)
        return sum(fan_in * fan_out + self._n_bias(fan_out) for fan_in, fan_out in widths)

    def _n_bias(self, fan_out: int) -> int:
        """Return the number of biases of a layer."""
        return {"vector": fan_out, "scalar": 1, "none": 0}[self.bias]

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers from the input to the output, with their places in the flat vector."""
        hidden = (self.activation,) * (self.n_layers - 1) if isinstance(self.activation, str) else self.activation
        layers, place = [], 0
        for fan_in, fan_out, activation in zip(self.sizes, self.sizes[1:], (*hidden, self.output), strict=False):
            n_bias = self._n_bias(fan_out)
            middle = place + fan_in * fan_out
            place, weight = middle + n_bias, slice(place, middle)
            layers.append(Layer(fan_in, fan_out, n_bias, weight, slice(middle, place), activation))
        return tuple(layers)

    def weights(self, params: Array) -> list[Array]:
        """Take the weights out of a flat vector.

        Parameters
        ----------
        params : ndarray (n_params,)
            The parameters.

        Returns
        -------
        list of ndarray (fan_in, fan_out)
            The W of each layer, views of `params`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network
        >>> [W.shape for W in Network((3, 5, 1)).weights(np.arange(26.0))]
        [(3, 5), (5, 1)]
        """
        return [params[layer.weight].reshape(layer.fan_in, layer.fan_out) for layer in self.layers]

    def biases(self, params: Array) -> list[Array]:
        """Take the biases out of a flat vector.

        Parameters
        ----------
        params : ndarray (n_params,)
            The parameters.

        Returns
        -------
        list of ndarray (fan_out,), (1,) or (0,)
            The b of each layer, views of `params`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network
        >>> Network((3, 5, 1)).biases(np.arange(26.0))
        [array([15., 16., 17., 18., 19.]), array([25.])]
        """
        return [params[layer.bias] for layer in self.layers]

    def is_weight(self, dtype: DTypeLike = np.float64) -> Array:
        """Tell weights from biases in a flat vector.

        Parameters
        ----------
        dtype : float32 or float64
            That of the result.

        Returns
        -------
        ndarray (n_params,)
            1 for each weight, 0 for each bias.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network((2, 1)).is_weight()
        array([1., 1., 0.])
        """
        flags = np.zeros(self.n_params, dtype)
        for layer in self.layers:
            flags[layer.weight] = 1
        return flags

    def pack(self, weights: Sequence[Any], biases: Sequence[Any]) -> Array:
        """Put the layers' weights and biases into one flat vector: the inverse of `weights` and `biases`.

        Parameters
        ----------
        weights, biases : sequence of array-like, (fan_in, fan_out) and (fan_out,), (1,) or (0,)
            An array for each layer: W, and b.

        Returns
        -------
        params : ndarray (n_params,)
            A copy, in float32 if all arrays are, else in float64.

        Raises
        ------
        ValueError, TypeError
            For arrays of another number or shape, and for what is not real numbers.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network((2, 1)).pack([[[1.0], [2.0]]], [[3.0]])
        array([1., 2., 3.])
        """
        single = all(getattr(array, "dtype", None) == np.float32 for array in (*weights, *biases))
        params = np.empty(self.n_params, np.float32 if single else np.float64)
        fill_layers("weights", self.weights(params), weights)
        fill_layers("biases", self.biases(params), biases)
        return params

    def init_params(
        self, random_state: int | np.integer[Any] | np.random.RandomState | None = None, dtype: DTypeLike = np.float64
    ) -> Array:
        """Draw initial parameters: with a seed, those that ``train(..., seed=seed)`` begins with.

        Parameters
        ----------
        random_state : None, int or RandomState
            A seed, as for `fastnn.train`. None: other numbers at each call. A RandomState is drawn from layer by layer,
            W and then (for ``bias_init="same"``) the bias; NumPy has frozen its streams.
        dtype : float32 or float64
            Draws are made in float64 and rounded once.

        Returns
        -------
        ndarray (n_params,)
            The parameters.

        Raises
        ------
        TypeError, ValueError
            For what is no seed.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network((1, 1), init="normal", bias_init=0.5).init_params(0).round(3)
        array([1.764, 0.5  ])
        """
        check_seed("random_state", random_state)
        if not isinstance(dtype, (type, np.dtype)) and dtype not in ("float32", "float64"):
            raise TypeError(f"dtype must be float32 or float64, not {shown(dtype)}")
        if not isinstance(random_state, np.random.RandomState):
            random_state = np.random.RandomState(random_state)
        return params_of(self, draw(self, random_state), np.empty(self.n_params, dtype))

    @cached_property
    def _n_drawn(self) -> int:
        """The number of random numbers drawn for all layers."""
        return sum(n for _, n, *_ in self._draws)

    @cached_property
    def _draws(self) -> tuple[tuple[slice, int, Array, Array], ...]:
        """The draws of each layer: their place (W, for "same" the bias too), their number, and their distribution.

        That is its range and its lower bound, or its deviation and 0: as arrays (), which NumPy takes in half the time.
        """
        draws = []
        for layer in self.layers:
            fans, place = layer.fan_in + layer.fan_out, layer.all if self.bias_init == "same" else layer.weight
            six = 2 if layer.activation == "sigmoid" else 6
            squares = {"glorot_uniform": six / fans, "glorot_normal": 2 / fans, "he": 2 / layer.fan_in, "normal": 1}
            scale = math.sqrt(squares[self.init])
            scale, low = (2 * scale, -scale) if self.init == "glorot_uniform" else (scale, 0.0)
            draws.append((place, place.stop - place.start, np.array(scale), np.array(low)))
        return tuple(draws)


def draw(network: Layered, random_state: np.random.RandomState) -> Array:
    """Return the numbers (n,) of which initial parameters are made, drawn for all layers in one call."""
    kind = random_state.random if network.init == "glorot_uniform" else random_state.standard_normal
    return kind(network._n_drawn)


def params_of(network: Layered, numbers: Array, params: Array) -> Array:
    """Make initial parameters of numbers (..., n) that were drawn, for any number of networks.

    They are written to `params` (..., n_params), which is returned, and have the bits of a call for each layer of
    `RandomState.uniform`, or of `standard_normal` times the deviation.
    """
    if not isinstance(network.bias_init, str):
        params.fill(network.bias_init)
    first = 0
    for place, n, scale, low in network._draws:
        drawn, written = numbers[..., first : first + n], params[..., place]
        if network.init == "glorot_uniform":
            np.add(low, scale * drawn, out=written)  # in float64, and rounded once
        else:
            np.multiply(scale, drawn, out=written)
        first += n
    return params
