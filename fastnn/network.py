"""A network: its sizes, activations and loss, by their names in the registries or as values.

Names used everywhere in fastnn: ``z`` is a pre-activation, ``a`` an activation, ``delta`` the
derivative of the loss by z, a prefix ``d`` a gradient (``dW``), ``fan_in`` and ``fan_out`` the
widths on either side of a layer.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import DTypeLike

from fastnn import losses
from fastnn.cached import cached_property
from fastnn.checking import arguments, display
from fastnn.checking.arguments import CheckedFields, choice, optional, shown
from fastnn.checking.display import Filled, summaries, table
from fastnn.checking.hints import explains_keywords
from fastnn.formulas import Formula
from fastnn.losses import (
    ACTIVATIONS,
    LOSSES,
    Activation,
    Function,
    Loss,
    Value,
    line_of,
    name_of,
)
from fastnn.memory import Array

BIASES = ("vector", "scalar", "none")
BIAS_GRADIENTS = ("exact", "times_bias")
REDUCTIONS = ("mean", "sum")
INITS = ("glorot_uniform", "glorot_normal", "he", "normal", "nguyen_widrow")
NORMAL = ("glorot_normal", "he", "normal")
"""Those that are drawn from a normal distribution; the others are from a uniform one."""


_ELSEWHERE = {
    "fit": "result = train(network, X, Y, epochs=...)",
    "train": "result = train(network, X, Y, epochs=...)",
    "predict": "result.predict(X), of a result of train; or predict(network, params, X)",
}
"""{a method that networks of other libraries have: what to write}."""


class Layer(NamedTuple):
    """One layer: its widths and where its numbers lie in the flat parameter vector."""

    fan_in: int
    fan_out: int
    n_bias: int  # fan_out, 1 or 0
    weight: slice  # fan_in * fan_out numbers: W (fan_in, fan_out), row-major
    bias: slice  # n_bias numbers
    activation: str  # its name
    numbers: tuple[float, ...]  # and its parameters
    formula: Formula | None  # of one by a function of the user's

    @property
    def all(self) -> slice:
        """Weights and biases, which lie side by side."""
        return slice(self.weight.start, self.bias.stop)


@explains_keywords
@dataclass(frozen=True)
class Network(CheckedFields):
    """A multilayer perceptron and the loss that it is trained on. It holds no weights.

    Parameters
    ----------
    sizes : sequence of int
        Widths: inputs, each hidden layer, outputs. ``(3, 5, 1)`` has one hidden layer of five
        neurons; ``(3, 1)`` none.
    activation : str, Elu, LeakyRelu, callable or CustomActivation, or sequence of them
        Of the hidden layers: one for all of them, or one each: a name of the table of activations
        below, a value with parameters, or a function of your own, which becomes a
        `CustomActivation`.
    output : str, Elu, LeakyRelu, callable or CustomActivation
        Activation of the last layer, of the same table.
    loss : str, Huber, Pinball, LogLoss, CrossEntropy, callable or CustomLoss
        A name of the table of losses below, a value with parameters, or a function of your own,
        which becomes a `CustomLoss`; "auto" is cross_entropy where the output is softmax, else
        squared_error.
    bias : {"vector", "scalar", "none"}
        A layer adds fan_out numbers, one number to all its neurons, or nothing.
    bias_gradient : {"exact", "times_bias"}
        "times_bias" multiplies the bias' gradient by the bias, as the tutorial does; it is not the
        loss' gradient.
    reduction : {"mean", "sum"}
        Whether the loss of a batch is divided by the sum of its weights (its number of rows).
    init : {"glorot_uniform", "glorot_normal", "he", "normal", "nguyen_widrow"}, optional
        How W is drawn: uniform within ``sqrt(6/(fan_in+fan_out))`` (2 in place of 6 for a sigmoid
        layer) [1]_, normal with deviation ``sqrt(2/(fan_in+fan_out))`` [1]_, ``sqrt(2/fan_in)``
        [2]_ or 1; "nguyen_widrow" [3]_ spreads the bends of hidden neurons evenly over the ranges
        of the inputs. Where it is not given, "nguyen_widrow" for `LevenbergMarquardt`,
        "glorot_uniform" for all other optimizers.
    bias_init : "same" or float
        Biases are drawn like W after it ("same"), or begin at this number.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, a size below one, a loss that does not go with the output, or a softmax
        of one neuron.

    See Also
    --------
    fastnn.train : Train a network.
    fastnn.predict : Compute a network's outputs.

    Notes
    -----
    A layer computes pre-activations ``z = x W + b`` of its inputs x, and hands on activations of
    them:

    %(activations)s

    The loss of a row is the sum over its outputs, with a the output and y the target:

    %(losses)s

    `fastnn.train` changes the weights by one of these optimizers, where g is the gradient, p the
    parameters, and lr the learning rate:

    %(optimizers)s

    The learning rate is a number or a function of the step, such as one of these schedules:

    %(schedules)s

    References
    ----------
    .. [1] Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
       networks, AISTATS 2010, equation 16; the 2 is scikit-learn's rule.
    .. [2] He et al., Delving deep into rectifiers, ICCV 2015, equation 10.
    .. [3] Nguyen and Widrow, Improving the learning speed of 2-layer neural networks by choosing
       initial values of the adaptive weights, IJCNN 1990: a neuron's weights have length ``0.7
       fan_out^(1/fan_in)``, twice that before a sigmoid, and its bias is one of fan_out numbers at
       equal distances up to that length; uniform within 1 at the output.

    Examples
    --------
    >>> from fastnn import Network
    >>> network = Network((4, 16, 3), activation="tanh", output="softmax")
    >>> network.loss, network.n_params
    ('cross_entropy', 131)

    Layers of different activations:

    >>> Network((4, 16, 8, 1), activation=("tanh", "relu")).n_layers
    3
    """

    sizes: tuple[int, ...]
    activation: str | Value | tuple[str | Value, ...] = "relu"
    output: str | Value = "identity"
    loss: str | Value = "auto"
    bias: str = dataclasses.field(default="vector", kw_only=True, metadata=choice(*BIASES))
    bias_gradient: str = dataclasses.field(
        default="exact", kw_only=True, metadata=choice(*BIAS_GRADIENTS)
    )
    reduction: str = dataclasses.field(default="mean", kw_only=True, metadata=choice(*REDUCTIONS))
    init: str | None = dataclasses.field(
        default=None, kw_only=True, metadata=optional(choice(*INITS))
    )
    bias_init: str | float = dataclasses.field(default="same", kw_only=True)

    if TYPE_CHECKING:  # functions are taken, and are values once the network is made

        def __init__(
            self,
            sizes: Sequence[int],
            activation: str | Value | Function | Sequence[str | Value | Function] = ...,
            output: str | Value | Function = ...,
            loss: str | Value | Function = ...,
            *,
            bias: str = ...,
            bias_gradient: str = ...,
            reduction: str = ...,
            init: str | None = ...,
            bias_init: str | float = ...,
        ) -> None: ...

    else:

        def __getattr__(self, name):
            hint = _ELSEWHERE.get(name)
            beside = f": it holds no weights, write {hint}" if hint else ""
            raise AttributeError(
                f"a Network has no attribute {shown(name)}{beside}", name=name, obj=self
            )

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen for users, not for its own normalization
        put(self, "sizes", arguments.check_sizes(self.sizes))
        check = functools.partial(losses.checked, registry=ACTIVATIONS, legal=losses.HIDDEN)
        put(
            self,
            "activation",
            arguments.check_activation(self.activation, len(self.sizes) - 2, check),
        )
        put(self, "output", losses.checked("output", self.output, ACTIVATIONS, ACTIVATIONS))
        if isinstance(self.loss, str) and self.loss == "auto":
            put(self, "loss", line_of(self.output, ACTIVATIONS).default_loss)
        put(self, "loss", losses.checked("loss", self.loss, LOSSES, LOSSES))
        super().__post_init__()
        if not (isinstance(self.bias_init, str) and self.bias_init == "same"):
            put(
                self,
                "bias_init",
                arguments.check_number("bias_init", self.bias_init, hint='or "same"'),
            )
        output = name_of(self.output)
        goes_with_any = self.loss_line.outputs == losses.ANY_OUTPUT
        if not goes_with_any and output not in self.loss_line.outputs:
            fitting = ", ".join(self.loss_line.outputs)
            possible = ", ".join(name for name, loss in LOSSES.items() if output in loss.outputs)
            fault = f"loss {self.loss!r} does not go with output {output!r}"
            raise ValueError(f"{fault}; it goes with {fitting}, and {output!r} with {possible}")
        if isinstance(self.loss, Value):
            self.loss._check_network(self)
        if output == "softmax" and self.sizes[-1] == 1:
            raise ValueError(
                "output 'softmax' of one neuron is always 1: take output='sigmoid' with "
                "loss='log_loss'"
            )

    def _repr_html_(self) -> str:
        several = isinstance(self.activation, tuple)
        activation = ", ".join(map(str, self.activation)) if several else self.activation  # type: ignore[arg-type]
        facts: dict[str, object] = {
            "layers": display.sizes_text(self.sizes),
            "activation": activation,
            "output": self.output,
            "loss function": self.loss,
            "parameters": f"{self.n_params:,}",
        }
        further = ((f, getattr(self, f.name)) for f in dataclasses.fields(self) if f.kw_only)
        unusual = {f.name.replace("_", " "): value for f, value in further if value != f.default}
        return display.card(self, facts | unusual)

    def __repr__(self) -> str:
        pairs = zip(_FIELDS, _fields(self), _fields(Network(self.sizes)), strict=True)
        changed = [f", {name}={value!r}" for name, value, usual in pairs if value != usual]
        return f"Network({self.sizes}{''.join(changed)})"

    def __getstate__(self) -> dict[str, Any]:
        # not what follows from them, which is kept beside
        return dict(zip(_FIELDS, _fields(self), strict=True))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(
            vars(type(self)(**{name: state[name] for name in _FIELDS if name in state}))
        )

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """The hash, of use in this process only."""
        return hash(_fields(self))

    @property
    def n_layers(self) -> int:
        """Layers with weights: hidden ones and the output."""
        return len(self.sizes) - 1

    @cached_property
    def n_params(self) -> int:
        """Length of the flat parameter vector: counted without `layers`, which are large for what
        they are made of.
        """
        widths = zip(self.sizes, self.sizes[1:], strict=False)
        return sum(fan_in * fan_out + self._n_bias(fan_out) for fan_in, fan_out in widths)

    def _n_bias(self, fan_out: int) -> int:
        """Return the number of biases of a layer."""
        return {"vector": fan_out, "scalar": 1, "none": 0}[self.bias]

    @property
    def activations(self) -> tuple[str | Value, ...]:
        """The activation of each layer, by its name or as a value."""
        hidden = self.activation
        if not isinstance(hidden, tuple):
            hidden = (hidden,) * (self.n_layers - 1)
        return *hidden, self.output

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers from the input to the output, with their places in the flat vector."""
        layers = []
        place = 0
        for fan_in, fan_out, activation in zip(
            self.sizes, self.sizes[1:], self.activations, strict=False
        ):
            n_bias = self._n_bias(fan_out)
            middle = place + fan_in * fan_out
            stop = middle + n_bias
            value = line_of(activation, ACTIVATIONS).value
            layer = Layer(
                fan_in,
                fan_out,
                n_bias,
                slice(place, middle),
                slice(middle, stop),
                name_of(activation),
                tuple(value._numbers(fan_out).values()) if value else (),
                value.formula if isinstance(value, losses.Custom) else None,
            )
            layers.append(layer)
            place = stop
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
        """Put the layers' weights and biases into one flat vector: the inverse of `weights` and
        `biases`.

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
        arguments.fill_layers("weights", self.weights(params), weights)
        arguments.fill_layers("biases", self.biases(params), biases)
        return params

    def init_params(
        self,
        random_state: int | np.integer[Any] | np.random.RandomState | None = None,
        dtype: DTypeLike = np.float64,
    ) -> Array:
        """Draw initial parameters: with a seed, those that ``train(..., seed=seed)`` begins with.

        Parameters
        ----------
        random_state : None, int or RandomState
            A seed, as for `fastnn.train`. None: other numbers at each call. A RandomState is drawn
            from layer by layer, W and then (for ``bias_init="same"``) the bias; NumPy has frozen
            its streams. "nguyen_widrow" takes inputs to be from -1 to 1, where `train` takes the
            ranges that they have.
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
        arguments.check_seed("random_state", random_state)
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
        """The draws of each layer: their place (W, for "same" the bias too), their number, and
        their distribution.

        That is its range and its lower bound, or its deviation and 0: as arrays (), which NumPy
        takes in half the time.
        """
        draws = []
        for layer in self.layers:
            fans = layer.fan_in + layer.fan_out
            place = layer.all if self.bias_init == "same" else layer.weight
            six = 2 if layer.activation == "sigmoid" else 6
            squares = {
                "glorot_uniform": six / fans,
                "glorot_normal": 2 / fans,
                "he": 2 / layer.fan_in,
                "normal": 1,
            }
            size = math.sqrt(squares.get(str(self.init), six / fans))
            scale = size if self.init in NORMAL else 2 * size
            low = 0.0 if self.init in NORMAL else -size
            draws.append((place, place.stop - place.start, np.array(scale), np.array(low)))
        return tuple(draws)

    @property
    def n_inputs(self) -> int:
        """Columns of X."""
        return self.sizes[0]

    @property
    def n_outputs(self) -> int:
        """Columns of Y."""
        return self.sizes[-1]

    @cached_property
    def loss_name(self) -> str:
        """The name of the loss, whatever its parameters are."""
        return name_of(self.loss)

    @cached_property
    def loss_line(self) -> Loss:
        """The line of the loss in `LOSSES`, or that of its value."""
        return cast(Loss, line_of(self.loss, LOSSES))

    @cached_property
    def output_line(self) -> Activation:
        """The line of the output activation in `ACTIVATIONS`, or that of its value."""
        return cast(Activation, line_of(self.output, ACTIVATIONS))

    @cached_property
    def loss_numbers(self) -> tuple[Array, ...]:
        """The parameters of the loss: (n_outputs,) each."""
        value = self.loss_line.value
        numbers = value._numbers(self.n_outputs).values() if value else ()
        return tuple(np.full(self.n_outputs, each) for each in numbers)

    @property
    def custom_activations(self) -> dict[str, losses.CustomActivation]:
        """The activations by functions of the user's, each once, by names that tell them apart."""
        custom = [each for each in self.activations if isinstance(each, losses.CustomActivation)]
        return {f"custom{k}": activation for k, activation in enumerate(dict.fromkeys(custom))}

    @property
    def is_custom(self) -> bool:
        """Whether an activation or the loss is by a function of the user's."""
        return any(name_of(value) in losses.CUSTOM for value in (self.loss, *self.activations))

    @property
    def matched(self) -> bool:
        """Whether ``delta = a - y`` at the output."""
        return self.loss_line.matched == self.output

    def to_dict(self) -> dict[str, Any]:
        """Describe the network in JSON's types.

        Returns
        -------
        dict
            The arguments that make the network.

        Examples
        --------
        >>> from fastnn import Network
        >>> Network((3, 5, 1)).to_dict()["sizes"]
        [3, 5, 1]
        """
        return {name: losses.plain(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Network:
        """Make the network that `to_dict` described.

        Parameters
        ----------
        values : mapping
            The arguments that make the network.

        Returns
        -------
        Network
            The network.

        Raises
        ------
        ValueError, TypeError
            For what `Network` refuses.

        Examples
        --------
        >>> from fastnn import Network
        >>> network = Network((3, 5, 1), "tanh")
        >>> Network.from_dict(network.to_dict()) == network
        True
        """
        if not isinstance(values, Mapping):
            raise TypeError(
                f"values must be a mapping, such as what to_dict returns, not {shown(values)}"
            )
        if "sizes" not in values:
            raise ValueError(
                f"values must have 'sizes', such as (3, 5, 1), and have {shown(list(values))}"
            )
        registries: dict[str, Mapping[str, Any]] = {
            "activation": ACTIVATIONS,
            "output": ACTIVATIONS,
            "loss": LOSSES,
        }
        return cls(
            **{
                k: losses.from_plain(v, registries[k]) if k in registries else v
                for k, v in values.items()
            }
        )


_FIELDS = tuple(field.name for field in dataclasses.fields(Network))
_fields = operator.attrgetter(*_FIELDS)


@functools.lru_cache(maxsize=64)
def _made(values: tuple[Any, ...]) -> Network:
    return Network(**dict(zip(_FIELDS, values, strict=True)))


def as_made(network: Network) -> Network:
    """Return an equal network, which nobody else can have changed: its fields were checked, the
    rest follows from them.

    Raises
    ------
    TypeError, ValueError
        For an object of a subclass, and for a network whose attributes were written to after it was
        made.
    """
    if type(network) is not Network:
        raise TypeError(
            f"network must be a fastnn Network, and of no subclass, not {shown(network)}"
        )
    values = _fields(network)
    try:
        made = _made(values)
    except TypeError:  # a value that has no hash
        made = _made.__wrapped__(values)
    if values != _fields(made) or (network.n_params, network.layers) != (
        made.n_params,
        made.layers,
    ):
        raise ValueError(
            f"the network was changed after it was made: make a new one in place of "
            f"{shown(network)}"
        )
    return made


def draw(network: Network, random_state: np.random.RandomState) -> Array:
    """Return the numbers (n,) of which initial parameters are made, drawn for all layers in one
    call.
    """
    kind = random_state.standard_normal if network.init in NORMAL else random_state.random
    return kind(network._n_drawn)


def holds_back(network: Network) -> bool:
    """Return whether the generator holds a number back after `draw`: normal numbers come in
    pairs.
    """
    return network.init in NORMAL and network._n_drawn % 2 == 1


def params_of(network: Network, numbers: Array, params: Array) -> Array:
    """Make initial parameters of numbers (..., n) that were drawn, for any number of networks.

    They are written to `params` (..., n_params), which is returned, and have the bits of a call for
    each layer of `RandomState.uniform`, or of `standard_normal` times the deviation. By Nguyen and
    Widrow's rule they are for inputs from -1 to 1.
    """
    if network.init == "nguyen_widrow":
        ones = np.ones(network.sizes[0])
        for drawn, written in zip(np.atleast_2d(numbers), np.atleast_2d(params), strict=True):
            nguyen_widrow(network, drawn, written, -ones, ones)
        return params
    if not isinstance(network.bias_init, str):
        params.fill(network.bias_init)
    first = 0
    for place, n, scale, low in network._draws:
        drawn = numbers[..., first : first + n]
        written = params[..., place]
        if network.init in NORMAL:
            np.multiply(scale, drawn, out=written)
        else:
            np.add(low, scale * drawn, out=written)  # in float64, and rounded once
        first += n
    return params


def nguyen_widrow(
    network: Network, numbers: Array, params: Array, low: Array, high: Array
) -> Array:
    """Make initial parameters (n_params,) of numbers (n,) by Nguyen and Widrow's rule; return
    `params`, written.

    The inputs are from `low` (n_inputs,) to `high`. A shared bias has the mean of what each neuron
    would have.
    """
    if not isinstance(network.bias_init, str):
        params.fill(network.bias_init)
    first = 0
    half = np.where(high > low, (high - low) / 2, 1)
    middle = (low + high) / 2
    for layer, (place, n, *_) in zip(network.layers, network._draws, strict=True):
        drawn = 2 * numbers[first : first + n] - 1
        n_weights = layer.fan_in * layer.fan_out
        W = drawn[:n_weights].reshape(layer.fan_in, layer.fan_out)
        b = drawn[n_weights:]
        if layer is not network.layers[-1]:
            # rounded, for a power differs in its last digit between C libraries
            size = (2 if layer.activation == "sigmoid" else 1) * round(
                0.7 * layer.fan_out ** (1 / layer.fan_in), 9
            )
            W = W * (size / np.sqrt((W * W).sum(axis=0)))
            bends = np.linspace(-1, 1, layer.fan_out) if layer.fan_out > 1 else np.zeros(1)
            biases = size * bends * np.sign(W[0])
            if not first:
                W = W / half[:, None]
                # no product: BLAS has an order of its own
                biases = biases - (middle[:, None] * W).sum(axis=0)
            b = biases if len(b) == layer.fan_out else np.full(len(b), biases.mean())
        params[place] = np.concatenate([W.reshape(-1), b if place == layer.all else b[:0]])
        first += n
    return params


def _tables() -> dict[str, str]:
    """Return the tables of the docstring, made of the registries."""
    from fastnn.optimizers import BUILT_IN
    from fastnn.schedules import SCHEDULES

    activations = []
    for name, line in ACTIVATIONS.items():
        where = "hidden layers, output" if line.hidden else "output"
        activations.append((name, f"``{line.formula}``", where))
    of_losses = []
    for name, loss in LOSSES.items():
        outputs = "any" if loss.outputs == losses.ANY_OUTPUT else ", ".join(loss.outputs)
        of_losses.append((name, f"``{loss.formula}``", outputs, loss.targets))
    return {
        "activations": table(("activation", "formula", "where"), activations),
        "losses": table(("loss", "formula", "output", "targets"), of_losses),
        "optimizers": table(("optimizer", "rule"), summaries(BUILT_IN)),
        "schedules": table(("schedule", "learning rate"), summaries(SCHEDULES)),
    }


type.__setattr__(Network, "__doc__", Filled(Network.__doc__, _tables))
