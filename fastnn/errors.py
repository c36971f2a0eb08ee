"""fastnn's exceptions and warnings, the line that a warning names, and frames that are hidden."""

import opcode
import sys
import warnings
from types import FrameType


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
    """The workers of joblib, Dask or Ray cannot train, or the engine failed several times.

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
    """Inputs or targets are so large or small that little is learned from them.

    `LevenbergMarquardt` and `BayesianRegularization` look at them first. Other optimizers train:
    `train` warns at the end of ten epochs or more if a squared error is no better than that of
    always predicting the mean of Y, whose numbers are large.

    Examples
    --------
    >>> import warnings
    >>> from fastnn import LevenbergMarquardt, Network, ScaleWarning, train
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     X, Y, optimizer = [[0.0], [1.0]], [0.0, 5e4], LevenbergMarquardt()
    ...     result = train(Network((1, 1)), X, Y, optimizer=optimizer, epochs=1)
    >>> [issubclass(warning.category, ScaleWarning) for warning in caught]
    [True]
    """


class FitWarning(UserWarning):
    """A network fits only the rows that it was trained on, or it fits nothing, and is a constant.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from fastnn import BayesianRegularization, FitWarning, Network, train
    >>> X, Y = np.linspace(-1, 1, 12), np.random.RandomState(0).uniform(-1, 1, 12)
    >>> network = Network((1, 100, 1), "tanh")
    >>> options = {"optimizer": BayesianRegularization(), "epochs": 1000}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = train(network, X[:, None], Y, seed=1, **options)
    >>> [issubclass(warning.category, FitWarning) for warning in caught]
    [True]
    """


_NOT_THE_CALLER = {"fastnn", "sklearn", "joblib", "contextlib"}


def _is_callers(frame: FrameType) -> bool:
    """Return whether a frame is of neither fastnn nor a library that calls it."""
    return frame.f_globals.get("__name__", "").partition(".")[0] not in _NOT_THE_CALLER


def warn(message: Warning, module: str | None = None) -> None:
    """Warn at the line that called fastnn, or a library that did.

    `module`, if given, is the one that filters see.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and not _is_callers(frame):
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "") if module is None else module
    file = frame.f_code.co_filename
    warnings.warn_explicit(message, type(message), file, frame.f_lineno, module, registry)


def hide_frames(error: Exception) -> None:
    """Hide the frames between the caller and the line that raised an error, where IPython shows it.

    They stay in the traceback, and IPython says how many it skips. Only an error of a `raise` of
    fastnn or scikit-learn hides any: of a bug all frames are shown, and of an error in the caller's
    callback.
    """
    last = error.__traceback__
    if last is None or not isinstance(error, (ValueError, TypeError, FastnnError)):
        return
    between = []
    while last.tb_next is not None:
        between.append(last.tb_frame)
        last = last.tb_next
    is_raised = last.tb_frame.f_code.co_code[last.tb_lasti] == opcode.opmap["RAISE_VARARGS"]
    if "IPython" in sys.modules and is_raised and not _is_callers(last.tb_frame):
        for frame in between:
            if not _is_callers(frame):
                frame.f_locals["__tracebackhide__"] = True
