"""The optimizers: frozen hyper-parameters, and how many vectors of state each needs; no array
arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from fastnn.checking import arguments
from fastnn.checking.arguments import POSITIVE, CheckedFields, LearningRate, optional, shown
from fastnn.schedules import SCHEDULES

Rates = tuple[tuple[float, float], ...]
"""The factors of the learning rate of each layer's weights and biases."""


def check_rates(name: str, rates: Any) -> Rates | None:
    """Return the factors of the learning rate of each layer's weights and biases; they may be given
    as one number.
    """
    if rates is None:
        return None
    if isinstance(rates, (str, Mapping)) or not isinstance(rates, Iterable):
        raise TypeError(
            f"{name} must have a number, or (weights, biases), for each layer in order, not "
            f"{shown(rates)}"
        )
    pairs: list[Any] = []
    for l, given in enumerate(rates):
        is_pair = isinstance(given, Iterable) and not isinstance(given, str)
        pair = list(given) if is_pair else [given] * 2
        if len(pair) != 2:
            raise ValueError(
                f"{name}[{l}] must be a number, or one for weights and one for biases, not "
                f"{shown(given)}"
            )
        pairs.append(
            tuple(arguments.check_number(f"{name}[{l}]", factor, low=0) for factor in pair)
        )
    if pairs and not any(map(any, pairs)):
        raise ValueError(f"{name} must not be 0 for all layers: nothing would be learned")
    return tuple(pairs)


@dataclass(frozen=True)
class Optimizer(CheckedFields):
    """The base of all optimizers. ``g`` is the gradient, ``p`` the parameters, ``lr`` the learning
    rate of the step.

    Every optimizer takes ``sequential=True``, the tutorial's way: each layer is updated before the
    delta of the layer below is computed from its new weights (Gauss-Seidel in place of Jacobi). The
    whole batch is then one panel, so this is for teaching, not for large batches.

    It also takes what `fastnn.train` takes as ``clip_norm=`` and ``rates=``.
    """

    has_options: ClassVar[bool] = (
        False  # whether gradients are clipped or layers have rates of their own; of each one
    )
    n_slots: ClassVar[int]
    full_batch: ClassVar[bool] = False
    n_matrices: ClassVar[int] = 0
    """Matrices (n_params, n_params) that a training holds besides."""

    learning_rate: LearningRate = field(metadata=arguments.RATE)
    sequential: bool = field(default=False, kw_only=True, metadata=arguments.FLAG)
    clip_norm: float | None = field(
        default=None, kw_only=True, repr=False, metadata=optional(POSITIVE)
    )
    rates: Rates | None = field(
        default=None, kw_only=True, repr=False, metadata={"check": check_rates}
    )

    def __repr__(self) -> str:
        shown_fields = (
            f.name for f in fields(self) if f.repr or (getattr(self, f.name) is not None and f.init)
        )
        return (
            f"{self.name}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown_fields)})"
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(
            self, "has_options", self.clip_norm is not None or self.rates is not None
        )
        if self.sequential and self.clip_norm is not None:
            raise ValueError(
                "sequential=True updates a layer before the gradient is known: it goes without "
                "clip_norm"
            )

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers of its formula, in the order in which the kernel's formula unpacks them: at
        most six.
        """
        return ()

    @property
    def betas(self) -> tuple[float, float]:
        """``(beta_1, beta_2)``, the decay rates of the moments; 1 where the optimizer has none."""
        return getattr(self, "beta_1", 1.0), getattr(self, "beta_2", 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Describe the optimizer in JSON's types.

        Returns
        -------
        dict
            Name and hyper-parameters; of a learning rate that is a function only its name.

        Examples
        --------
        >>> from fastnn import SGD
        >>> from pprint import pprint
        >>> pprint(SGD(0.1).to_dict(), sort_dicts=False)
        {'name': 'SGD',
         'learning_rate': 0.1,
         'sequential': False,
         'momentum': 0.0,
         'nesterov': False}
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        entries = {
            k: value
            for k, value in values.items()
            if value is not None or k not in ("clip_norm", "rates")
        }
        return {
            "name": self.name,
            **entries,
            "learning_rate": arguments.describe(self.learning_rate),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Optimizer:
        """Make the optimizer that `to_dict` described.

        Parameters
        ----------
        values : mapping
            Name and hyper-parameters.

        Returns
        -------
        Optimizer
            The optimizer, of the class of that name.

        Raises
        ------
        LookupError
            When its learning rate is a function.
        ValueError, TypeError
            For what `to_dict` does not make.

        Examples
        --------
        >>> from fastnn import SGD
        >>> SGD.from_dict({"name": "Adam", "learning_rate": 0.1}).learning_rate
        0.1
        """
        options = dict(values)
        name = options.pop("name", None)
        rate = options.pop("learning_rate", None)
        kind = BUILT_IN[arguments.check_choice("optimizer", name, BUILT_IN)]
        if issubclass(kind, Method):
            options.pop("sequential", None)  # of all methods the same
            return kind(**options)
        return kind(learning_rate=arguments.described(rate, SCHEDULES), **options)


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Gradient descent: ``v = momentum v - lr g; p += v``, Nesterov's form ``p += momentum v - lr
    g``.

    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013,
    equations 1-4, as scikit-learn writes them. State: v, unless momentum is 0.

    Parameters
    ----------
    learning_rate : float or callable
        A number, not negative, or a function of the absolute step, 0-based, such as a schedule.
    momentum : float
        How much of the last change is kept, from 0 to 1.
    nesterov : bool
        Whether the change is that of Nesterov's form.
    sequential : bool
        Whether each layer is updated before the delta of the layer below is computed: for teaching.
    clip_norm, rates : float, sequence of float or (float, float), optional
        Those of `fastnn.train`, which are kept here.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import SGD, Network, train
    >>> network, options = (
    ...     Network((1, 1), bias="none"),
    ...     {"params": [0.0], "epochs": 100, "backend": "numpy"},
    ... )
    >>> result = train(network, [[1.0]], [[2.0]], optimizer=SGD(0.1, momentum=0.5), **options)
    >>> result.params.round(3)
    array([2.])
    """

    learning_rate: LearningRate = 0.01
    momentum: float = field(default=0.0, metadata=arguments.PART)
    nesterov: bool = field(default=False, metadata=arguments.FLAG)

    @property
    def n_slots(self) -> int:  # type: ignore[override]
        """Vectors of state."""
        return 1 if self.momentum else 0

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers of its formula."""
        return self.momentum, float(self.nesterov)


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam: ``m = beta_1 m + (1-beta_1) g; v = beta_2 v + (1-beta_2) g^2; p -= lr_t m / (sqrt v +
    epsilon)``.

    With ``lr_t = lr sqrt(1-beta_2^t) / (1-beta_1^t)``: Kingma and Ba, ICLR 2015, section 2, the
    order of computation that its last paragraph gives; epsilon stands outside the corrected root,
    as in scikit-learn. State: m, v.

    Parameters
    ----------
    learning_rate : float or callable
        A number, not negative, or a function of the absolute step, 0-based, such as a schedule.
    beta_1, beta_2 : float
        Decay rates of the two moments, at least 0 and less than 1.
    epsilon : float
        Greater than 0: what is added to the root.
    sequential : bool
        Whether each layer is updated before the delta of the layer below is computed: for teaching.
    clip_norm, rates : float, sequence of float or (float, float), optional
        Those of `fastnn.train`, which are kept here.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import Adam, Network, train
    >>> network, options = (
    ...     Network((1, 1), bias="none"),
    ...     {"params": [0.0], "epochs": 300, "backend": "numpy"},
    ... )
    >>> train(network, [[1.0]], [[2.0]], optimizer=Adam(0.1), **options).params.round(3)
    array([2.])
    """

    n_slots: ClassVar[int] = 2

    learning_rate: LearningRate = 0.001
    beta_1: float = field(default=0.9, metadata=arguments.PART_BELOW_ONE)
    beta_2: float = field(default=0.999, metadata=arguments.PART_BELOW_ONE)
    epsilon: float = field(default=1e-8, metadata=POSITIVE)

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers of its formula."""
        return self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2, self.epsilon


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam, and ``p -= lr weight_decay p`` for weights, not biases: Loshchilov and Hutter, ICLR
    2019, algorithm 2.

    Parameters
    ----------
    learning_rate : float or callable
        A number, not negative, or a function of the absolute step, 0-based, such as a schedule.
    beta_1, beta_2 : float
        Decay rates of the two moments, at least 0 and less than 1.
    epsilon : float
        Greater than 0: what is added to the root.
    weight_decay : float
        What part of a weight is taken away in each step, times the learning rate; not negative.
    sequential : bool
        Whether each layer is updated before the delta of the layer below is computed: for teaching.
    clip_norm, rates : float, sequence of float or (float, float), optional
        Those of `fastnn.train`, which are kept here.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import AdamW, Network, train
    >>> network, options = (
    ...     Network((1, 1), bias="none"),
    ...     {"params": [1.0], "epochs": 1, "backend": "numpy"},
    ... )
    >>> train(network, [[0.0]], [[0.0]], optimizer=AdamW(0.1, weight_decay=0.5), **options).params
    array([0.95])
    """

    weight_decay: float = field(default=0.01, metadata=arguments.NOT_NEGATIVE)


@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """Gradients by their size: ``v = rho v + (1-rho) g^2; p -= lr g / (sqrt v + epsilon)`` with rho
    = 0.99.

    Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012. State: v.

    Parameters
    ----------
    learning_rate : float or callable
        A number, not negative, or a function of the absolute step, 0-based, such as a schedule.
    epsilon : float
        Greater than 0: what is added to the root.
    sequential : bool
        Whether each layer is updated before the delta of the layer below is computed: for teaching.
    clip_norm, rates : float, sequence of float or (float, float), optional
        Those of `fastnn.train`, which are kept here.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import Network, RMSprop, train
    >>> network, options = (
    ...     Network((1, 1), bias="none"),
    ...     {"params": [0.0], "epochs": 1, "backend": "numpy"},
    ... )
    >>> train(network, [[1.0]], [[2.0]], optimizer=RMSprop(0.01), **options).params.round(6)
    array([0.1])
    """

    n_slots: ClassVar[int] = 1
    rho: ClassVar[float] = 0.99

    learning_rate: LearningRate = 0.01
    epsilon: float = field(default=1e-8, metadata=POSITIVE)

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers of its formula."""
        return self.rho, 1 - self.rho, self.epsilon


@dataclass(frozen=True, repr=False)
class RPROP(Optimizer):
    """Resilient propagation (iRprop-): each parameter has its own step size, by the signs of its
    gradient; full batch.

    With s the sign of ``g`` times the last ``g``: the step is multiplied by 1.2 (s > 0) or 0.5 (s <
    0), kept within [1e-6, 50]; where s < 0 the gradient counts as 0; then ``p -= sign(g) step``.
    The learning rate is the first step. Igel and Huesken, Empirical evaluation of the improved
    Rprop learning algorithms, Neurocomputing 50, 2003, algorithm 4. State: last gradient, step.

    Parameters
    ----------
    learning_rate : float or callable
        A number, not negative, or a function of the absolute step, 0-based, such as a schedule.
    sequential : bool
        Whether each layer is updated before the delta of the layer below is computed: for teaching.
    clip_norm, rates : float, sequence of float or (float, float), optional
        Those of `fastnn.train`, which are kept here.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import RPROP, Network, train
    >>> network, options = (
    ...     Network((1, 1), bias="none"),
    ...     {"params": [0.0], "epochs": 2, "backend": "numpy"},
    ... )
    >>> train(network, [[1.0]], [[2.0]], optimizer=RPROP(0.1), **options).params.round(
    ...     6
    ... )  # 0.1, and then 1.2 times 0.1
    array([0.22])
    """

    n_slots: ClassVar[int] = 2
    full_batch: ClassVar[bool] = True
    grow: ClassVar[float] = 1.2
    shrink: ClassVar[float] = 0.5
    smallest: ClassVar[float] = 1e-6
    largest: ClassVar[float] = 50.0

    learning_rate: LearningRate = 0.1

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers of its formula."""
        return self.grow, self.shrink, self.smallest, self.largest


AT_DAMPING, AT_GROWTH, AT_ALPHA, AT_BETA, AT_GAMMA, AT_COUNT = range(1, 7)
"""The vectors of a method's state at whose heads mu and nu stand; for Bayesian regularization also
alpha, beta, gamma, and how often these were found. At the head of the last vector stands why the
method has ended."""


@dataclass(frozen=True, repr=False)
class Method(Optimizer):
    """The base of methods that do an epoch by more than a gradient: a step is an epoch, on all
    rows.

    A method has no learning rate. It may end a training by itself: then its step changes nothing,
    and writes which of the reasons in `ends` it was, counted from 1, as the first number of the
    last vector of state.
    """

    full_batch: ClassVar[bool] = True
    most_params: ClassVar[int]
    """The most parameters of a network that it trains."""
    ends: ClassVar[tuple[str, ...]]

    # its steps are taken as they are
    learning_rate: LearningRate = field(default=1.0, init=False, repr=False)
    sequential: bool = field(default=False, init=False, repr=False)
    clip_norm: float | None = field(default=None, init=False, repr=False)
    rates: Rates | None = field(default=None, init=False, repr=False)

    def ended(self, vectors: Any) -> str:
        """Return why the method has ended the training; "" if it has not.

        Parameters
        ----------
        vectors : ndarray (1 + n_slots, any)
            The state's, after a step that was not done.

        Returns
        -------
        str
            One of `ends`, or "".

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import LevenbergMarquardt
        >>> LevenbergMarquardt().ended(np.array([[0.5], [1e-3], [2.0], [1.0]]))
        'goal'
        """
        return ("", *self.ends)[int(vectors[-1, 0])]


@dataclass(frozen=True, repr=False)
class LevenbergMarquardt(Method):
    """Levenberg-Marquardt: ``(J'J + mu S I) d = J'r; p -= d`` where that lowers the loss; full
    batch.

    J is the Jacobian of the residuals r, a - y, by the parameters. Rows count by their weights, of
    which S is the sum; a penalty adds alpha to what belongs to the weights. An epoch tries greater
    dampings mu until the loss falls: the history has the loss after it. MATLAB's `trainlm` is the
    same method. For the squared error and networks of up to some 500 parameters, in float64: there
    it takes a hundredth of the time of other optimizers to a small loss. Inputs and targets should
    be scaled to about -1 to 1. State: mu, nu, and why it ended, each at the head of a vector.

    Parameters
    ----------
    damping : float
        The first mu, greater than 0.
    adapt : {"gain", "tenfold"}
        How mu changes. "gain" [1]_: with the gain q, by which the loss fell over what the linear
        model promised, mu is multiplied by ``max(1/3, 1 - (2 q - 1)^3)``; where the loss did not
        fall, by nu, which is 2 and then doubles. "tenfold", MATLAB's rule: by 0.1, and by 10.
    most_damping : float
        A greater mu ends the training (stop reason "damping"): no step lowers the loss.
    min_grad : float
        The length of the loss' gradient, divided by the variance of the targets, that ends the
        training ("gradient").
    goal : float
        The loss that ends the training ("goal").

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    References
    ----------
    .. [1] Nielsen, Damping parameter in Marquardt's method, report IMM-REP-1999-05, Technical
       University of Denmark.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import LevenbergMarquardt, Network, train
    >>> X = np.linspace(-1, 1, 41)
    >>> network = Network((1, 5, 1), "tanh")
    >>> result = train(
    ...     network,
    ...     X[:, None],
    ...     np.sin(3 * X),
    ...     optimizer=LevenbergMarquardt(goal=1e-6),
    ...     epochs=100,
    ...     seed=0,
    ... )
    >>> result.stop_reason, bool(result.history.loss[-1] <= 1e-6)
    ('goal', True)
    """

    n_slots: ClassVar[int] = 3
    n_matrices: ClassVar[int] = 2
    most_params: ClassVar[int] = 2_000
    ends: ClassVar[tuple[str, ...]] = ("goal", "gradient", "damping")
    least_damping: ClassVar[float] = 1e-20

    damping: float = field(default=1e-3, metadata=POSITIVE)
    adapt: str = field(default="gain", metadata=arguments.choice("gain", "tenfold"))
    most_damping: float = field(default=1e10, metadata=POSITIVE)
    min_grad: float = field(default=1e-7, metadata=arguments.NOT_NEGATIVE)
    goal: float = field(default=0.0, metadata=arguments.NOT_NEGATIVE)


MOST_COUNTED = 2**53
"""The largest number to which a float64 counts."""


def _check_first_steps(name: str, value: Any) -> int:
    steps = arguments.check_integer(name, value, low=0)
    if steps > MOST_COUNTED:
        raise ValueError(f"{name} must be at most {MOST_COUNTED:,}, not {shown(value)}")
    return steps


@dataclass(frozen=True, repr=False)
class BayesianRegularization(LevenbergMarquardt):
    """Levenberg-Marquardt that finds the strength of its penalty by itself: MATLAB's `trainbr`;
    full batch.

    It lowers ``beta E_D + alpha E_W``, with E_D the sum of the squared residuals, by the weights of
    their rows, and E_W that of all parameters, biases too. Before each step, alpha and beta become
    the most probable ones [1]_, [2]_: ``gamma = P - alpha tr (beta J'J + alpha I)^-1``, of P
    parameters, is how many of them the data determine; then ``alpha = gamma / (2 E_W)`` and ``beta
    = (N - gamma) / (2 E_D)``, N the sum of the rows' weights, times the outputs. At first gamma is
    P, and N stands for N - gamma where that is not positive. It needs no settings and no validation
    rows, and is for tables of some 100 to 1,000 rows. Inputs and targets should be scaled to about
    -1 to 1. State: mu, nu, alpha, beta, gamma, how often these were found, and why it ended, each
    at the head of a vector.

    The history has the loss with the penalty of each step, of strength alpha / beta: at the end
    half the variance of the noise, as estimated. It ends by "converged" where a step would raise
    the logarithm of the probability by less than 1e-5, or no step raises it; by "collapsed" where
    gamma falls below 1e-3, and the network is a constant: a `FitWarning` says so. Train from
    another start then, and leave it out of a mean.

    Parameters
    ----------
    damping : float
        The first mu, greater than 0.
    adapt : {"gain", "tenfold"}
        How mu changes, see `LevenbergMarquardt`.
    most_damping : float
        A greater mu ends the training ("converged"): no step lowers the objective.
    min_grad : float
        The length of the objective's gradient, divided by the variance of the targets, that ends
        the training too.
    goal : float
        The loss without penalty that ends the training ("goal").
    first_steps : int
        Steps at the beginning that have a hundredth of the penalty: what a start does not fit yet
        is taken for noise else, and targets that columns explain only together end as a constant.
        0, MATLAB's, fits less noise where a network is wide.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    References
    ----------
    .. [1] MacKay, Bayesian interpolation, Neural Computation 4, 1992.
    .. [2] Foresee and Hagan, Gauss-Newton approximation to Bayesian learning, ICNN 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import BayesianRegularization, Network, train
    >>> X = np.linspace(-1, 1, 100)
    >>> Y = np.sin(3 * X) + 0.1 * np.random.RandomState(0).standard_normal(100)
    >>> network = Network((1, 10, 1), "tanh")
    >>> result = train(
    ...     network, X[:, None], Y, optimizer=BayesianRegularization(), epochs=1000, seed=0
    ... )
    >>> result.stop_reason, network.n_params, round(result.gamma)
    ('converged', 31, 8)
    """

    n_slots: ClassVar[int] = 7
    ends: ClassVar[tuple[str, ...]] = ("goal", "converged", "converged", "collapsed")
    first_part: ClassVar[float] = 0.01
    """So much of the penalty have the first steps, with gamma = P: more ends as a constant, less
    fits noise."""
    least_gain: ClassVar[float] = 1e-5
    least_gamma: ClassVar[float] = 1e-3
    least_strength: ClassVar[float] = 1e-13
    """The least alpha / beta, as a part of the greatest number of the diagonal of J'J."""

    first_steps: int = field(default=3, kw_only=True, metadata={"check": _check_first_steps})


def with_rate(optimizer: Optimizer, rate: LearningRate) -> Optimizer:
    """Return the optimizer with another learning rate; TypeError for a method, which has none."""
    if isinstance(optimizer, Method):
        raise TypeError(f"{optimizer.name} has no learning rate; Adam(learning_rate=...) has one")
    return replace(optimizer, learning_rate=rate)


def with_options(optimizer: Optimizer, **options: Any) -> Optimizer:
    """Return the optimizer with `clip_norm`, `rates` or both; TypeError for a method, which takes
    its own steps.
    """
    if not isinstance(optimizer, Method):
        return replace(optimizer, **options)
    if unused := [name for name, value in options.items() if value is not None]:
        raise TypeError(f"{optimizer.name} has no {' and no '.join(unused)}; Adam() has")
    return optimizer


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "SGD": SGD,
    "Adam": Adam,
    "AdamW": AdamW,
    "RMSprop": RMSprop,
    "RPROP": RPROP,
}

METHODS: dict[str, type[Method]] = {
    kind.__name__: kind for kind in (LevenbergMarquardt, BayesianRegularization)
}

BUILT_IN: dict[str, type[Optimizer]] = {**OPTIMIZERS, **METHODS}
"""The optimizers that step along a gradient, and the methods."""
