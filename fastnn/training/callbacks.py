"""Callbacks: functions of a Progress that watch a training, `every` k epochs; progress bars, lines
and logs.
"""

from __future__ import annotations

import datetime
import itertools
import math
import os
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from fastnn.checking.arguments import COUNT, CheckedFields, check_integer, cut, misfit, shown
from fastnn.checking.hints import explains_keywords, missing_package
from fastnn.training.results import TrainingResult

if TYPE_CHECKING:
    from rich.console import Console


class InTerminal:
    """A bar in the terminal, drawn by rich.

    Raises
    ------
    ImportError
        If rich is not installed.
    """

    def __init__(self, counted: str, console: Console | None) -> None:
        try:
            from rich import console as rich_console
            from rich import progress
        except ImportError as error:
            raise missing_package("rich", "the progress bar needs") from error
        self._bar = progress.Progress(
            progress.TextColumn(f"{counted} {{task.fields[n_done]}}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[losses]}"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console or rich_console.Console(stderr=True),
        )
        self._task = self._bar.add_task("train", total=None, n_done="0", losses="")
        self.begin, self.end = self._bar.start, self._bar.stop

    def move(self, done: float, total: int, n_done: str, losses: str) -> None:
        """Show the progress."""
        self._bar.update(self._task, completed=done, total=total, n_done=n_done, losses=losses)


class InNotebook:
    """A bar in the output of a notebook cell: HTML that is shown once and then updated.

    It needs no widgets, unlike the bar of rich.
    """

    PAUSE = 0.1
    """Seconds between two updates, because each goes to the browser."""

    def __init__(self, counted: str, display: Any) -> None:
        self._counted = counted
        self._display = display
        self._handle: Any = None
        self._shown = -math.inf
        self._last: tuple[float, int, str, str] = 0.0, 1, "0", ""

    def begin(self) -> None:
        """Show the bar."""
        self._began = time.monotonic()
        self._handle = self._display(self._html(), raw=True, display_id=True)

    def move(self, done: float, total: int, n_done: str, losses: str) -> None:
        """Show the bar, if the last update was at least `PAUSE` seconds ago."""
        self._last = done, total, n_done, losses
        if time.monotonic() - self._shown > self.PAUSE:
            self._update()

    def end(self) -> None:
        """Show the final bar."""
        self._update()

    def _update(self) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(), raw=True)

    def _html(self) -> dict[str, str]:
        done, total, n_done, losses = self._last
        passed = time.monotonic() - self._began
        left = f", {_clock(passed * (total - done) / done)} left" if 0 < done < total else ""
        said = f"{self._counted} {n_done}  {losses}  {_clock(passed)}{left}"
        bar = (
            f'<progress value="{done:.6g}" max="{total or 1}" '
            f'style="width:16em;vertical-align:middle"></progress>'
        )
        return {
            "text/plain": said,
            "text/html": f'<div style="font-family:monospace">{bar} {said}</div>',
        }


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def notebook_display() -> Any:
    """Return IPython's function `display` in the kernel of a notebook, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


class ProgressBar:
    """A bar with the epoch, the loss and the time left; ``train(..., progress=True)`` shows one.

    A per-chunk callback: it is called about 20 times per second, whatever the length of an epoch,
    and only observes.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw. Default: below the cell in a notebook, else on stderr, so that you can pipe
        the output of a program.

    Raises
    ------
    ImportError
        If rich, which draws the bar in the terminal, is not installed.

    Examples
    --------
    >>> from fastnn import Network, train
    >>> with ProgressBar() as bar:
    ...     result = train(
    ...         Network((1, 1)), [[1.0]], [[2.0]], epochs=3, backend="numpy", callbacks=[bar]
    ...     )
    >>> result.n_epochs
    3
    """

    per_chunk = True
    counted = "epoch"

    def __init__(self, console: Console | None = None) -> None:
        display = notebook_display() if console is None else None
        self._drawing = (
            InNotebook(self.counted, display) if display else InTerminal(self.counted, console)
        )

    def __enter__(self) -> ProgressBar:
        self._drawing.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._drawing.end()

    def __call__(self, progress: Progress) -> None:
        """Update the bar."""
        n_done = f"{progress.epoch:,}/{progress.n_epochs:,}"
        self._drawing.move(
            progress.epoch + progress.part, progress.n_epochs, n_done, losses_of(progress)
        )


def losses_of(progress: Progress) -> str:
    """Return the losses of the last epoch as text, and its score if it is none of them."""
    shown = {"loss": progress.loss, "validation": progress.validation_loss}
    if progress.score not in shown.values():
        shown["score"] = progress.score
    return "  ".join(
        f"{name} {value:.6g}" for name, value in shown.items() if not math.isnan(value)
    )


def line_of(progress: Progress) -> None:
    """Print a line with the last epoch, its losses and learning rate, and the seconds so far."""
    done = f"epoch {progress.epoch:,}/{progress.n_epochs:,}  {losses_of(progress)}"
    print((f"{done}  rate {progress.learning_rate:.4g}  {progress.seconds:.3g} s"), flush=True)  # noqa: T201


def lines(verbose: Any, n_epochs: int) -> list[Callback]:
    """Return the callback that prints a line each `verbose` epochs, for True about twenty lines;
    none for False.
    """
    if verbose is True:
        return [Lines(n_epochs)]
    k = 0 if verbose is False else check_integer("verbose", verbose, low=0)
    return [every(k, line_of)] if k else []


class Lines:
    """A callback that prints a line after 1, 2, 5, 10, 20, 50, ... epochs, and at last twenty times
    in `n_epochs`.
    """

    def __init__(self, n_epochs: int) -> None:
        self._steps = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
        self._n_epochs = n_epochs
        self.k = next(self._steps)
        """The next line comes when a multiple of so many epochs has ended."""

    def __call__(self, progress: Progress) -> None:
        """Print a line if it is time to."""
        if progress.epoch_in_all % self.k == 0:
            line_of(progress)
        while self.k <= progress.epoch_in_all and 20 * self.k < self._n_epochs:
            self.k = next(self._steps)


@dataclass(frozen=True, eq=False)
class Progress:
    """The progress of a training: the argument of its callbacks.

    A callback is a function of one argument. It is called after each epoch, and training stops if
    it returns True. A callback with an attribute ``per_chunk = True`` is called after each chunk of
    steps instead, about 20 times a second. It only observes (its return value is ignored), and
    unlike the first kind it costs no speed.

    Attributes
    ----------
    epoch : int
        Epochs that ended in this call of `train`.
    n_epochs : int
        Requested epochs.
    part : float
        The fraction of the next epoch that is done, at least 0 and less than 1.
    step : int
        Steps of all runs, skipped batches included: `state.t`.
    loss : float
        The training loss of the last epoch; NaN before the first has ended.
    validation_loss : float
        The loss of the validation data after the last epoch; NaN without any.
    seconds : float
        Wall time since `train` was called.
    epoch_in_all : int
        Epochs that ended in all runs.
    score : float
        The score of the last epoch, see `History.score`; NaN before the first has ended.
    learning_rate : float
        The learning rate of the last step; NaN before the first.

    Examples
    --------
    >>> from fastnn import Network, train
    >>> def look(progress):
    ...     print(f"epoch {progress.epoch} of {progress.n_epochs}, step {progress.step}")
    ...     return progress.epoch == 2  # True stops the training
    >>> result = train(
    ...     Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=9, batch_size=1, callbacks=[look]
    ... )
    epoch 1 of 9, step 2
    epoch 2 of 9, step 4
    >>> result.stop_reason
    'callback'
    """

    epoch: int
    n_epochs: int
    part: float
    step: int
    loss: float
    validation_loss: float
    seconds: float
    epoch_in_all: int
    score: float
    learning_rate: float
    _result: Callable[[int], TrainingResult] = field(repr=False)
    _epochs_after: Callable[[int], list[tuple[float, ...]]] = field(repr=False)

    def result(self) -> TrainingResult:
        """Copy the present state of the training, to inspect, save (a checkpoint) or resume it.

        Returns
        -------
        TrainingResult
            With the stop reason "running", or that of the stop rule that has just ended the
            training.

        Raises
        ------
        RuntimeError
            After the callback has returned, and for a copy of this object: copies and pickles have
            the numbers only.

        Examples
        --------
        >>> from fastnn import Network, every, train
        >>> save = every(2, lambda progress: progress.result().save(f"epoch-{progress.epoch}.npz"))
        >>> result = train(
        ...     Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=4, seed=0, callbacks=[save]
        ... )
        >>> import fastnn
        >>> fastnn.load("epoch-2.npz").n_epochs
        2
        """
        return self._result(self.step)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_result": _not_here, "_epochs_after": _not_here}


def _not_here(step: int) -> NoReturn:
    raise RuntimeError(
        "this Progress is a copy, which has no training: call result() of the one the callback got"
    )


Callback = Callable[[Progress], object]
"""A function of one argument, a `Progress`."""


@dataclass(frozen=True)
class every(CheckedFields):
    """A callback that calls another one after each `k` epochs, and stops the training if that
    returns True.

    Epochs count from the beginning of the training, resumed or not: after ``train`` for 7 epochs,
    ``every(5, ...)`` is called in the third epoch of the resumed training. The epochs in between
    are as fast as without a callback.

    Parameters
    ----------
    k : int
        At least 1.
    callback : callable
        A function of the `Progress`.

    Raises
    ------
    TypeError, ValueError
        If `k` is not an integer of at least 1, or `callback` is not a function of one argument.

    Examples
    --------
    >>> from fastnn import Network, every, train
    >>> seen = []
    >>> look = every(2, lambda progress: seen.append(progress.epoch))
    >>> result = train(
    ...     Network((1, 1)), [[1.0]], [[2.0]], epochs=5, backend="numpy", callbacks=[look]
    ... )
    >>> seen
    [2, 4]
    """

    k: int = field(metadata=COUNT)
    callback: Callback = field(metadata={"check": lambda name, value: check_callback(value)})

    def __call__(self, progress: Progress) -> object:
        """Call the callback if a multiple of `k` epochs have ended."""
        return self.callback(progress) if progress.epoch_in_all % self.k == 0 else None


@explains_keywords
class CsvLogger:
    """A log of the epochs in a CSV file: the rows of `History.to_dict`, with epochs counted over
    all runs.

    A per-chunk callback: it writes about 20 times per second, whole rows only. That costs a
    training little, unless its epochs take microseconds. A new training replaces the log; a resumed
    one replaces the rows after the epoch that it goes on from, such as after a crash.

    Parameters
    ----------
    path : str or path
        The file; it is made at once, if there is none.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If there is a file that is no such log, which would be lost.

    Examples
    --------
    >>> import pathlib
    >>> from fastnn import CsvLogger, Network, train
    >>> X, y, log = [[0.0], [1.0]], [0.0, 1.0], CsvLogger("log.csv")
    >>> result = train(Network((1, 1)), X, y, epochs=2, seed=0, callbacks=[log])
    >>> result = result.resume(X, y, epochs=1, callbacks=[log])
    >>> [line.split(",")[0] for line in pathlib.Path("log.csv").read_text().splitlines()]
    ['epoch', '1', '2', '3']
    """

    per_chunk = True
    HEADER = b"epoch,loss,validation_loss,learning_rate,score\n"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._training: Callable[[], Any] = _no_training
        # what is wrong here is known before anything is trained
        with open(self.path, "a+b") as file:
            file.seek(0)
            if not self.HEADER.startswith(file.readline(len(self.HEADER))):
                raise ValueError(
                    f"{cut(self.path)} is there, but no log of a training: give another path"
                )

    def __repr__(self) -> str:
        return f"CsvLogger({self.path!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_training": _no_training}  # a copy watches no training

    def __call__(self, progress: Progress) -> None:
        """Write the rows of the epochs that have ended since the last call."""
        before = progress.epoch_in_all - progress.epoch
        if self._training() != progress._result:
            self._training = weakref.WeakMethod(cast(Any, progress._result))
            self._n = 0
            self._begin(before)
        if progress.epoch > self._n:
            rows = enumerate(progress._epochs_after(self._n), before + self._n + 1)
            self._append("".join(f"{epoch},{','.join(map(repr, row))}\n" for epoch, row in rows))
            self._n = progress.epoch

    def _begin(self, before: int) -> None:
        """Keep the rows of so many epochs, and add the header if it is missing."""
        with open(self.path, "a+b") as file:
            file.seek(0)
            lines = [line for line in file if line.endswith(b"\n")] if before else []
            # no match: others write here too
            numbers = [re.match(rb"(\d{1,18}),", line) for line in lines[1:]]
            n = next(
                (k for k, number in enumerate(numbers) if not number or int(number[1]) > before),
                len(numbers),
            )
            rows = lines[1 : 1 + n]
            file.truncate(sum(map(len, [*lines[:1], *rows])))
        if not lines:
            self._append(self.HEADER.decode())

    def _append(self, text: str) -> None:
        """Add whole lines to the file; where not all of them find room, none."""
        rest = text.encode()
        with open(self.path, "ab", buffering=0) as file:
            end = file.tell()
            try:
                while rest:  # a disk that is nearly full takes a part of it without an error
                    rest = rest[file.write(rest) :]
            except BaseException:
                file.truncate(end)
                raise


def _no_training() -> None:
    """Take the place of the training of a log that has not been used."""


def epochs_of(callbacks: Iterable[Callback]) -> set[int]:
    """Return the periods in epochs of some callbacks; {1} if one of them is called after each
    epoch.
    """
    periods = {c.k if isinstance(c, (every, Lines)) else 1 for c in callbacks}
    return {1} if 1 in periods else periods


def sorted_callbacks(callbacks: Any) -> tuple[list[Callback], list[Callback]]:
    """Sort callbacks into observers of chunks, and those that may stop after an epoch."""
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions; put this one into a list")
    observers: list[Callback] = []
    controllers: list[Callback] = []
    if type(callbacks) is tuple and not callbacks:  # none, in half a microsecond less
        return observers, controllers
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of functions, not {shown(callbacks)}")
    for callback in callbacks:
        check_callback(callback)
        (observers if getattr(callback, "per_chunk", False) else controllers).append(callback)
    return observers, controllers


def says_yes(answers: Iterable[object]) -> bool:
    """Return whether one of the answers of callbacks is True, Python's or NumPy's."""
    return True in [answer for answer in answers if isinstance(answer, (bool, np.bool_))]


def check_callback(callback: Any) -> Callback:
    """Return a callback if it can be called with one argument, the progress."""
    if not callable(callback):
        raise TypeError(
            f"callbacks must be functions of the progress; {shown(callback)} cannot be called"
        )
    if error := misfit(callback, "progress"):
        raise TypeError(
            f"callbacks must be functions of one argument, the progress; {shown(callback)}: "
            f"{cut(error)}"
        )
    return callback
