"""Engines: trainings on the workers of joblib, Dask or Ray, and the arguments and results of
tasks.
"""

from __future__ import annotations

import contextlib
import pickle
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import class_of, cut, shortened, shown
from fastnn.errors import EngineError
from fastnn.many.block import StopFlag, Unit, train_unit
from fastnn.many.members import Member
from fastnn.memory import Array, read_only
from fastnn.sparse import SparseRows
from fastnn.state import Data
from fastnn.training.exceptions import Flag
from fastnn.training.options import TrainOptions
from fastnn.training.results import Results, Row, by_store


class PackedUnits(NamedTuple):
    """The units of a task, with numbers of arrays instead of arrays."""

    units: list[Unit]
    version: str = __version__
    """The caller's version of fastnn, for workers that came after the check."""


def pickled(thing: Any) -> bytes:
    """Return the pickle of an object whose class or function may be defined in the caller's
    script.
    """
    import joblib

    return pickle.dumps(joblib.wrap_non_picklable_objects(thing, keep_wrapper=False))


class SentError(NamedTuple):
    """An error on its way back to the caller: some cannot be pickled or unpickled."""

    pickled: bytes
    """b"" for an error that cannot be pickled, because it holds a lock, a file or a connection."""
    instead: RuntimeError
    """A RuntimeError with its text, for a class that cannot be unpickled."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return an error in this form, in a worker."""
        try:
            said = str(error)
        except Exception:
            said = "its text cannot be had"
        instead = RuntimeError(f"{class_of(error)}: {shortened(said, MOST_SAID)}")
        if hasattr(error, "member"):  # see `train_alone`
            instead.member = error.member  # type: ignore[attr-defined]
            instead.add_note(f"fastnn: this was member {error.member}")
        instead.add_note(
            "raised in a worker:\n\n" + "".join(traceback.format_tb(error.__traceback__))
        )
        try:
            return cls(pickled(error), instead)
        except Exception:
            return cls(b"", instead)

    def error(self) -> Exception:
        """Return the error, in the caller."""
        try:
            error = pickle.loads(self.pickled)
            return error if isinstance(error, Exception) else self.instead
        except Exception:
            return self.instead


MOST_SAID = 700
"""Characters of the text of an error that cannot be unpickled; its traceback is a note."""


class Trained(NamedTuple):
    """The results of a task, on their way back to the caller."""

    seconds: float
    groups: list[tuple[Results, list[int], list[int]]] = []  # noqa: RUF012
    """Results of members that lie in common arrays, with the numbers of the members and their
    places there: no object for each member."""
    error: SentError | None = None

    @classmethod
    def of(cls, rows: dict[int, Row], seconds: float) -> Self:
        """Return the results {member: its result} in this form, in a worker."""
        groups = [
            (results, numbers, [rows[number].place for number in numbers])
            for results, numbers in by_store(rows)
        ]
        return cls(seconds, groups)

    def rows(self) -> dict[int, Row]:
        """Return {member: its result}, in the caller."""
        return {
            number: Row(results, place)
            for results, numbers, places in self.groups
            for number, place in zip(numbers, places, strict=True)
        }


def version(parts: list[Any]) -> str:
    """Return the worker's version of fastnn; objects of the caller come along to check that they
    can be sent.
    """
    return __version__


def packed(units: Sequence[Unit]) -> tuple[PackedUnits, list[Array]]:
    """Pack the units of a task; return them, and the arrays that they refer to, each once.

    One function, however long: its parts write one list of arrays.
    """
    arrays: list[Array] = []
    places: dict[int, int] = {}

    def place(array: Array | None) -> int | None:
        if array is None:
            return None
        if id(array) not in places:
            places[id(array)] = len(arrays)
            arrays.append(array)
        return places[id(array)]

    def places_of(X: SparseRows) -> tuple[Any, ...]:
        if X.starts[0] or X.starts[-1] != X.values.size:  # a slice, whose arrays are those of all
            X = X[np.arange(len(X))]
        return place(X.values), place(X.indices), place(X.starts), X.shape[1]

    starts = _own_rows([member for unit in units for member in unit.members])
    packed_options: dict[int, TrainOptions] = {}

    def without_arrays(member: Member) -> Member:
        options = member.options
        if id(options) not in packed_options:
            X, Y, weight = options.data
            rows_of_X = places_of(X) if isinstance(X, SparseRows) else place(X)
            data: Any = rows_of_X, place(Y), place(weight)
            rows: Any = {
                "rows": place(options.rows),
                "validation_rows": place(options.validation_rows),
            }
            packed_options[id(options)] = options._replace(data=data, **rows)
        return Member(
            member.number, packed_options[id(options)], starts.get(member.number, member.start)
        )

    sent = [
        unit._replace(members=[without_arrays(member) for member in unit.members]) for unit in units
    ]
    return PackedUnits(sent), arrays


def _own_rows(members: Sequence[Member]) -> dict[int, Row]:
    """Copy out the rows of results that members resume, so that a task sends no others; return
    {member: its row}.
    """
    resumed = {member.number: member.start for member in members if isinstance(member.start, Row)}
    rows: dict[int, Row] = {}
    for results, numbers in by_store(resumed):
        copies = results.rows([resumed[number].place for number in numbers]).without_histories()
        rows |= {number: Row(copies, place) for place, number in enumerate(numbers)}
    return rows


def unpacked(packed_units: PackedUnits, arrays: Sequence[Array]) -> list[Unit]:
    """Return the units with their arrays: the inverse of `packed`."""
    # They come as memory maps, or as they lay in a message: at any address. Nobody may write them.
    whole = [read_only(np.require(np.asarray(array), None, ["C", "A"])) for array in arrays]
    data_of: dict[Any, Data] = {}

    def sparse_of(values: int, indices: int, starts: int, n_columns: int) -> SparseRows:
        return SparseRows(whole[values], whole[indices][:-1], whole[starts], n_columns)

    options_of: dict[int, TrainOptions] = {}

    def with_arrays(member: Member) -> Member:
        options = member.options
        if id(options) not in options_of:
            data = data_of.get(options.data)
            if data is None:
                X, *others = options.data
                rows_of_X = sparse_of(*X) if isinstance(X, tuple) else whole[X]
                data = data_of[options.data] = Data(rows_of_X, *(whole[k] for k in others))
            train_on, validate_on = (
                None if k is None else whole[k] for k in (options.rows, options.validation_rows)
            )
            options_of[id(options)] = options._replace(
                data=data, rows=train_on, validation_rows=validate_on
            )
        return member._replace(options=options_of[id(options)])

    return [
        unit._replace(members=[with_arrays(member) for member in unit.members])
        for unit in packed_units.units
    ]


def train_packed(
    numbers: list[int], packed_units: PackedUnits, *arrays: Array
) -> tuple[list[int], Trained]:
    """Train the units of a task in a worker; return an error of a member, because a raised one
    would be retried.
    """
    began = time.perf_counter()
    rows = dict[int, Row]()
    try:
        if packed_units.version != __version__:
            raise EngineError(
                OTHER_VERSIONS.format("a worker of the engine", __version__, packed_units.version)
            )
        for unit in unpacked(packed_units, arrays):
            rows |= train_unit(unit, Flag())
    except Exception as error:
        return numbers, Trained(0.0, error=SentError.of(error))
    return numbers, Trained.of(rows, time.perf_counter() - began)


OTHER_VERSIONS = (
    "{} has fastnn {}, the caller has {}: results would differ; install the same version everywhere"
)


TASK_SECONDS = 0.5
"""The longest seconds of a task: long compared with the milliseconds to send it."""

LAST_SECONDS = 0.05
"""Seconds that the last tasks should take: at the end, idle workers wait as long for the last
one."""

SECONDS_A_WORK = 1 / 1.6e9
"""Seconds for a unit of work, see `Unit`, before any measurement."""

ATTEMPTS = 5
"""Attempts for each task: it is sent again after a lost worker, for example."""

PAUSE_SECONDS = 0.5
"""Seconds before the second attempt, doubled each time: an engine may be starting a new worker."""

_NO_MORE = object()


class _OfMember(Exception):
    """An error in the training of a member, the only argument, returned by a worker: no failure of
    the engine.
    """


class Engine:
    """The workers that the user has chosen with ``joblib.parallel_config``.

    Parameters
    ----------
    joblib : module
    backend : joblib.parallel.ParallelBackendBase
    n_jobs : int, optional
        The number of workers; None for all of them.
    """

    def __init__(self, joblib: Any, backend: Any, n_jobs: int | None) -> None:
        self._joblib = joblib
        self._backend = backend
        kinds = {kind: name for name, kind in joblib.parallel.BACKENDS.items()}
        self.name: str = kinds.get(type(backend), type(backend).__name__)
        try:
            self.n_workers: int = backend.effective_n_jobs(-1 if n_jobs is None else n_jobs)
        except Exception as error:  # such as Dask's, after a wait, when no worker has come
            raise EngineError(
                f"the engine {self.name} has no workers: {class_of(error)}: {cut(error)}"
            ) from error
        self.seconds_a_work = SECONDS_A_WORK

    def train(self, units: Sequence[Unit], flag: StopFlag) -> Iterator[dict[int, Row]]:
        """Train units on the workers; iterate over the results {member: result} of each task, as
        they come.

        Raises
        ------
        EngineError
            If workers have another version of fastnn, for members that cannot be sent (both before
            any training), and if the engine fails several times.
        """
        if not units:
            return
        chosen = [unit.members[0].options for unit in units]
        kinds = [(one.network, one.backend, one.optimizer, one.stop.monitor) for one in chosen]
        parts = list({id(part): part for kind in kinds for part in kind}.values())
        left = dict(enumerate(units))
        failure = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                # In one Parallel, so that an engine such as Ray starts its workers once.
                with self._parallel() as parallel:
                    if not attempt:
                        self._check(parallel, parts)
                    yield from self._trained(parallel, left, flag)
            except EngineError:
                raise
            except _OfMember as error:  # no other attempt would do better
                raise error.args[0] from None
            except Exception as error:
                failure = error
            if not left or flag.requested:
                return
        n_left = sum(len(unit.members) for unit in left.values())
        fault = (
            f"the engine {self.name} failed {ATTEMPTS} times, {n_left} members are left: "
            f"{class_of(failure)}"
        )
        raise EngineError(f"{fault}: {cut(failure)}") from failure

    def _check(self, parallel: Any, parts: list[Any]) -> None:
        """Raise EngineError unless workers have this version of fastnn, and objects of the caller
        can be sent.
        """
        self._check_pickles(parts)  # first, for Dask waits for ever where it fails to
        try:
            versions = set(
                parallel(self._joblib.delayed(version)(parts) for _ in range(2 * self.n_workers))
            )
        except Exception as error:
            fault = (
                f"the workers of {self.name} cannot train: is fastnn installed there? "
                f"{class_of(error)}"
            )
            raise EngineError(f"{fault}: {cut(error)}") from error
        if others := versions - {__version__}:
            who = f"one of the workers of {self.name}"
            theirs = ", ".join(sorted(others))
            raise EngineError(OTHER_VERSIONS.format(who, theirs, __version__))

    def _check_pickles(self, parts: list[Any]) -> None:
        """Raise EngineError if an object cannot be pickled or unpickled; it names the first one."""
        with contextlib.suppress(Exception):
            pickle.loads(pickled(parts))  # all at once, for there may be thousands
            return
        for thing in parts:
            step = "pickled (it must hold no lock, file or connection)"
            try:
                sent = pickled(thing)
                step = "unpickled"
                pickle.loads(sent)
            except Exception as error:
                fault = (
                    f"the workers of {self.name} cannot train: {shown(thing)} cannot be "
                    f"{step}: {class_of(error)}"
                )
                raise EngineError(f"{fault}: {cut(error)}") from error

    def _parallel(self) -> Any:
        as_they_come = "generator_unordered" if self._backend.supports_return_generator else "list"
        return self._joblib.Parallel(
            n_jobs=self.n_workers, prefer="threads", batch_size=1, return_as=as_they_come
        )

    def _trained(
        self, parallel: Any, left: dict[int, Unit], flag: StopFlag
    ) -> Iterator[dict[int, Row]]:
        """Train all remaining units; iterate over the results of each task."""
        for numbers, trained in self._answers(parallel, self._tasks(dict(left), flag), flag):
            if trained.error is not None:
                raise _OfMember(trained.error.error())
            amount = sum(left[number].work for number in numbers)
            self.seconds_a_work = trained.seconds / max(amount, 1)
            rows = trained.rows()
            for number in numbers:
                del left[number]
            yield rows

    def _answers(self, parallel: Any, tasks: Iterator[Any], flag: StopFlag) -> Iterator[Any]:
        """Send tasks; iterate over their results as they come, until the flag is raised, which also
        ends a wait.
        """
        answers: Iterator[Any] | None = None
        try:
            while True:
                flag.wait(True)
                if flag.requested:
                    return
                answers = iter(parallel(tasks)) if answers is None else answers
                answer = next(answers, _NO_MORE)
                flag.wait(False)
                if answer is _NO_MORE:
                    return
                yield answer
        except BaseException:
            # else it is Ctrl-C, which the workers may have got too
            if flag.again or not flag.requested:
                raise
        finally:
            flag.wait(False)
            close = getattr(answers, "close", None)  # ends the workers' tasks; a list has none
            if close is not None:
                with contextlib.suppress(Exception), warnings.catch_warnings():
                    # joblib's, that they did not come to their ends
                    warnings.simplefilter("ignore")
                    close()

    def _tasks(self, units: dict[int, Unit], flag: StopFlag) -> Iterator[Any]:
        """Iterate over tasks on request of the engine.

        A task takes `TASK_SECONDS`, and towards the end half a worker's share of the remaining
        work, so that all workers end at about the same time.
        """
        works = {number: unit.work for number, unit in units.items()}
        left = sum(works.values())
        numbers: list[int] = []
        amount = 0
        for number, unit_work in works.items():
            most = min(
                TASK_SECONDS, max(LAST_SECONDS, left / (2 * self.n_workers) * self.seconds_a_work)
            )
            if numbers and (amount + unit_work) * self.seconds_a_work > most:
                yield self._task(numbers, units)
                left -= amount
                numbers = []
                amount = 0
            if flag.requested:
                return
            numbers.append(number)
            amount += unit_work
        yield self._task(numbers, units)

    def _task(self, numbers: list[int], units: dict[int, Unit]) -> Any:
        packed_units, arrays = packed([units[number] for number in numbers])
        return self._joblib.delayed(train_packed)(numbers, packed_units, *arrays)
