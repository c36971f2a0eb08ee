"""The driver of many trainings: units of work on threads or an engine, Ctrl-C, callbacks, a
progress bar.
"""

import contextlib
import math
import queue
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.checking.arguments import check_flag, check_integer
from fastnn.cores import Helpers, available_cores, borrow
from fastnn.errors import warn
from fastnn.many.block import StopFlag, Unit, train_unit, units_of
from fastnn.many.engine import Engine
from fastnn.many.members import Member, check_members
from fastnn.many.results import ManyResult
from fastnn.training.callbacks import CsvLogger, ProgressBar, every, says_yes, sorted_callbacks
from fastnn.training.exceptions import (
    AGAIN,
    Interrupt,
    InterruptWarning,
    TrainingInterrupted,
    attach_result,
    interruptible,
)
from fastnn.training.results import Row, TrainingResult, WholeResults

POLL_SECONDS = 0.05
"""The longest wait of the calling thread for the next block before it checks for Ctrl-C."""


@dataclass(frozen=True, eq=False)
class ManyProgress:
    """The progress of `train_many`: the argument of its callbacks, after each block of members.

    A callback that returns True ends the trainings, as Ctrl-C would, with the stop reason
    "callback".

    Attributes
    ----------
    n_members : int
        The number of members.
    n_ended : int
        Members whose trainings have ended.
    seconds : float
        Wall time since the call.
    ended : list of int
        The members that ended since the last call.

    Examples
    --------
    Stop if a member is good enough:

    >>> from fastnn import Adam, Network, train_many
    >>> def good_enough(progress):
    ...     return any(progress.result(i).history.loss[-1] < 0.01 for i in progress.ended)
    >>> options = {"optimizer": Adam(0.1), "epochs": 500, "callbacks": [good_enough]}
    >>> many = train_many(
    ...     Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(9), n_jobs=1, **options
    ... )
    >>> bool(many[0].history.loss[-1] < 0.01)
    True
    """

    n_members: int
    n_ended: int
    seconds: float
    ended: list[int]
    _rows: dict[int, Row] = field(repr=False)

    def result(self, i: int) -> TrainingResult:
        """Return the result of a member that has ended.

        Parameters
        ----------
        i : int
            The member's number.

        Returns
        -------
        TrainingResult
            The result, as in the ManyResult.

        Raises
        ------
        ValueError
            For a member that has not ended.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> def look(progress):
        ...     for i in progress.ended:
        ...         print(i, progress.result(i).stop_reason)
        >>> options = {"seed": range(2), "epochs": 3, "n_jobs": 1, "callbacks": [look]}
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], **options)
        0 epochs
        1 epochs
        """
        row = self._rows.get(i)
        if row is None:
            raise ValueError(f"member {i} has not ended yet")
        return row.result()


Callback = Callable[[ManyProgress], Any]
Callbacks = Iterable[Callback]


class Driver:
    """The trainings of some members, on `n_jobs` threads, in one call of `train`."""

    def __init__(
        self, members: list[Member], n_jobs: int | None, callbacks: Sequence[Callback]
    ) -> None:
        self.engine = chosen_engine(n_jobs)
        self.n_threads = 1
        # one member is trained by this thread, whatever is asked for
        if self.engine is None and len(members) > 1:
            self.n_threads = min(n_jobs or available_cores().number, len(members))
        self.units = units_of(members, self.n_threads)
        self.callbacks = callbacks
        self.seeds = {member.number: member.known_seed for member in members}
        self.rows: dict[int, Row] = {}
        """The results of the members that have ended, by number."""
        self.began = time.perf_counter()

    def elsewhere(self, flag: StopFlag) -> list[Unit]:
        """Train units on an engine or on threads; return those that remain for this thread."""
        if self.engine is not None:
            self._on_engine(self.engine, flag)
        elif self.n_threads > 1:
            self._on_threads(flag)
        return [unit for unit in self.units if unit.members[0].number not in self.rows]

    def train(self, flag: StopFlag) -> ManyResult:
        """Train all members, or end early; an error in a training ends all of them, and gets the
        results so far.
        """
        try:
            for unit in self.elsewhere(flag):
                self.take(train_unit(unit, flag), flag)
            return self.result(flag)
        except Exception as error:
            self.failed(error, flag)
            raise

    def failed(self, error: Exception, flag: StopFlag) -> None:
        """Attach the results so far, as `result`, to an error that ends all trainings."""
        flag.end("interrupted")
        result = getattr(error, "result", None)
        if hasattr(error, "member") and isinstance(result, TrainingResult):  # see `train_alone`
            self.rows[error.member] = Row(WholeResults([result]), 0)
            del error.result  # type: ignore[attr-defined]
        attach_result(error, self.result(flag))

    def result(self, flag: StopFlag) -> ManyResult:
        """Return the results of all members; remaining members did not begin."""
        for unit in self.units:
            if any(member.number not in self.rows for member in unit.members):
                for number, row in train_unit(unit, flag).items():
                    self.rows.setdefault(number, row)
        there = [number for number in self.seeds if number in self.rows]
        return ManyResult._of(
            [self.rows[number] for number in there], [self.seeds[number] for number in there]
        )

    def _on_engine(self, engine: Engine, flag: StopFlag) -> None:
        """Send the units to the workers of the engine; train members with a generator of the caller
        here.
        """

        def is_sent(unit: Unit) -> bool:
            return not any(
                isinstance(member.start, np.random.RandomState) for member in unit.members
            )

        for rows in engine.train([*filter(is_sent, self.units)], flag):
            self.take(rows, flag)

    def _on_threads(self, flag: StopFlag) -> None:
        """Let threads take single members in turn; this one trains blocks, handles results,
        callbacks and Ctrl-C.

        One function, however long: its parts share queues and counts, which nothing else may touch.
        """
        waiting = queue.SimpleQueue[Unit]()
        ended = queue.SimpleQueue[None]()
        through = queue.SimpleQueue[dict[int, Row] | BaseException]()
        blocks = [unit for unit in self.units if len(unit.members) > 1]
        singles = [unit for unit in self.units if len(unit.members) == 1]
        # so that all threads end at about the same time
        for unit in sorted(singles, key=lambda unit: -unit.work):
            waiting.put(unit)
        left = len(singles)
        n_at_work = 0
        lent = list[Helpers]()

        def work() -> None:
            for unit in taken_from(waiting):
                try:
                    through.put(train_unit(unit, flag))
                except BaseException as error:
                    through.put(error)
            ended.put(None)

        def begin(most: int) -> None:
            """Let up to `most` threads begin: the system may start no more."""
            nonlocal n_at_work
            lent.append(borrow(min(most, waiting.qsize())))
            for helper in lent[-1]:
                helper.put(work)
                n_at_work += 1

        def receive(seconds: float) -> int:
            """Take the results of a single member, if some come in time; return their number."""
            try:
                trained = through.get(timeout=seconds)
            except queue.Empty:
                return 0
            if isinstance(trained, BaseException):
                raise trained
            self.take(trained, flag)
            return 1

        try:
            begin(self.n_threads - bool(blocks))
            for unit in blocks:
                self.take(train_unit(unit, flag, self.n_threads - n_at_work + ended.qsize()), flag)
                while received := receive(0):
                    left -= received
            begin(self.n_threads - n_at_work)
            while left and n_at_work:
                left -= receive(POLL_SECONDS)
        except BaseException:
            flag.end("interrupted")
            # whoever is at work ends at its next chunk; nobody begins another unit
            list(taken_from(waiting))
            raise
        finally:
            try:
                for _ in range(n_at_work):
                    ended.get()
            finally:
                lent.clear()
            for trained in taken_from(through):  # after an error: what the others were at
                if isinstance(trained, dict):
                    self.rows.update(trained)

    def take(self, rows: dict[int, Row], flag: StopFlag) -> None:
        """Store the results of a unit, and call the callbacks."""
        self.rows.update(rows)
        if not self.callbacks or flag.requested:
            return
        seconds = time.perf_counter() - self.began
        progress = ManyProgress(len(self.seeds), len(self.rows), seconds, sorted(rows), self.rows)
        if says_yes([callback(progress) for callback in self.callbacks]):
            flag.end("callback")


def taken_from(waiting: queue.SimpleQueue[Any]) -> Iterator[Any]:
    """Take what waits in a queue, one after another, until nothing does."""
    with contextlib.suppress(queue.Empty):
        while True:
            yield waiting.get_nowait()


def chosen_engine(n_jobs: int | None) -> Engine | None:
    """Return the engine that the user has chosen; None for threads of this process."""
    joblib = sys.modules.get("joblib")  # who has chosen one has imported it
    if joblib is None:
        return None
    backend, configured = joblib.parallel.get_active_backend(prefer="threads")
    if getattr(backend, "supports_sharedmem", False):
        return None
    return Engine(joblib, backend, configured if n_jobs is None else n_jobs)


class MembersBar(ProgressBar):
    """A bar with the number of finished members and the remaining time: a callback that only
    observes.
    """

    counted = "member"

    def __call__(self, progress: ManyProgress) -> None:  # type: ignore[override]
        """Update the bar."""
        n = progress.n_ended
        m = progress.n_members
        self._drawing.move(n, m, f"{n:,}/{m:,}", "")


class Caller:
    """The settings of the driver's calls: number of threads, callbacks, and whether to show a
    progress bar.
    """

    def __init__(self, n_jobs: int | None, callbacks: Callbacks, progress: bool) -> None:
        is_all = n_jobs is None or (isinstance(n_jobs, (int, np.integer)) and n_jobs == -1)
        self.n_jobs = None if is_all else check_integer("n_jobs", n_jobs, low=1)
        self.callbacks: Any = list(callbacks) if isinstance(callbacks, Iterable) else callbacks
        if self.callbacks != []:
            sorted_callbacks(self.callbacks)
        if any(isinstance(callback, (every, CsvLogger)) for callback in self.callbacks):
            raise TypeError(
                "every(k, ...) and CsvLogger see a training's epochs; these callbacks are called "
                "after each block of "
                "members, and history.to_dict() of the result has the rows of a log"
            )
        self.progress = check_flag("progress", progress)

    deadline = math.inf
    """The `time.monotonic` at which all trainings end."""
    _is_training = False
    was_ended = False
    """Whether Ctrl-C or a callback ended the last call, even if all members were through."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_is_training": False}  # a callback may copy what is trained

    def check_idle(self) -> None:
        """Raise RuntimeError while members train: a callback may read them, but not change them."""
        if self._is_training:
            fault = (
                "the population is being advanced: a callback, or another thread, may not "
                "advance it"
            )
            raise RuntimeError(f"{fault}, nor drop or replace members, before that is through")

    def train(self, members: list[Member]) -> tuple[ManyResult, bool]:
        """Train members, or end early after Ctrl-C or a callback; an error in a training ends all
        of them.

        Returns
        -------
        ManyResult
            The results.
        bool
            Whether Ctrl-C ended the trainings.
        """
        interrupt = Interrupt(swallows=not _raises(members))
        bars = [MembersBar()] if self.progress else []
        flag = StopFlag(interrupt, self.deadline)
        self._is_training = True
        try:
            with bars[0] if bars else contextlib.nullcontext():
                driver = Driver(members, self.n_jobs, [*self.callbacks, *bars])
                result = interruptible(interrupt, lambda: driver.train(flag))
        finally:
            self._is_training = False
        self.was_ended = flag.requested
        return result, interrupt.requested


def checked(
    n_jobs: int | None = None, callbacks: Callbacks = (), progress: bool = False, **arguments: Any
) -> tuple[Caller, list[Member]]:
    """Check the arguments of `train_many`; return what trains, and the members.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `check_members` does.
    """
    return Caller(n_jobs, callbacks, progress), check_members(**arguments)


def tell_interrupted(
    members: Sequence[Member], trained: ManyResult, result: ManyResult, kept: str
) -> None:
    """Warn that Ctrl-C ended a call, or raise if a member's stop rules say so, with this `result`.

    `kept` names the place of the trainings for the text, such as "what train_many returns".
    """
    ended = sum(reason != "interrupted" for reason in trained.stop_reason)
    how_far = f"training was interrupted when {ended} of {len(members)} members were through"
    if _raises(members):
        raise TrainingInterrupted(
            f"{how_far}; `.result` of this error is what was trained up to there", result
        )
    again = f"Ctrl-C again within {AGAIN:g} seconds raises KeyboardInterrupt"
    warn(InterruptWarning(f"{how_far}, which is {kept}; {again}", result))


def _raises(members: Sequence[Member]) -> bool:
    return any(member.options.stop.on_interrupt == "raise" for member in members)
