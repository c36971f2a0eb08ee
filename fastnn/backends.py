"""The registry of back ends by name, and a back end on top of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.checking.arguments import check_choice, check_flag, cut, misfit, shown
from fastnn.interface import HOW_TO, Backend
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, Steps, StepState, Task

__all__ = [
    "Backend",
    "Data",
    "StepState",
    "Steps",
    "Task",
    "Wrapper",
    "get_backend",
    "register_backend",
]


class Wrapper(Backend):
    """A back end on top of another one, which does what a subclass does not do itself.

    Parameters
    ----------
    backend : Backend
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = backend.name
        self.whole_batches = backend.whole_batches
        self.takes_options = backend.takes_options
        self.takes_sparse = backend.takes_sparse
        self.accepts_complex = backend.accepts_complex
        self.shuffle_rows = backend.shuffle_rows
        self.input_jacobian = backend.input_jacobian

    def supports(
        self,
        network: Network,
        optimizer: Optimizer,
        alpha: float = 0.0,
        sample_weight: bool = False,
    ) -> bool:
        """Return the answer of the back end below."""
        return self.backend.supports(network, optimizer, alpha=alpha, sample_weight=sample_weight)

    def predict(
        self, network: Network, params: Array, X: Array, threads: int | None = None
    ) -> Array:
        """Compute outputs."""
        return self.backend.predict(network, params, X, threads=threads)

    def loss_and_gradient(
        self, network: Network, params: Array, data: Data, alpha: float, threads: int | None = None
    ) -> tuple[float, Array]:
        """Compute the loss of all rows and its gradient."""
        return self.backend.loss_and_gradient(network, params, data, alpha, threads=threads)

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Do steps, and return the number of good ones."""
        return self.backend.train_steps(task, state, steps)

    def loss(self, task: Task, params: Array, gradient: Array | None = None) -> float:
        """Compute the loss of all rows of a task, and its gradient, if it is wanted."""
        return self.backend.loss(task, params, gradient)


# ------------------------------------------------------------------------------------- the registry


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
        Returns a `Backend`; called once, when the back end is first asked for, and each time that
        options come with it.

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
    """Return the back end of a name ("numpy", "numba" or a registered one), or a back end itself as
    it is.

    Parameters
    ----------
    backend : str or Backend
        The name, or a back end.
    **options : dict
        Its options, for an instance of your own. "numba" has one: with ``specialize=True`` it
        compiles a kernel for each small network and optimizer that it trains in batches which fit
        one vector: up to 8 rows of float64, 16 of float32. That takes a second or two, once on a
        machine, and saves a tenth to a third of the time of a step: it is for trainings of more
        than some 20 million steps. The results have the same bits. Compiling one keeps 3 to 6 MB in
        the process, loading it from the disk cache next to nothing. Larger networks and batches
        train as without it; so do optimizers with ``clip_norm`` or ``rates``, and members of
        `train_many` side by side, which is faster still.

    Returns
    -------
    Backend
        One and the same for each call without options.

    Raises
    ------
    ValueError
        For an unknown name; the text lists the known ones.
    TypeError
        For an object that is no `Backend`, and for options that the back end does not have.

    Examples
    --------
    >>> from fastnn import get_backend
    >>> get_backend("numpy")
    NumpyBackend()
    >>> get_backend("numba", specialize=True)
    NumbaBackend(specialize=True)
    """
    if not isinstance(backend, str):
        if options:
            raise TypeError(
                f"options need the name of a back end, not an instance: {cut(', '.join(options))}"
            )
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
    """Raise TypeError unless an object is a back end with a name."""
    if not isinstance(backend, Backend):
        if isinstance(backend, type) and issubclass(backend, Backend):
            raise TypeError(
                f"{shown(backend)} is a class, not a back end: say {cut(backend.__name__)}()"
            )
        raise TypeError(
            f"{shown(backend)} is no back end: a back end is an object of a subclass of "
            f"fastnn.Backend, `class MyBackend(fastnn.Backend)`; {HOW_TO}"
        )
    if not isinstance(getattr(backend, "name", None), str):
        raise TypeError(f'{shown(backend)} has no name: write name = "..." in its class; {HOW_TO}')
    return backend


def check_supported(
    backend: Backend,
    network: Network,
    optimizer: Optimizer,
    *,
    alpha: float = 0.0,
    sample_weight: bool = False,
) -> None:
    """Raise ValueError where a back end does not support the training.

    Raises
    ------
    ValueError
        Names the option that is not supported, where the network and the optimizer are.
    """
    if optimizer.rates is not None and len(optimizer.rates) != network.n_layers:
        raise ValueError(
            f"rates has {len(optimizer.rates)} factors, the network {network.n_layers} layers"
        )
    if optimizer.has_options and not backend.takes_options:
        raise ValueError(
            f"back end {shown(backend.name)} knows no clip_norm and no rates: leave them out"
        )
    if backend.supports(network, optimizer, alpha=alpha, sample_weight=sample_weight):
        return
    what = f"back end {shown(backend.name)} cannot train this network with {optimizer.name}"
    if not backend.supports(network, optimizer, alpha=0.0, sample_weight=False):
        raise ValueError(what)
    if not backend.supports(network, optimizer, alpha=alpha, sample_weight=False):
        raise ValueError(f"{what} and alpha={alpha:g}: give alpha=0, or take another back end")
    raise ValueError(f"{what} and sample_weight: leave the weights out, or take another back end")
