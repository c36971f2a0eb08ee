"""The workloads: named trainings that tests, benchmarks and the command line share.

``load("digits")`` gives the network, the optimizer and the data of one in one call:

>>> from fastnn import train
>>> from fastnn.measuring import workloads
>>> seed = workloads.load("seed")
>>> result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0, backend="numpy")
>>> result.n_epochs
100
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.checking.arguments import check_choice
from fastnn.checking.hints import missing_package
from fastnn.measuring import tutorial
from fastnn.memory import Array, ceil_div
from fastnn.network import Network
from fastnn.optimizers import SGD, Adam, Optimizer

HELD_OUT = 4  # one row in so many of a classification is kept for the test


@dataclass(frozen=True, eq=False)
class Workload:
    """A named training: data, network, optimizer and number of epochs.

    Attributes
    ----------
    name, description : str
        The name given to `load`, and one line for people.
    network : Network
        What is trained.
    optimizer : Optimizer
        How.
    X, Y : ndarray (n_rows, n_inputs) and (n_rows, n_outputs)
        Training data of one dtype, read-only.
    batch_size : int or None
        Rows a step; None means all of them.
    epochs : int
        How long a usual training takes.
    shuffle : bool
        Whether the rows are put in a new order every epoch.
    alpha : float
        Strength of the L2 penalty.
    X_test, Y_test : ndarray (n_test, n_inputs) and (n_test, n_outputs), or None
        Held-out data, where the workload has some.
    most_loss, least_accuracy : float or None
        What a usual training from seed 0 must reach, in its last epoch and on the held-out rows;
        None where there is nothing to learn. `fastnn.cli.correctness.check_workload` asks for it
        before anything is timed.

    Examples
    --------
    >>> from fastnn import train, workloads
    >>> seed = workloads.load("seed")
    >>> result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0)
    >>> bool(result.history.loss[-1] <= seed.most_loss)
    True
    """

    name: str
    description: str
    network: Network
    optimizer: Optimizer
    X: Array = field(repr=False)
    Y: Array = field(repr=False)
    batch_size: int | None
    epochs: int
    shuffle: bool = True
    alpha: float = 0.0
    X_test: Array | None = field(default=None, repr=False)
    Y_test: Array | None = field(default=None, repr=False)
    most_loss: float | None = None
    least_accuracy: float | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the data, and so of the training."""
        return self.X.dtype

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps (iterations) of an epoch."""
        return ceil_div(len(self.X), self.batch_size or len(self.X))

    @property
    def train_options(self) -> dict[str, Any]:
        """Keyword arguments for `fastnn.train`; replace one with ``workload.train_options |
        {"epochs": 3}``.
        """
        names = ("optimizer", "epochs", "batch_size", "shuffle", "alpha")
        return {name: getattr(self, name) for name in names}


def names() -> tuple[str, ...]:
    """List the names that `load` knows.

    Returns
    -------
    tuple of str
        The smallest network first.

    Examples
    --------
    >>> from fastnn import workloads
    >>> workloads.names()
    ('seed', 'iris', 'digits', 'online', 'tab', 'mnist', 'big')
    """
    return tuple(DESCRIPTIONS)


def load(name: str, dtype: DTypeLike | None = None) -> Workload:
    """Return a workload by its name.

    Parameters
    ----------
    name : str
        One of `names`: ``seed``, ``iris``, ``digits``, ``online``, ``tab``, ``mnist``, ``big``.
    dtype : float32, float64 or None
        Working precision; None takes the workload's own.

    Returns
    -------
    Workload
        Network, optimizer and data. The same name always gives the same data.

    Raises
    ------
    ValueError
        If the name is not known (the text lists the known ones), or the dtype is neither float32
        nor float64.
    ImportError
        If the data are part of scikit-learn (``iris``, ``digits``, ``online``) and it is not
        installed.

    Examples
    --------
    >>> from fastnn import workloads
    >>> iris = workloads.load("iris", "float32")
    >>> iris.X.shape, iris.X.dtype
    ((150, 4), dtype('float32'))
    """
    check_choice("workload", name, names())
    if dtype is not None and np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    make, own = _MAKERS[name]
    return Workload(
        name, DESCRIPTIONS[name], **make(name, np.dtype(own if dtype is None else dtype))
    )


def _array(values: Any, dtype: np.dtype[Any]) -> Array:
    """Return a read-only array in C order that is nobody else's."""
    array = np.array(values, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def _one_hot(labels: Array, n_classes: int, dtype: np.dtype[Any]) -> Array:
    return _array(np.eye(n_classes)[labels], dtype)


def _sklearn_data(workload: str, loader: str) -> tuple[Array, Array]:
    """Return inputs and integer labels of one of the data sets that ship with scikit-learn."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise missing_package(
            "scikit-learn", f"workload {workload!r} needs the data that ship with"
        ) from error
    return getattr(datasets, loader)(return_X_y=True)


def _seed(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    network = Network(
        (tutorial.X.shape[1], tutorial.N_HIDDEN, tutorial.Y.shape[1]),
        activation="sigmoid",
        output="sigmoid",
        loss="squared_error",
        bias="scalar",
        bias_gradient="times_bias",
        reduction="sum",
        init="normal",
        bias_init=tutorial.INITIAL_BIAS,
    )
    return {
        "network": network,
        "optimizer": SGD(learning_rate=1.0, sequential=True),
        "X": _array(tutorial.X, dtype),
        "Y": _array(tutorial.Y, dtype),
        "batch_size": None,
        "epochs": tutorial.N_ITERATIONS,
        "shuffle": False,
        "X_test": _array(tutorial.X_TEST, dtype),
        "Y_test": _array(tutorial.Y_TEST, dtype),
        "most_loss": 0.05,
    }


def _iris(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    X, labels = _sklearn_data(name, "load_iris")
    return {
        "network": Network((4, 16, 3), activation="tanh", output="softmax", loss="cross_entropy"),
        "optimizer": SGD(learning_rate=0.5),
        "X": _array((X - X.mean(axis=0)) / X.std(axis=0), dtype),
        "Y": _one_hot(labels, 3, dtype),
        "batch_size": None,
        "epochs": 500,
        "shuffle": False,
        "most_loss": 0.06,
    }


def _digits(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    X, labels = _sklearn_data(name, "load_digits")
    order = np.random.RandomState(0).permutation(len(X))
    # a pixel counts from 0 to 16
    X = X[order] / 16.0
    Y = _one_hot(labels[order], 10, dtype)
    n_test = len(X) // HELD_OUT
    online = name == "online"
    return {
        "network": Network((64, 64, 10), activation="relu", output="softmax", loss="cross_entropy"),
        # 0.003 was the best of 0.001, 0.002 and 0.003 on forty other splits of the data.
        "optimizer": SGD(learning_rate=0.01) if online else Adam(learning_rate=0.003),
        "X": _array(X[n_test:], dtype),
        "Y": _array(Y[n_test:], dtype),
        "batch_size": 1 if online else 32,
        "epochs": 5 if online else 20,
        "X_test": _array(X[:n_test], dtype),
        "Y_test": _array(Y[:n_test], dtype),
        "least_accuracy": 0.93 if online else 0.96,
    }


def _synthetic(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return a regression on noise: nothing to learn, but the work of a real training of that
    size.
    """
    sizes, n_rows, batch_size = _SYNTHETIC[name]
    random_state = np.random.RandomState(0)
    return {
        "network": Network(sizes, activation="relu", output="identity", loss="squared_error"),
        "optimizer": Adam(learning_rate=0.001),
        "X": _array(random_state.standard_normal((n_rows, sizes[0])), dtype),
        "Y": _array(random_state.random_sample((n_rows, sizes[-1])), dtype),
        "batch_size": batch_size,
        "epochs": 4,
    }


_SYNTHETIC = {
    "tab": ((32, 128, 128, 1), 8192, 128),
    "mnist": ((784, 128, 10), 8192, 128),
    "big": ((512, 1024, 1024, 10), 4096, 256),
}
"""{name: sizes of the network, rows, rows per step}"""

DESCRIPTIONS = {
    "seed": "the tutorial's network: repeat the third of three bits",
    "iris": "three kinds of iris from four lengths, all 150 rows per step",
    "digits": "1,797 handwritten digits of 8 by 8 pixels",
    "online": "the digits, one row per step",
    **{
        name: f"synthetic regression, {'-'.join(map(str, sizes))}"
        for name, (sizes, *_) in _SYNTHETIC.items()
    },
}
"""{name of a workload: one line for people}, smallest network first"""

_MAKERS: dict[str, tuple[Callable[[str, np.dtype[Any]], dict[str, Any]], str]] = {
    "seed": (_seed, "float64"),
    "iris": (_iris, "float64"),
    **dict.fromkeys(("digits", "online"), (_digits, "float32")),
    **dict.fromkeys(_SYNTHETIC, (_synthetic, "float32")),
}
"""{name: the function that makes its fields, and its own dtype}"""
