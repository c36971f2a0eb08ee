"""The stop rules: their options, the reasons, and the rule that counts epochs without improvement."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import check_choice, check_flag, check_integer, check_number, shown
from fastnn.checking.keywords import explains_keywords

StopReason = Literal["epochs", "tolerance", "validation", "callback", "time", "interrupted", "diverged", "running"]
"""Why a training ended; "running" in a result that a callback took before the end."""

STOP_REASONS: tuple[StopReason, ...] = get_args(StopReason)


@explains_keywords
@dataclass(frozen=True)
class Stop:
    """Rules that say when training stops, and which parameters it returns.

    Parameters
    ----------
    tol : float, optional
        An epoch improves when its loss is lower than the lowest one so far by more than `tol`; NaN and infinity never
        improve. The loss is that of the validation data, if there are any (stop reason "validation"), else the training
        loss, `History.loss` ("tolerance"). 0 where only `patience` is given. Where neither is, training does not stop
        for want of improvement.
    patience : int, optional
        Training stops when so many epochs in a row did not improve; 0 acts as 1. 10 where only `tol` is given.
    validation : float or tuple, optional
        Data that are not trained on; their loss, without the penalty of `alpha`, is taken after every epoch. A number
        between 0 and 1: this part of the rows, rounded up, drawn from the seed's generator after the weights; they
        are copied. A tuple ``(X, Y)`` or ``(X, Y, sample_weight)``: these.
    restore_best : bool
        Whether the result's parameters are those after the epoch with the lowest validation loss; without validation
        data those with the lowest training loss, which is then taken over all rows, penalty included, once more
        after each epoch. The result's *state* always is the last one, so that a resumed training goes on where it was.
    max_seconds : float, optional
        Wall time in seconds after which training stops, in the middle of an epoch where need be, to about 0.05 s.
        Counted from the call of `train`: compilation is included.
    on_divergence : {"raise", "stop"}
        What to do when a step gives a loss or a parameter that is not finite: raise `DivergenceError` or return.
        Either way the result ends with the last good step.
    on_interrupt : {"return", "raise"}
        What to do on Ctrl-C: return what was trained so far, with an `InterruptWarning`, or raise
        `TrainingInterrupted`, a KeyboardInterrupt that has it as its `result`.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong type or outside its range.
    """

    tol: float | None = None
    patience: int | None = None
    validation: float | tuple[Any, ...] | None = None
    restore_best: bool = False
    max_seconds: float | None = None
    on_divergence: Literal["raise", "stop"] = "raise"
    on_interrupt: Literal["return", "raise"] = "return"

    def __post_init__(self) -> None:
        if self.tol is not None:
            check_number("tol", self.tol, low=0)
        if self.patience is not None:
            check_integer("patience", self.patience, low=0)
        if isinstance(self.validation, (tuple, list)):
            if len(self.validation) not in (2, 3):
                raise ValueError(
                    f"validation must be (X, Y) or (X, Y, sample_weight), not {len(self.validation)} things"
                )
        elif self.validation is not None:
            hint = "between 0 and 1, (X, Y) or (X, Y, sample_weight)"
            check_number("validation", self.validation, low=0, high=1, low_open=True, high_open=True, hint=hint)
        check_flag("restore_best", self.restore_best)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, low=0, low_open=True)
        check_choice("on_divergence", self.on_divergence, ("raise", "stop"))
        check_choice("on_interrupt", self.on_interrupt, ("return", "raise"))

    def __repr__(self) -> str:
        """Show the rules that were given, and arrays by their shapes."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        given = {f.name: shown(values[f.name]) for f in dataclasses.fields(self) if values[f.name] is not f.default}
        if isinstance(self.validation, (tuple, list)):
            given["validation"] = f"({', '.join(map(shown, self.validation))})"
        return f"Stop({', '.join(f'{name}={value}' for name, value in given.items())})"

    @property
    def has_weights(self) -> bool:
        """Whether the validation data have weights."""
        given = self.validation[2:] if isinstance(self.validation, (tuple, list)) else ()
        return any(weight is not None for weight in given)

    def rule(self) -> Patience | None:
        """Return a new rule for `tol` and `patience`; None where neither is given."""
        if self.tol is None and self.patience is None:
            return None
        return Patience(self.tol or 0.0, 10 if self.patience is None else max(self.patience, 1))


class Patience:
    """A counter of the epochs in a row that fail to improve the lowest loss so far.

    Parameters
    ----------
    tol : float
        By how much a loss must be lower.
    limit : int
        The rule fires when so many epochs in a row failed.
    strict : bool
        True, for `train`: a loss fails unless it is finite and lower by more than `tol`. False, scikit-learn's rule: it
        fails if it is greater than the lowest one minus `tol`; so lower by just `tol` is enough, and NaN never fails.
    """

    def __init__(self, tol: float, limit: float, *, strict: bool = True) -> None:
        self.tol = tol
        self.limit = limit
        self.strict = strict
        self.best = math.inf
        self.stale = 0
        """Epochs since the last improvement."""

    def count(self, losses: NDArray[np.float64]) -> int | None:
        """Take in the losses (n,) of epochs, up to the one where the rule fires.

        Returns
        -------
        int or None
            How many epochs it took until the rule fired; None if it did not.
        """
        if len(losses) < 2:
            return 1 if len(losses) and self.fires(float(losses[0])) else None
        if self.strict:
            losses = np.where(np.isfinite(losses), losses, math.inf)
        best_before = np.fmin.accumulate(np.concatenate([[self.best], losses[:-1]]))
        target = best_before - self.tol
        failed = losses >= target if self.strict else losses > target
        epoch = np.arange(len(losses))
        last_improved = np.maximum.accumulate(np.where(failed, -1 - self.stale, epoch))
        stale = epoch - last_improved
        fired = stale >= self.limit
        last = int(fired.argmax()) if fired.any() else len(losses) - 1
        self.best = float(np.fmin(best_before[last], losses[last]))
        self.stale = int(stale[last])
        return last + 1 if fired[last] else None

    def fires(self, loss: float) -> bool:
        """Take in the loss of one epoch, as `count` does, and return whether the rule fires."""
        if self.strict and not math.isfinite(loss):
            loss = math.inf
        target = self.best - self.tol
        failed = loss >= target if self.strict else loss > target
        self.stale = self.stale + 1 if failed else 0
        if loss < self.best:
            self.best = loss
        return self.stale >= self.limit
