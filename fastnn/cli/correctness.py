"""Checks of answers before anything is timed: the speed of a wrong training means nothing."""

import numpy as np

from fastnn import testing
from fastnn.backends import get_backend
from fastnn.errors import FastnnError
from fastnn.measuring import tutorial
from fastnn.measuring.work import Work, agree
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.training import TrainingResult, train

CHECKED_STEPS = 3
"""How many first steps of a back end must match the reference's, within the bounds of
`fastnn.testing`."""


class DifferentAnswerError(FastnnError):
    """An implementation trains to a wrong result, so that its speed means nothing."""


def check_same_answer(what: str, actual: Array, expected: Array) -> None:
    """Raise unless two results of the same training agree.

    Parameters
    ----------
    what : str
        Name of the comparison, for the error's text.
    actual, expected : ndarray of the same shape
        Compared by the 2-norm of their difference, relative to the norm of `expected`; the dtype of
        `actual` decides how close they must be.

    Raises
    ------
    DifferentAnswerError
        With the distance and the limit.
    """
    try:
        agree(what, actual, expected)
    except AssertionError as difference:
        raise DifferentAnswerError(str(difference)) from difference


def check_workload(workload: Workload, backend: str) -> None:
    """Raise unless a back end trains a workload as it should.

    Its first steps must be those of the reference, within the bounds of `fastnn.testing`. Where the
    workload says how much is learned in a usual training, that much must be learned; and the seed
    must end at the tutorial's own numbers.

    Parameters
    ----------
    workload : Workload
    backend : str

    Raises
    ------
    DifferentAnswerError
        With what was found and what was expected.
    """
    what = f"{workload.name}, {workload.dtype}, {backend}"
    rows = slice(CHECKED_STEPS * workload.batch_size if workload.batch_size else None)
    epochs = 1 if workload.batch_size else CHECKED_STEPS
    params = workload.network.init_params(np.random.RandomState(0), workload.dtype)
    options = workload.train_options | {"epochs": epochs, "shuffle": False, "backend": backend}
    try:
        if get_backend(backend).name != "numpy":
            data = (workload.X[rows], workload.Y[rows])
            testing.assert_trainings_match(workload.network, *data, params, **options)
        if workload.most_loss is not None or workload.least_accuracy is not None:
            _check_learned(workload, backend, what)
    except AssertionError as difference:
        raise DifferentAnswerError(f"{what}: {difference}; nothing was timed") from difference


def check_work(work: Work, backend: str) -> None:
    """Raise unless a back end does work as it should: a workload by `check_workload`, real work as
    the reference.

    Raises
    ------
    DifferentAnswerError
        With what was found and what was expected.
    """
    if work.workload is not None:
        check_workload(work.workload, backend)
    else:
        check_same_answer(f"{work.name}, {backend}", work.answer(backend), work.answer("numpy"))


def _check_learned(workload: Workload, backend: str, what: str) -> None:
    data = (workload.network, workload.X, workload.Y)
    result = train(*data, **workload.train_options, seed=0, backend=backend)
    loss = result.history.loss[-1]
    most = workload.most_loss
    least = workload.least_accuracy
    if most is not None and not loss <= most:
        raise AssertionError(f"loss {loss:.4f} at the end, more than {most}")
    if least is not None:
        part = accuracy(result, workload)
        if not part >= least:
            raise AssertionError(f"{part:.4f} of the held-out rows recognized, less than {least}")
    if workload.name == "seed":
        weights, errors = tutorial.train(tutorial.initial_weights(0))
        check_same_answer(f"{what}: the tutorial's weights", result.params, tutorial.flat(weights))
        check_same_answer(
            f"{what}: the tutorial's errors", result.history.loss.astype(workload.dtype), errors
        )


def accuracy(result: TrainingResult, workload: Workload) -> float:
    """Return the share of the workload's held-out rows whose most probable class is the right
    one.
    """
    assert workload.X_test is not None, f"{workload.name} holds nothing out"
    assert workload.Y_test is not None
    labels = result.predict(workload.X_test).argmax(axis=1)
    return float(np.mean(labels == workload.Y_test.argmax(axis=1)))
