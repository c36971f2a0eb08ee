"""The exceptions and warnings that are fastnn's own; what else it raises is plain ValueError, TypeError or OSError."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.training import TrainingResult


class FastnnError(Exception):
    """The base of fastnn's own exceptions."""


class _WithResult(BaseException):
    """What exceptions share that bring along the training which they ended: copies and pickles keep its result."""

    def __init__(self, message: str, result: TrainingResult) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), vars(self)


class DivergenceError(_WithResult, FastnnError, ArithmeticError):
    """A training step gave a loss or a parameter that is not finite.

    Attributes
    ----------
    result : TrainingResult
        What was trained up to the last good step. Its parameters are finite, but may be large already: rather than
        resume it, train anew with a smaller learning rate.
    """


class TrainingInterrupted(_WithResult, KeyboardInterrupt):
    """Ctrl-C ended a training with ``Stop(on_interrupt="raise")``.

    Attributes
    ----------
    result : TrainingResult
        What was trained so far; ``train(..., resume=error.result.state)`` goes on from there.
    """


class InterruptWarning(_WithResult, UserWarning):
    """Ctrl-C ended a training early, and `train` returned what there was.

    Attributes
    ----------
    result : TrainingResult
        The same result, for where this warning is turned into an error.
    """


class ModelFileError(FastnnError, ValueError):
    """A file is no model, or no trajectory, that this version of fastnn can read: foreign, damaged or too new."""


def warn(message: Warning) -> None:
    """Warn at the line outside fastnn that called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastnn":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
