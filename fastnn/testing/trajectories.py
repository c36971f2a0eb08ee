"""Recorded trainings: the weights along a training and all its inputs, in a file that any machine can read."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import check_integer, check_number
from fastnn.errors import ModelFileError
from fastnn.files.archive import Format, check_arrays, read_archive, write_archive
from fastnn.measuring.machine import cpu_model, versions
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import OPTIMIZERS, Optimizer
from fastnn.state import Steps
from fastnn.testing.recordable import Course, plan_course
from fastnn.training.inputs import check_data, check_params

FORMAT = Format(
    "fastnn trajectory",
    1,
    required=("X", "Y", "sample_weight", "initial", "rows", "start", "stop", "learning_rate", "at", "params", "loss"),
)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A recorded training: the weights after some of its steps, and all inputs of the training.

    So it can be repeated anywhere: nothing is drawn at random, and the learning rates are the recorded ones,
    whatever schedule made them.

    Attributes
    ----------
    course : Course
        Network, optimizer, data, initial parameters, rows and learning rates of the steps. A schedule is not kept, only
        the rates.
    at : ndarray (n_times,)
        After how many steps the weights were recorded, int64.
    params : ndarray (n_times, n_params)
        These weights.
    loss : ndarray (n_steps,)
        Each batch's loss before its step, float64.
    backend : str
        What trained.
    about : dict
        Versions, system and processor, for information.

    Examples
    --------
    >>> from fastnn import Adam, Network, testing
    >>> X = [[0.0], [0.5], [1.0]]
    >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
    >>> a.at.tolist(), a.params.shape, a.loss.shape
    ([1, 10], (2, 10), (10,))
    """

    course: Course
    at: NDArray[np.int64]
    params: Array
    loss: NDArray[np.float64]
    backend: str
    about: dict[str, str]

    def again(self, backend: str | Backend) -> Trajectory:
        """Repeat the training on a back end of this machine.

        Parameters
        ----------
        backend : name or Backend
            What trains.

        Returns
        -------
        Trajectory
            The same training, recorded after the same steps.

        Raises
        ------
        ValueError
            For a back end that does not support the training, or diverges.

        Examples
        --------
        >>> from fastnn import Adam, Network, testing
        >>> X = [[0.0], [0.5], [1.0]]
        >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
        >>> a.again("numba").backend
        'numba'
        """
        return _recorded(self.course, self.at, get_backend(backend))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it to one .npz file, for `load`.

        Parameters
        ----------
        path : str or path
            The name is taken as it is; an existing file is replaced.

        Raises
        ------
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> from fastnn import Adam, Network, testing
        >>> X = [[0.0], [0.5], [1.0]]
        >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
        >>> a.save("training.npz")
        >>> testing.compare(a, testing.Trajectory.load("training.npz")).same_bits
        True
        """
        course = self.course
        header = {
            "network": course.network.to_dict(),
            "optimizer": hyper_parameters(course.optimizer),
            "alpha": course.alpha,
            "backend": self.backend,
            "versions": self.about,
        }
        arrays = {**course.data._asdict(), "initial": course.params, **course.steps._asdict()}
        write_archive(path, FORMAT, header, arrays | {"at": self.at, "params": self.params, "loss": self.loss})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trajectory:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        Trajectory
            As it was saved.

        Raises
        ------
        OSError
            When there is no such file or it cannot be read.
        ModelFileError
            When it is no such file, is damaged, or was written by a later version of fastnn. A ValueError too.

        Examples
        --------
        >>> from fastnn import Adam, Network, testing
        >>> X = [[0.0], [0.5], [1.0]]
        >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
        >>> a.save("training.npz")
        >>> testing.Trajectory.load("training.npz").backend
        'numpy'
        """
        return read_archive(path, {FORMAT: _loaded})


def record(
    network: Network | Workload,
    X: Any = None,
    Y: Any = None,
    *,
    backend: str | Backend = "numpy",
    at: Sequence[int] = (1, 10, 100),
    seed: int | np.random.RandomState = 0,
    **options: Any,
) -> Trajectory:
    """Train a network and record its weights after some steps.

    Parameters
    ----------
    network : Network or Workload
        A workload, such as ``fastnn.workloads.load("iris")``, brings data and options along.
    X, Y : array-like (n, n_inputs) and (n, n_outputs)
        Inputs and targets. float32 is trained in float32, everything else in float64.
    backend : name or Backend
        What trains.
    at : sequence of int
        After how many steps: ascending, the last one ends the training.
    seed : int or RandomState
        Draws the initial parameters, unless they are given, and the order of the rows, as in `fastnn.train`.
    **options : dict
        Those of `fastnn.train`: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``, ``shuffle``, ``alpha``.

    Returns
    -------
    Trajectory
        The recorded training.

    Raises
    ------
    ValueError, TypeError
        For what `fastnn.train` refuses, for steps that do not ascend, and for a training that diverges.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> testing.record(workloads.load("iris"), at=[1, 5]).params.shape
    (2, 131)
    """
    times = np.array([check_integer(f"at[{i}]", step, low=1) for i, step in enumerate(at)], np.int64)
    if not len(times) or (np.diff(times) <= 0).any():
        raise ValueError(f"at must be numbers of steps that ascend, such as (1, 10, 100), not {at!r}")
    return _recorded(plan_course(network, X, Y, int(times[-1]), seed, **options), times, get_backend(backend))


def _recorded(course: Course, at: NDArray[np.int64], backend: Backend) -> Trajectory:
    if not backend.supports(course.network, course.optimizer):
        raise ValueError(f"back end {backend.name!r} cannot train this network with {course.optimizer.name}")
    params, loss = weights_along(course, at, backend, course.params)
    about = {**versions(), "system": f"{platform.system()} {platform.machine()}", "processor": cpu_model()}
    return Trajectory(course, at, params, loss, backend.name, about)


def weights_along(
    course: Course, at: NDArray[np.int64], backend: Backend, start: Array
) -> tuple[Array, NDArray[np.float64]]:
    """Return the parameters (n_times, n_params) and the losses of all steps."""
    state, params, losses = course.start(start), [], []
    for first, stop in zip([0, *at[:-1]], at, strict=True):
        losses.append(course.advance(backend, state, first, stop))
        if len(losses[-1]) < stop - first:
            raise ValueError(f"{backend.name} diverges at step {first + len(losses[-1])}: take a smaller learning rate")
        params.append(state.params.copy())
    return np.array(params), np.concatenate(losses)


# --------------------------------------------------------------------------------------------------------------- files


def hyper_parameters(optimizer: Optimizer) -> dict[str, Any]:
    """Return name and hyper-parameters in JSON's types, without the learning rate, of which each step has its own."""
    return {name: value for name, value in optimizer.to_dict().items() if name != "learning_rate"}


def _loaded(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Trajectory:
    """Make a trajectory of a file's content, checked so that it can be handed to a back end."""
    network, dtype = Network.from_dict(header["network"]), arrays["initial"].dtype
    n, n_steps, n_times = len(arrays["X"]), arrays["start"].size, arrays["at"].size
    check_arrays(
        arrays,
        {
            "X": (dtype, (n, network.n_inputs)),
            "Y": (dtype, (n, network.n_outputs)),
            "sample_weight": (dtype, (n,)),
            "initial": (dtype, (network.n_params,)),
            "params": (dtype, (n_times, network.n_params)),
            "rows": (np.int64, (arrays["rows"].size,)),
            "start": (np.int64, (n_steps,)),
            "stop": (np.int64, (n_steps,)),
            "learning_rate": (np.float64, (n_steps,)),
            "at": (np.int64, (n_times,)),
            "loss": (np.float64, (n_steps,)),
        },
    )
    rows, start, stop, rates, at = (arrays[name] for name in ("rows", "start", "stop", "learning_rate", "at"))
    fits = {
        "initial": dtype in (np.float32, np.float64),
        "params": np.isfinite(arrays["params"]).all(),
        "rows": ((rows >= 0) & (rows < n)).all(),
        "start": ((start >= 0) & (start < stop)).all(),
        "stop": (stop <= rows.size).all(),
        "learning_rate": (np.isfinite(rates) & (rates >= 0)).all(),
        "at": n_times and (np.diff(at, prepend=0) > 0).all() and at[-1] == n_steps,
        "loss": np.isfinite(arrays["loss"]).all(),
    }
    for name, is_right in fits.items():
        if not is_right:
            raise ModelFileError(f"damaged: {name} has a value that `record` does not write")
    options = dict(header["optimizer"])
    optimizer = OPTIMIZERS[options.pop("name")](learning_rate=float(rates[0]), **options)
    course = Course(
        network,
        optimizer,
        check_data(network, arrays["X"], arrays["Y"], arrays["sample_weight"]),
        check_params(network, arrays["initial"], dtype),
        Steps(rows, start, stop, rates, np.zeros(n_steps)),
        check_number("alpha", header["alpha"], low=0),
    )
    about = {str(name): str(value) for name, value in dict(header["versions"]).items()}
    return Trajectory(course, at, arrays["params"], arrays["loss"], str(header["backend"]), about)
