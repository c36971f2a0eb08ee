"""The base of fastnn's exceptions, errors of files and engines, and warnings at the caller's line."""

import sys
import warnings


class FastnnError(Exception):
    """The base of fastnn's own exceptions.

    Examples
    --------
    >>> import fastnn
    >>> issubclass(fastnn.DivergenceError, fastnn.FastnnError)
    True
    """


class ModelFileError(FastnnError, ValueError):
    """A file is no model that this version of fastnn can read: foreign, damaged or too new.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastnn
    >>> size = Path("junk.npz").write_bytes(b"junk")
    >>> try:
    ...     fastnn.load("junk.npz")
    ... except fastnn.ModelFileError as error:
    ...     print(error)
    junk.npz: not a fastnn file (it is no .npz archive)
    """


class EngineError(FastnnError, RuntimeError):
    """The workers of an engine, of joblib, Dask or Ray, cannot train, or the engine failed several times.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     raise fastnn.EngineError("the workers have version 0.1 of fastnn, this process 1.0")
    ... except RuntimeError as error:
    ...     print(error)
    the workers have version 0.1 of fastnn, this process 1.0
    """


class ScaleWarning(UserWarning):
    """Inputs or targets are so large or so small that a method of the second order hardly learns from them.

    `LevenbergMarquardt` and `BayesianRegularization` look at it; other optimizers do not, and train without a warning.

    Examples
    --------
    >>> import warnings
    >>> from fastnn import LevenbergMarquardt, Network, ScaleWarning, train
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 5e4], optimizer=LevenbergMarquardt(), epochs=1)
    >>> [issubclass(warning.category, ScaleWarning) for warning in caught]
    [True]
    """


class FitWarning(UserWarning):
    """A network fits the rows that it was trained on, and no others, by heart; or it fits nothing, and is a constant.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from fastnn import BayesianRegularization, FitWarning, Network, train
    >>> X, Y = np.linspace(-1, 1, 12), np.random.RandomState(0).uniform(-1, 1, 12)
    >>> network, options = Network((1, 100, 1), "tanh"), {"optimizer": BayesianRegularization(), "epochs": 1000}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = train(network, X[:, None], Y, seed=1, **options)
    >>> [issubclass(warning.category, FitWarning) for warning in caught]
    [True]
    """


_NOT_THE_CALLER = {"fastnn", "sklearn", "joblib", "contextlib"}


def warn(message: Warning, module: str | None = None) -> None:
    """Warn at the line that called fastnn, or a library that did; `module`, if given, is the one that filters see."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_CALLER:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "") if module is None else module
    warnings.warn_explicit(message, type(message), frame.f_code.co_filename, frame.f_lineno, module, registry)
