"""The history of a training: the losses, scores and learning rates of its epochs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastnn.checking import display
from fastnn.memory import Array


def scored_by(monitor: str, *, validated: bool) -> str:
    """Return the name of a score, in words: of which rows, and by which monitor."""
    if monitor == "loss":
        return "validation loss" if validated else "training loss"
    return f"{monitor} on {'validation data' if validated else 'the rows trained on'}"


@dataclass(frozen=True, eq=False, repr=False)
class History(display.Shown):
    """The losses, scores and learning rates of the epochs of one call of `train`; resuming begins a
    new history.

    Attributes
    ----------
    loss : ndarray (n_epochs,)
        The training loss of each epoch.
    validation_loss : ndarray (n_epochs,) or (0,)
        The loss of the validation data after each epoch; empty without any.
    seconds : float
        Wall time of the call.
    learning_rate : ndarray (n_epochs,) or (0,)
        The learning rate of the last step of each epoch; empty in files of version 0.1.
    measured : ndarray (n_epochs,) or (0,)
        The scores after each epoch, unless they are one of the losses above.
    monitor : str
        The name of the score: "loss", "accuracy", "r2", the name of a scorer of scikit-learn, or of
        a function.
    score : ndarray (n_epochs,)
        The scores that decide the best epoch.
    best_epoch : int
        The number, from 1, of the epoch with the best score.

    Examples
    --------
    >>> from fastnn import Network, Stop, train
    >>> X = [[0.0], [0.5], [1.0], [1.5]]
    >>> network, stop = Network((1, 1)), Stop(validation=0.25)
    >>> history = train(network, X, X, params=[0.0, 0.0], epochs=3, seed=0, stop=stop).history
    >>> history.loss.shape, history.validation_loss.shape, history.scored_by
    ((3,), (3,), 'validation loss')
    >>> history.best_epoch
    3
    """

    loss: NDArray[np.float64]
    """Training losses (n_epochs,), taken before the updates: the mean of an epoch's steps' losses
    weighted by rows (the sum of them for ``reduction="sum"``), penalty included."""
    validation_loss: NDArray[np.float64]
    """Losses (n_epochs,) of the validation data after each epoch, without penalty; (0,) when there
    were none."""
    seconds: float
    """Wall time of the call."""
    learning_rate: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    measured: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    monitor: str = "loss"

    def _chart(self) -> str:
        """Return a picture of the losses, in which the best epoch of the validation loss is
        marked.
        """
        blue, orange = display.COLORS
        drawn = (self.loss, "loss", blue), (self.validation_loss, "validation loss", orange)
        best = self.best_epoch if self.score is self.validation_loss else 0
        mark = (best, self.validation_loss[best - 1], f"best, epoch {best}") if best else None
        return display.chart([display.Curve(*curve) for curve in drawn if len(curve[0])], mark)

    def _facts(self) -> dict[str, object]:
        """Return the facts that `repr` shows: the last losses, and the best score with its epoch,
        from 1.
        """
        facts: dict[str, object] = {"epochs": len(self.loss)}
        if len(self.loss):
            facts["loss"] = f"{self.loss[-1]:.4g}"
        if len(self.validation_loss):
            facts["validation"] = f"{self.validation_loss[-1]:.4g}"
        if len(self.score) and self.score is not self.loss:
            name = self.monitor
            if name == "loss":
                name = "validation" if len(self.validation_loss) else "score"
            best = self.best_epoch
            said = f" (best {self.score[best - 1]:.4g} in epoch {best})" if best else ""
            facts[name] = f"{self.score[-1]:.4g}{said}"
        return {**facts, "seconds": f"{self.seconds:.3g}"}

    @property
    def score(self) -> NDArray[np.float64]:
        """The scores (n_epochs,) that decide the best epoch: those of the monitor after each epoch.

        For the monitor "loss" they are the validation losses. Without validation data they are the
        losses of all rows after each epoch with ``Stop(restore_best=True)``, else the training
        losses.
        """
        return next(
            (scores for scores in (self.measured, self.validation_loss) if len(scores)), self.loss
        )

    @property
    def scored_by(self) -> str:
        """The name of the scores: "training loss", "validation loss", or the monitor's name and on
        which rows.
        """
        return scored_by(self.monitor, validated=bool(len(self.validation_loss)))

    @property
    def best_epoch(self) -> int:
        """The number, from 1, of the first epoch with the best score: the lowest for "loss", else
        the greatest.

        It is 0 if no epoch ended with a finite score. ``Stop(restore_best=True)`` restores the
        parameters after this epoch; in a resumed training, those after an epoch before this call,
        unless this one is better.
        """
        scores = self.score if self.monitor == "loss" else -self.score
        is_known = np.isfinite(scores)
        if not is_known.any():
            return 0
        return int(np.argmin(np.where(is_known, scores, np.inf))) + 1

    def to_dict(self) -> dict[str, Array]:
        """Return columns with one row for each epoch, for ``pandas.DataFrame(history.to_dict())``.

        Returns
        -------
        dict of str to ndarray (n_epochs,)
            "epoch", from 1, "loss", "validation_loss" and "learning_rate", NaN if there are none,
            and "score".

        Examples
        --------
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> list(result.history.to_dict())
        ['epoch', 'loss', 'validation_loss', 'learning_rate', 'score']
        """
        n = len(self.loss)
        columns = {
            name: getattr(self, name)
            for name in ("loss", "validation_loss", "learning_rate", "score")
        }
        filled = {
            name: values.copy() if len(values) else np.full(n, np.nan)
            for name, values in columns.items()
        }
        return {"epoch": np.arange(1, n + 1), **filled}
