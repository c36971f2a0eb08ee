"""The interface of a back end, and the registry of back ends by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

from fastnn.checking.arguments import check_choice, check_flag, cut, misfit, shown
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, Steps, StepState, Task

__all__ = ["Backend", "Data", "StepState", "Steps", "Task", "get_backend", "register_backend"]


@runtime_checkable
class Backend(Protocol):
    """The interface of a back end, which predicts and trains. Its input is checked; it draws nothing at random.

    A back end that holds the activations of a whole batch at once, rather than of a block of rows, has a true attribute
    ``whole_batches``: the check of the memory takes it into account. One that can compute a loss without its gradient,
    with the same bits, has a method ``loss(task, params, gradient=None)``. One whose threads share a prediction, or a
    loss and its gradient, has a keyword ``threads=None`` in `predict` and `loss_and_gradient`: how many the caller
    wants. What a back end lacks `complete` adds. The fused kernel alone trains groups of members in a call
    (`train_group`) and decides there at the ends of epochs (`decides`): others, and subclasses of it that have a
    `train_steps` of their own, are called member by member, and an epoch a call where an epoch is decided.

    Attributes
    ----------
    name : str
        The name by which messages and files know it.

    Examples
    --------
    A back end that counts the steps of another one:

    >>> import fastnn
    >>> class Counting(type(fastnn.get_backend("numpy"))):
    ...     name, n_steps = "counting", 0
    ...     def train_steps(self, task, state, steps):
    ...         self.n_steps += len(steps.loss)
    ...         return super().train_steps(task, state, steps)
    >>> backend = Counting()
    >>> isinstance(backend, fastnn.Backend)
    True
    >>> X = [[0.0], [1.0]]
    >>> result = fastnn.train(fastnn.Network((1, 1)), X, X, epochs=3, batch_size=1, shuffle=False, backend=backend)
    >>> backend.n_steps >= 6
    True
    """

    name: str

    def supports(self, network: Network, optimizer: Optimizer) -> bool:
        """Return whether this back end can train the network so; if not, `train` raises and conformance tests skip.

        Parameters
        ----------
        network : Network
            Sizes, activations, loss, bias and reduction.
        optimizer : Optimizer
            Its class and hyper-parameters.

        Returns
        -------
        bool
            Whether it can.

        Notes
        -----
        It may take options besides, each as a keyword with a default: ``alpha`` (float), the strength of the L2
        penalty, and ``sample_weight`` (bool), whether rows may have weights other than 1. A back end whose `supports`
        does not take an option must support all its values, about which it is not asked.

        Examples
        --------
        >>> from fastnn import Adam, Network, get_backend
        >>> get_backend("numpy").supports(Network((1, 1)), Adam())
        True
        """

    def predict(self, network: Network, params: Array, X: Array) -> Array:
        """Compute outputs.

        Parameters
        ----------
        network : Network
            Sizes and activations.
        params : ndarray (n_params,)
            The parameters, float32 or float64, contiguous.
        X : ndarray (n, n_inputs)
            The inputs, of the dtype of `params`, in C order.

        Returns
        -------
        ndarray (n, n_outputs)
            The outputs, of the dtype of `params`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, get_backend
        >>> get_backend("numpy").predict(Network((1, 1)), np.array([2.0, 1.0]), np.array([[3.0]]))
        array([[7.]])
        """

    def loss_and_gradient(self, network: Network, params: Array, data: Data, alpha: float) -> tuple[float, Array]:
        """Compute the loss of all rows as one batch, and its gradient.

        Parameters
        ----------
        network : Network
            Sizes, activations, loss, bias and reduction.
        params : ndarray (n_params,)
            The parameters, float32 or float64, contiguous.
        data : Data
            X (n, n_inputs), Y (n, n_outputs) and sample_weight (n,), of the dtype of `params`, in C order.
        alpha : float
            Strength of the L2 penalty.

        Returns
        -------
        loss : float
            The loss.
        gradient : ndarray (n_params,)
            Its gradient, of the dtype of `params`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, get_backend
        >>> from fastnn.backends import Data
        >>> data = Data(np.array([[3.0]]), np.array([[5.0]]), np.ones(1))
        >>> loss, gradient = get_backend("numpy").loss_and_gradient(Network((1, 1)), np.array([2.0, 1.0]), data, 0.0)
        >>> float(loss), gradient.tolist()
        (2.0, [6.0, 2.0])
        """

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Do the steps of `task`, change `state` in place, write ``steps.loss``, and return the number of good steps.

        Parameters
        ----------
        task : Task
            Network, optimizer, data and penalty.
        state : StepState
            The state that is changed: parameters, the optimizer's vectors, counts.
        steps : Steps
            The rows and the learning rate of each step, and the losses that are written.

        Returns
        -------
        int
            The number of good steps.

        Notes
        -----
        A step is bad when its loss or any parameter after its update is not finite; nothing is done after it, and
        `state` is then of no use. A batch whose weights sum to 0 is skipped. The gradient's penalty has the strength
        ``task.alpha``, that of the loss ``task.penalty``; they are equal but in some of scikit-learn's losses.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Network, get_backend
        >>> from fastnn.backends import Data, Steps, StepState, Task
        >>> data = Data(np.array([[3.0]]), np.array([[5.0]]), np.ones(1))
        >>> state = StepState.create(np.array([2.0, 1.0]), n_slots=0)
        >>> steps = Steps(np.array([0]), np.array([0]), np.array([1]), np.array([0.1]), np.empty(1))
        >>> get_backend("numpy").train_steps(Task(Network((1, 1)), SGD(), data), state, steps)
        1
        >>> state.params.round(3).tolist(), steps.loss.tolist()
        ([1.4, 0.8], [2.0])
        """


# ------------------------------------------------------------------------------------------------------- the registry


def _numpy() -> Backend:
    from fastnn.reference import NumpyBackend

    return NumpyBackend()


def _numba(*, specialize: bool = False) -> Backend:
    from fastnn.fused.backend import NumbaBackend  # imports llvmlite, which takes a while

    return NumbaBackend(check_flag("specialize", specialize))


_factories: dict[str, Callable[..., Backend]] = {"numpy": _numpy, "numba": _numba}
_made: dict[str, Backend] = {}

BACKENDS = tuple(_factories)
"""The names of the built-in back ends."""


def register_backend(name: str, factory: Callable[..., Backend]) -> None:
    """Register a back end under a name, in place of an earlier one of that name.

    Parameters
    ----------
    name : str
        The name by which `train`, files and the command line find it.
    factory : callable
        Returns a `Backend`; called once, when the back end is first asked for, and each time that options come with it.

    Raises
    ------
    TypeError
        When `name` is not a str or `factory` cannot be called.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.register_backend("mine", lambda: fastnn.get_backend("numpy"))
    >>> fastnn.get_backend("mine").name
    'numpy'
    """
    if not isinstance(name, str) or not callable(factory):
        raise TypeError("register_backend takes a name and a function that makes the back end")
    _factories[name] = factory
    _made.pop(name, None)


def get_backend(backend: str | Backend = "numba", **options: Any) -> Backend:
    """Return the back end of a name ("numpy", "numba" or a registered one), or a back end itself as it is.

    Parameters
    ----------
    backend : str or Backend
        The name, or a back end.
    **options : dict
        Its options, for an instance of your own. "numba" has one: with ``specialize=True`` it compiles a kernel
        for each small network and optimizer that it trains in batches which fit one vector: up to 8 rows of float64,
        16 of float32. That takes a second or two, once on a machine, and saves a tenth to a third of the time of a
        step: it is for trainings of more than some 20 million steps. The results have the same bits. Compiling one
        keeps 3 to 6 MB in the process, loading it from the disk cache next to nothing. Larger networks and
        batches train as without it; so do optimizers with ``clip_norm`` or ``rates``, and members of `train_many` side
        by side, which is faster still.

    Returns
    -------
    Backend
        One and the same for each call without options.

    Raises
    ------
    ValueError
        For an unknown name; the text lists the known ones.
    TypeError
        For an object that lacks one of the methods of `Backend`, and for options that the back end does not have.

    Examples
    --------
    >>> from fastnn import get_backend
    >>> get_backend("numpy")
    NumpyBackend()
    >>> get_backend("numba", specialize=True)
    NumbaBackend(specialize=True)
    """
    if type(backend) in _known_types and not options:
        return cast(Backend, backend)
    if not isinstance(backend, str):
        if options:
            raise TypeError(f"options need the name of a back end, not an instance: {cut(', '.join(options))}")
        return _checked(backend)
    if options:
        factory = _factories[check_choice("backend", backend, _factories)]
        if error := misfit(factory, **options):
            raise TypeError(f"back end {backend!r} does not take these options: {cut(error)}")
        return _checked(factory(**options))
    if backend not in _made:
        check_choice("backend", backend, _factories)
        _made[backend] = _checked(_factories[backend]())
    return _made[backend]


def _checked(backend: object) -> Backend:
    if type(backend) not in _known_types:
        needed = ("name", "supports", "predict", "loss_and_gradient", "train_steps")
        missing = [name for name in needed if not hasattr(backend, name)]
        if missing:
            raise TypeError(f"{shown(backend)} is no back end: it lacks {', '.join(missing)}")
        if isinstance(backend, type):
            raise TypeError(f"{shown(backend)} is a class, not a back end: say {cut(backend.__name__)}()")
        if error := misfit(cast(Backend, backend).train_steps, "task", "state", "steps"):
            raise TypeError(
                f"{shown(backend)} has a train_steps that does not take (task, state, steps): {cut(error)}. Version "
                "0.1 called it with (network, optimizer, state, data, steps, alpha); docs/howto/backends.md shows how"
            )
        _known_types.add(type(backend))
    return cast(Backend, backend)


_known_types: set[type] = set()


# ---------------------------------------------------------------------------------------------------- optional parts


class Completed:
    """A back end with all parts of the interface: its own, and defaults in place of those it lacks.

    Parameters
    ----------
    backend : Backend
        It may lack `loss`, the keyword `threads`, the options of `supports`, and `shuffle_rows`.
    """

    trains_groups = False

    def __init__(self, backend: Backend) -> None:
        self.backend: Any = backend
        self.name = backend.name
        self.whole_batches = getattr(backend, "whole_batches", False)
        self.takes_options = getattr(backend, "takes_options", False)
        self.shuffle_rows = getattr(backend, "shuffle_rows", None)
        self._loss = getattr(backend, "loss", None)

    def supports(self, network: Network, optimizer: Optimizer, **options: Any) -> bool:
        """Return the answer of the back end, asked about those of the options that it takes."""
        return bool(supports_with(self.backend, **options)(network, optimizer))

    def predict(self, network: Network, params: Array, X: Array, threads: int | None = None) -> Array:
        """Compute outputs, by threads where the back end takes a number of them."""
        return cast(Array, _call(self.backend.predict, threads, network, params, X))

    def loss_and_gradient(
        self, network: Network, params: Array, data: Data, alpha: float, threads: int | None = None
    ) -> tuple[float, Array]:
        """Compute the loss of all rows and its gradient, by threads where the back end takes a number of them."""
        return cast("tuple[float, Array]", _call(self.backend.loss_and_gradient, threads, network, params, data, alpha))

    def input_jacobian(self, network: Network, params: Array, X: Array) -> Array:
        """Compute the derivatives (n, n_outputs, n_inputs) of the outputs by the inputs; by NumPy where it cannot."""
        by: Any = self.backend if hasattr(self.backend, "input_jacobian") else get_backend("numpy")
        return cast(Array, by.input_jacobian(network, params, X))

    def loss(self, task: Task, params: Array, gradient: Array | None = None) -> float:
        """Compute the loss of all rows of a task; write `gradient` (n_params,), where one is passed."""
        if self._loss is not None:
            return cast(float, self._loss(task, params, gradient))
        loss, computed = self.backend.loss_and_gradient(task.network, params, task.data, task.penalty)
        if gradient is not None:
            gradient[...] = computed
        return loss

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Do steps, and return the number of good ones."""
        return self.backend.train_steps(task, state, steps)

    def decides(self, task: Task, rows_a_step: int, scored: Task | None) -> bool:
        """Return whether `train_group` takes rules by which it decides at the ends of epochs: it does not."""
        return False


def complete(backend: Backend) -> Any:
    """Return a back end with all parts of the interface: itself if its class has them, or a `Completed` one.

    All parts are those of the fused kernel, of which `train_group` trains several members in a call. A class on top of
    it whose `train_steps` alone is of its own counts as one that lacks `train_group`, which would not call that, and so
    does an object with a `train_steps` of its own.
    """
    is_whole = getattr(type(backend), "trains_groups", False) and "train_steps" not in vars(backend)
    return backend if is_whole else Completed(backend)


def original(backend: Backend) -> Backend:
    """Return the back end that `complete` was called with."""
    return backend.backend if isinstance(backend, Completed) else backend


def _call(method: Callable[..., Any], threads: int | None, *arguments: Any) -> Any:
    """Call a method with `threads`, where a number is passed and the method takes it."""
    if threads is not None and "threads" in _keywords(getattr(method, "__func__", method)):
        return method(*arguments, threads=threads)
    return method(*arguments)


def supports_with(backend: Backend, *, alpha: float = 0.0, sample_weight: bool = False) -> Callable[..., bool]:
    """Return a back end's `supports` with those of the options that it takes."""
    supports = backend.supports
    taken = options_taken(getattr(supports, "__func__", supports))
    options: dict[str, Any] = {"alpha": alpha, "sample_weight": sample_weight}
    return functools.partial(supports, **{name: options[name] for name in taken})


def options_taken(function: Callable[..., Any]) -> frozenset[str]:
    """Return which of the options "alpha" and "sample_weight" a function takes as keywords."""
    return _keywords(function) & OPTIONS


@functools.lru_cache(maxsize=100)
def _keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's parameters, and all that are asked for where it takes any keyword."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a function of an extension module need not have a signature
        return frozenset()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return frozenset(parameters) | (OPTIONS if takes_all else frozenset())


OPTIONS = frozenset({"alpha", "sample_weight"})


def check_supported(
    backend: Backend, network: Network, optimizer: Optimizer, *, alpha: float = 0.0, sample_weight: bool = False
) -> None:
    """Raise ValueError where a back end does not support the training.

    Raises
    ------
    ValueError
        Names the option that is not supported, where the network and the optimizer are.
    """
    if optimizer.rates is not None and len(optimizer.rates) != network.n_layers:
        raise ValueError(f"rates has {len(optimizer.rates)} factors, the network {network.n_layers} layers")
    if optimizer.has_options and not getattr(backend, "takes_options", False):
        raise ValueError(f"back end {shown(backend.name)} knows no clip_norm and no rates: leave them out")
    if supports_with(backend, alpha=alpha, sample_weight=sample_weight)(network, optimizer):
        return
    what = f"back end {shown(backend.name)} cannot train this network with {optimizer.name}"
    if supports_with(backend)(network, optimizer):
        if not supports_with(backend, alpha=alpha)(network, optimizer):
            raise ValueError(f"{what} and alpha={alpha:g}: give alpha=0, or take another back end")
        raise ValueError(f"{what} and sample_weight: leave the weights out, or take another back end")
    raise ValueError(what)
