"""A network: its sizes, activations and loss, by the names in the registries of activations and losses.

Names used everywhere in fastnn: ``z`` is a pre-activation, ``a`` an activation, ``delta`` the derivative of the loss by
z, a prefix ``d`` a gradient (``dW``), ``fan_in`` and ``fan_out`` the widths on either side of a layer.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn.checking import display
from fastnn.checking.arguments import check_activation, check_choice, check_number, check_sizes, shown
from fastnn.checking.docstrings import Filled, summaries, table
from fastnn.checking.keywords import explains_keywords
from fastnn.layers import Layer as Layer  # where pickles of earlier versions look for it
from fastnn.layers import Layered


class Activation(NamedTuple):
    """A line of `ACTIVATIONS`: its formula, where it may be used, and what its derivative needs."""

    formula: str  # of a pre-activation z
    hidden: bool = True
    needs_z: bool = False  # its derivative is a function of z, not of the activation itself
    default_loss: str = "squared_error"  # of a network with this output that names none
    kinks: tuple[float, ...] = ()  # the z at which its derivative jumps
    low: float = -math.inf  # the bounds of what it gives, which targets must not go beyond
    high: float = math.inf


class Loss(NamedTuple):
    """A line of `LOSSES`: its formula, the output activations that it goes with, and its targets."""

    formula: str  # of one output a and its target y
    outputs: tuple[str, ...]
    matched: str = ""  # the output activation with which delta = a - y; "" where there is none
    targets: str = "any number"
    low: float = -math.inf  # the least target, and `high` the largest: what `targets` says in words
    high: float = math.inf
    kinks: tuple[float, ...] = ()  # the a - y at which its derivative jumps
    clips: bool = False  # its value takes a probability within [eps, 1 - eps], its gradient as it is


LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., NeurIPS 2017, equation 14
LEAST_DELTA = {"float32": 2.0**-100, "float64": 2.0**-960}  # a delta below it, times its row's weight, is 0
GELU_CUBIC, GELU_SCALE = 0.044715, math.sqrt(8 / math.pi)  # Hendrycks and Gimpel, 2016, its tanh form: z sigmoid(2u)

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("z"),
    "sigmoid": Activation("1 / (1 + exp(-z))", low=0, high=1),
    "tanh": Activation("tanh z", low=-1, high=1),
    "relu": Activation("z where z > 0 else 0", kinks=(0.0,), low=0),
    "leaky_relu": Activation(f"z where z > 0 else {LEAKY_SLOPE} z", kinks=(0.0,)),
    "elu": Activation("z where z > 0 else exp(z) - 1", low=-1),
    "selu": Activation(
        f"{SELU_SCALE:.5g} (z where z > 0 else {SELU_ALPHA:.5g} (exp(z) - 1))",
        kinks=(0.0,),
        low=-SELU_SCALE * SELU_ALPHA,
    ),
    "softplus": Activation("log(1 + exp(z))", low=0),
    "silu": Activation("z sigmoid(z)", needs_z=True, low=-0.2784645428),
    "gelu": Activation(f"z (1 + tanh u) / 2, u = sqrt(2/pi) (z + {GELU_CUBIC} z^3)", needs_z=True, low=-0.1700407506),
    "softmax": Activation(
        "exp(z) / sum(exp(z)) over the outputs of a row", hidden=False, default_loss="cross_entropy", low=0, high=1
    ),
    "exp": Activation("exp(z)", hidden=False, low=0),
}

HIDDEN = tuple(name for name, line in ACTIVATIONS.items() if line.hidden)

LOSSES: dict[str, Loss] = {
    "squared_error": Loss("(a-y)^2 / 2", tuple(ACTIVATIONS), "identity"),
    "absolute_error": Loss("|a-y|", tuple(ACTIVATIONS), kinks=(0.0,)),
    "huber": Loss("(a-y)^2 / 2 where |a-y| <= 1 else |a-y| - 1/2", tuple(ACTIVATIONS)),
    "log_loss": Loss("-[y log a + (1-y) log(1-a)]", ("sigmoid",), "sigmoid", "numbers from 0 to 1", 0, 1, clips=True),
    "cross_entropy": Loss(
        "-y log a", ("softmax",), "softmax", "rows of probabilities that sum to 1, or integer labels", 0, 1, clips=True
    ),
    "poisson": Loss("y log(y/a) - y + a", ("exp", "softplus"), "exp", "numbers that are not negative", 0),
}

BIASES = ("vector", "scalar", "none")
BIAS_GRADIENTS = ("exact", "times_bias")
REDUCTIONS = ("mean", "sum")
INITS = ("glorot_uniform", "glorot_normal", "he", "normal")
_CHOICES = {"loss": LOSSES, "bias": BIASES, "bias_gradient": BIAS_GRADIENTS, "reduction": REDUCTIONS, "init": INITS}


_ELSEWHERE = {
    "fit": "result = train(network, X, Y, epochs=...)",
    "train": "result = train(network, X, Y, epochs=...)",
    "predict": "result.predict(X), of a result of train; or predict(network, params, X)",
}
"""{a method that networks of other libraries have: what to write}."""


@explains_keywords
@dataclass(frozen=True)
class Network(Layered):
    """A multilayer perceptron and the loss that it is trained on. It holds no weights.

    Parameters
    ----------
    sizes : sequence of int
        Widths: inputs, each hidden layer, outputs. ``(3, 5, 1)`` has one hidden layer of five neurons; ``(3, 1)`` none.
    activation : str or sequence of str
        Of the hidden layers: one name for all of them, or one each, of the table of activations below.
    output : str
        Activation of the last layer, of the same table.
    loss : str
        Of the table of losses below; "auto" is cross_entropy where the output is softmax, else squared_error.
    bias : {"vector", "scalar", "none"}
        A layer adds fan_out numbers, one number to all its neurons, or nothing.
    bias_gradient : {"exact", "times_bias"}
        "times_bias" multiplies the bias' gradient by the bias, as the tutorial does; it is not the loss' gradient.
    reduction : {"mean", "sum"}
        Whether the loss of a batch is divided by the sum of its weights (its number of rows).
    init : {"glorot_uniform", "glorot_normal", "he", "normal"}
        How W is drawn: uniform within ``sqrt(6/(fan_in+fan_out))`` (2 in place of 6 for a sigmoid layer) [1]_, normal
        with deviation ``sqrt(2/(fan_in+fan_out))`` [1]_, ``sqrt(2/fan_in)`` [2]_ or 1.
    bias_init : "same" or float
        Biases are drawn like W after it ("same"), or begin at this number.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, a size below one, a loss that does not go with the output, or a softmax of one neuron.

    See Also
    --------
    fastnn.train : Train a network.
    fastnn.predict : Compute a network's outputs.

    Notes
    -----
    A layer computes pre-activations ``z = x W + b`` of its inputs x, and hands on activations of them:

    %(activations)s

    The loss of a row is the sum over its outputs, with a the output and y the target:

    %(losses)s

    `fastnn.train` changes the weights by one of these optimizers, where g is the gradient, p the parameters, and lr the
    learning rate:

    %(optimizers)s

    The learning rate is a number or a function of the step, such as one of these schedules:

    %(schedules)s

    References
    ----------
    .. [1] Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010,
       equation 16; the 2 is scikit-learn's rule.
    .. [2] He et al., Delving deep into rectifiers, ICCV 2015, equation 10.

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
    activation: str | tuple[str, ...] = "relu"
    output: str = "identity"
    loss: str = "auto"
    bias: str = dataclasses.field(default="vector", kw_only=True)
    bias_gradient: str = dataclasses.field(default="exact", kw_only=True)
    reduction: str = dataclasses.field(default="mean", kw_only=True)
    init: str = dataclasses.field(default="glorot_uniform", kw_only=True)
    bias_init: str | float = dataclasses.field(default="same", kw_only=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = _ELSEWHERE.get(name)
            beside = f": it holds no weights, write {hint}" if hint else ""
            raise AttributeError(f"a Network has no attribute {shown(name)}{beside}", name=name, obj=self)

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen for users, not for its own normalization
        put(self, "sizes", check_sizes(self.sizes))
        put(self, "activation", check_activation(self.activation, HIDDEN, len(self.sizes) - 2))
        put(self, "output", check_choice("output", self.output, ACTIVATIONS))
        if self.loss == "auto":
            put(self, "loss", ACTIVATIONS[self.output].default_loss)
        for name, names in _CHOICES.items():
            put(self, name, check_choice(name, getattr(self, name), names))
        if self.bias_init != "same":
            put(self, "bias_init", check_number("bias_init", self.bias_init, hint='or "same"'))
        if self.output not in LOSSES[self.loss].outputs:
            fitting = ", ".join(LOSSES[self.loss].outputs)
            raise ValueError(f"loss {self.loss!r} does not go with output {self.output!r}; it goes with {fitting}")
        if self.output == "softmax" and self.sizes[-1] == 1:
            raise ValueError("output 'softmax' of one neuron is always 1: take output='sigmoid' with loss='log_loss'")

    def _repr_html_(self) -> str:
        activation = self.activation if isinstance(self.activation, str) else ", ".join(self.activation)
        facts: dict[str, object] = {"layers": display.sizes_text(self.sizes), "activation": activation}
        facts |= {"output": self.output, "loss function": self.loss, "parameters": f"{self.n_params:,}"}
        further = ((f, getattr(self, f.name)) for f in dataclasses.fields(self) if f.kw_only)
        unusual = {f.name.replace("_", " "): value for f, value in further if value != f.default}
        return display.card(self, facts | unusual)

    def __getstate__(self) -> dict[str, Any]:
        return dict(zip(_FIELDS, _fields(self), strict=True))  # not what follows from them, which is kept beside

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(type(self)(**{name: state[name] for name in _FIELDS if name in state})))

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """The hash, of use in this process only."""
        return hash(_fields(self))

    @property
    def n_inputs(self) -> int:
        """Columns of X."""
        return self.sizes[0]

    @property
    def n_outputs(self) -> int:
        """Columns of Y."""
        return self.sizes[-1]

    @property
    def matched(self) -> bool:
        """Whether ``delta = a - y`` at the output."""
        return LOSSES[self.loss].matched == self.output

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
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

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
        return cls(**values)


_FIELDS = tuple(field.name for field in dataclasses.fields(Network))
_fields = operator.attrgetter(*_FIELDS)


@functools.lru_cache(maxsize=64)
def _made(values: tuple[Any, ...]) -> Network:
    return Network(**dict(zip(_FIELDS, values, strict=True)))


def as_made(network: Network) -> Network:
    """Return an equal network, which nobody else can have changed: its fields were checked, the rest follows from them.

    Raises
    ------
    TypeError, ValueError
        For an object of a subclass, and for a network whose attributes were written to after it was made.
    """
    if type(network) is not Network:
        raise TypeError(f"network must be a fastnn Network, and of no subclass, not {shown(network)}")
    values = _fields(network)
    try:
        made = _made(values)
    except TypeError:  # a value that has no hash
        made = _made.__wrapped__(values)
    if values != _fields(made) or (network.n_params, network.layers) != (made.n_params, made.layers):
        raise ValueError(f"the network was changed after it was made: make a new one in place of {shown(network)}")
    return made


def _tables() -> dict[str, str]:
    """Return the tables of the docstring, made of the registries."""
    from fastnn.optimizers import OPTIMIZERS
    from fastnn.schedules import SCHEDULES

    activations = (
        (name, f"``{line.formula}``", "hidden layers, output" if line.hidden else "output")
        for name, line in ACTIVATIONS.items()
    )
    losses = (
        (
            name,
            f"``{line.formula}``",
            "any" if line.outputs == tuple(ACTIVATIONS) else ", ".join(line.outputs),
            line.targets,
        )
        for name, line in LOSSES.items()
    )
    return {
        "activations": table(("activation", "formula", "where"), activations),
        "losses": table(("loss", "formula", "output", "targets"), losses),
        "optimizers": table(("optimizer", "rule"), summaries(OPTIMIZERS)),
        "schedules": table(("schedule", "learning rate"), summaries(SCHEDULES)),
    }


type.__setattr__(Network, "__doc__", Filled(Network.__doc__, _tables))
