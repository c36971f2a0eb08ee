"""The exceptions that are fastnn's own; everything else that it raises is a plain ValueError, TypeError or OSError."""

from __future__ import annotations

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


class ModelFileError(FastnnError, ValueError):
    """A file is no model, or no trajectory, that this version of fastnn can read: foreign, damaged or too new."""
