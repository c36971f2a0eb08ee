"""The interface of a back end: the base class of all."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import cut, misfit
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, EpochRules, Steps, StepState, StepStates, Task, member_steps


class Backend(abc.ABC):
    """The base class of back ends, which predict and train. Their input is checked; they draw
    nothing at random.

    A subclass has a `name`, and defines `supports`, `predict`, `loss_and_gradient` and
    `train_steps`. All else has a default, which it may override.

    Attributes
    ----------
    name : str
        The name by which messages and files know it.
    whole_batches : bool
        Whether it holds the activations of a whole batch at once, rather than of a block of rows:
        the check of the memory takes it into account. False by default.
    takes_options : bool
        Whether it trains with optimizers that have `clip_norm` or `rates`. False by default.
    takes_sparse : bool
        Whether X may be a `fastnn.sparse.SparseRows`, rows in CSR form. With False, the default,
        all rows are arrays.
    accepts_complex : bool
        Whether `loss_and_gradient` takes complex parameters, so that its gradient can be checked to
        the last digits. False by default.
    shuffle_rows : callable or None
        ``shuffle_rows(words, orders, order)`` shuffles rows as NumPy's `RandomState.shuffle` does,
        see ``docs/howto/backends.md``; with None, the default, NumPy shuffles.
    input_jacobian : callable or None
        ``input_jacobian(network, params, X)`` returns the derivatives (n, n_outputs, n_inputs) of
        the outputs by the inputs, of the dtype of `params`; with None, the default, NumPy computes
        them.
    trains_groups : bool
        Whether `train_many` may train several members in one call. False by default: only the fused
        kernel does.

    Examples
    --------
    A back end that counts the steps of another one:

    >>> import fastnn
    >>> from fastnn.reference import NumpyBackend
    >>> class Counting(NumpyBackend):
    ...     name, n_steps = "counting", 0
    ...
    ...     def train_steps(self, task, state, steps):
    ...         self.n_steps += len(steps.loss)
    ...         return super().train_steps(task, state, steps)
    >>> backend = Counting()
    >>> isinstance(backend, fastnn.Backend)
    True
    >>> X = [[0.0], [1.0]]
    >>> result = fastnn.train(
    ...     fastnn.Network((1, 1)), X, X, epochs=3, batch_size=1, shuffle=False, backend=backend
    ... )
    >>> backend.n_steps >= 6
    True
    """

    name: str
    whole_batches = False
    takes_options = False
    takes_sparse = False
    accepts_complex = False
    shuffle_rows: Callable[[Array, Array, Array], None] | None = None
    input_jacobian: Callable[[Network, Array, Array], Array] | None = None
    trains_groups: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, positional, named in _CALLS:
            method = vars(cls).get(name)
            if method is not None and (error := misfit(method, *positional, **named)):
                signature = ", ".join(
                    [*positional, *(f"{key}={value}" for key, value in named.items())]
                )
                raise TypeError(
                    f"{cut(cls.__name__)} needs {name}({signature}): {cut(error)}; {HOW_TO}"
                )

    @abc.abstractmethod
    def supports(
        self,
        network: Network,
        optimizer: Optimizer,
        alpha: float = 0.0,
        sample_weight: bool = False,
    ) -> bool:
        """Return whether this back end can train the network so; if not, `train` raises and
        conformance tests skip.

        Parameters
        ----------
        network : Network
            Sizes, activations, loss, bias and reduction.
        optimizer : Optimizer
            Its class and hyper-parameters.
        alpha : float
            The strength of the L2 penalty.
        sample_weight : bool
            Whether rows may have weights other than 1.

        Returns
        -------
        bool
            Whether it can.

        Examples
        --------
        >>> from fastnn import Adam, Network, get_backend
        >>> get_backend("numpy").supports(Network((1, 1)), Adam())
        True
        """

    @abc.abstractmethod
    def predict(
        self, network: Network, params: Array, X: Array, threads: int | None = None
    ) -> Array:
        """Compute outputs.

        Parameters
        ----------
        network : Network
            Sizes and activations.
        params : ndarray (n_params,)
            The parameters, float32 or float64, contiguous.
        X : ndarray (n, n_inputs)
            The inputs, of the dtype of `params`, in C order.
        threads : int, optional
            How many threads the caller asks for, if any; a back end with one thread ignores it.

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

    @abc.abstractmethod
    def loss_and_gradient(
        self, network: Network, params: Array, data: Data, alpha: float, threads: int | None = None
    ) -> tuple[float, Array]:
        """Compute the loss of all rows as one batch, and its gradient.

        Parameters
        ----------
        network : Network
            Sizes, activations, loss, bias and reduction.
        params : ndarray (n_params,)
            The parameters, float32 or float64, contiguous.
        data : Data
            X (n, n_inputs), Y (n, n_outputs) and sample_weight (n,), of the dtype of `params`, in C
            order.
        alpha : float
            Strength of the L2 penalty.
        threads : int, optional
            How many threads the caller asks for, if any.

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
        >>> loss, gradient = get_backend("numpy").loss_and_gradient(
        ...     Network((1, 1)), np.array([2.0, 1.0]), data, 0.0
        ... )
        >>> float(loss), gradient.tolist()
        (2.0, [6.0, 2.0])
        """

    @abc.abstractmethod
    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Do the steps of `task`, change `state` in place, write ``steps.loss``, and return the
        number of good steps.

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
        A step is bad when its loss or any parameter after its update is not finite; nothing is done
        after it, and `state` is then of no use. A batch whose weights sum to 0 is skipped. The
        gradient's penalty has the strength ``task.alpha``, that of the loss ``task.penalty``; they
        are equal but in some of scikit-learn's losses.

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

    def train(
        self,
        tasks: Sequence[Task],
        which: NDArray[np.int64],
        states: StepStates,
        steps: Steps,
        n_steps: Sequence[int],
        rules: EpochRules | None = None,
        threads: int = 1,
    ) -> list[int]:
        """Do the next steps of m trainings of one shape; by default by `train_steps`, one training
        after the other.

        A training calls it with all its steps until Python has something to do.

        Parameters
        ----------
        tasks : sequence of Task
            The different tasks.
        which : ndarray (m,), int64
            The number of each training's task.
        states : StepStates
            The states that are changed.
        steps : Steps
            The steps, with a row for each training.
        n_steps : sequence of int (m,)
            How many of them each training does.
        rules : EpochRules, optional
            What is to be decided at the ends of epochs; only if `decides` says so.
        threads : int
            How many threads may share the trainings.

        Returns
        -------
        list of int
            The number of good steps of each.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Network, get_backend
        >>> from fastnn.backends import Data, Steps, Task
        >>> from fastnn.state import StepStates
        >>> data = Data(np.array([[3.0]]), np.array([[5.0]]), np.ones(1))
        >>> states = StepStates(np.ones((2, 1, 2)), 2, [0, 0], np.ones((2, 2)))
        >>> zero, one = np.array([0]), np.array([1])
        >>> steps = Steps(zero[None], zero, one, np.array([[0.1], [0.2]]), np.empty((2, 1)))
        >>> task = Task(Network((1, 1)), SGD(), data)
        >>> get_backend("numpy").train([task], np.array([0, 0]), states, steps, [1, 1])
        [1, 1]
        >>> states.storage[:, 0].round(3).tolist()
        [[1.3, 1.1], [1.6, 1.2]]
        """
        good = []
        for k, (place, n) in enumerate(zip(which, n_steps, strict=True)):
            state = states.member(k)
            good.append(int(self.train_steps(tasks[place], state, member_steps(steps, k, n))))
            states.threads = max(states.threads, state.threads)
        return good

    def loss(self, task: Task, params: Array, gradient: Array | None = None) -> float:
        """Compute the loss of all rows of a task as one batch, with the bits of
        `loss_and_gradient`.

        The driver calls it repeatedly with the same task. By default it is `loss_and_gradient`;
        override it if the loss without its gradient takes less time.

        Parameters
        ----------
        task : Task
            Network, data and `penalty`.
        params : ndarray (n_params,)
            The parameters.
        gradient : ndarray (n_params,), optional
            Where the gradient is written, if it is wanted.

        Returns
        -------
        float
            The loss.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Network, get_backend
        >>> from fastnn.backends import Data, Task
        >>> data = Data(np.array([[3.0]]), np.array([[5.0]]), np.ones(1))
        >>> float(
        ...     get_backend("numpy").loss(Task(Network((1, 1)), SGD(), data), np.array([2.0, 1.0]))
        ... )
        2.0
        """
        loss, computed = self.loss_and_gradient(task.network, params, task.data, task.penalty)
        if gradient is not None:
            gradient[...] = computed
        return loss

    def decides(self, task: Task, rows_a_step: int, scored: Task | None) -> bool:
        """Return whether the back end itself decides at the ends of epochs, within a call; by
        default it does not.

        Parameters
        ----------
        task : Task
            The training.
        rows_a_step : int
            Rows of a batch.
        scored : Task or None
            The rows that are scored after each epoch, if any.

        Returns
        -------
        bool
            With False, Python decides, and each epoch is a call.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Network, get_backend
        >>> from fastnn.backends import Data, Task
        >>> data = Data(np.array([[3.0]]), np.array([[5.0]]), np.ones(1))
        >>> get_backend("numpy").decides(Task(Network((1, 1)), SGD(), data), 1, None)
        False
        """
        return False


_CALLS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("supports", ["self", "network", "optimizer"], {"alpha": 0.0, "sample_weight": False}),
    ("predict", ["self", "network", "params", "X"], {"threads": None}),
    ("loss_and_gradient", ["self", "network", "params", "data", "alpha"], {"threads": None}),
    ("train_steps", ["self", "task", "state", "steps"], {}),
    (
        "train",
        ["self", "tasks", "which", "states", "steps", "n_steps", "rules", "threads"],
        {},
    ),
]
"""How the methods that every back end has are called: name, positional arguments, and those by
keyword."""

HOW_TO = "docs/howto/backends.md shows how to write a back end"
