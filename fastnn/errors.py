"""The exceptions and warnings that are fastnn's own; what else it raises is plain ValueError, TypeError or OSError."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.training import TrainingResult


class FastnnError(Exception):
    """The base of fastnn's own exceptions."""


class _WithResult(BaseException):
    """The base of exceptions that carry the result of the training which they ended; copies and pickles keep it."""

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


def warn(message: Warning, packages: Collection[str] = ("fastnn",), module: str | None = None) -> None:
    """Warn at the line outside these packages that called them; filters see it as of `module`, if that is given."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in packages:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "") if module is None else module
    warnings.warn_explicit(message, type(message), frame.f_code.co_filename, frame.f_lineno, module, registry)
