"""Engines: trainings on the workers of joblib, Dask or Ray, and the arguments and results of
tasks.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import pickle
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import class_of, cut, shortened, shown
from fastnn.errors import EngineError
from fastnn.many.block import Unit, train_unit
from fastnn.many.members import Member
from fastnn.memory import ALIGNMENT, Array, ceil_div, read_only
from fastnn.state import Data
from fastnn.training.exceptions import Flag, StopRequest
from fastnn.training.options import TrainOptions
from fastnn.training.results import ARRAYS, Results, Row, by_store


class PackedUnits(NamedTuple):
    """The units of a task, with numbers of arrays instead of arrays."""

    units: list[Unit]
    folder: str | None = None
    """The folder for arrays to the caller, see `lay_down`."""
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
    stores: list[tuple[Array, Array, Results]] = []  # noqa: RUF012
    """The numbers of members, their places in the results of a group, and these results without
    arrays."""
    laid: Laid | None = None
    """The arrays of all these results, concatenated."""
    error: SentError | None = None

    def rows(self) -> dict[int, Row]:
        """Return {member: its result}, in the caller; call it only once."""
        rows: dict[int, Row] = {}
        arrays = iter(take_up(self.laid) if self.laid is not None else [])
        for numbers, places, results in self.stores:
            own: Any = dict(zip(ARRAYS, arrays, strict=False))
            whole = replace(results, **own)
            rows |= zip(
                numbers.tolist(), map(Row, itertools.repeat(whole), places.tolist()), strict=False
            )
        return rows


def version(own: list[Any]) -> str:
    """Return the worker's version of fastnn; objects of the caller come along to check that they
    can be sent.
    """
    return __version__


def packed(units: Sequence[Unit]) -> tuple[PackedUnits, list[Array]]:
    """Pack the units of a task; return them, and the arrays that they refer to, each once."""
    arrays: list[Array] = []
    places: dict[int, int] = {}

    def place(array: Array | None) -> int | None:
        if array is None:
            return None
        if id(array) not in places:
            places[id(array)] = len(arrays)
            arrays.append(array)
        return places[id(array)]

    own = _own_rows([member for unit in units for member in unit.members])
    known: dict[int, TrainOptions] = {}

    def without_arrays(member: Member) -> Member:
        options = member.options
        if id(options) not in known:
            data: Any = tuple(map(place, options.data))
            rows: Any = {
                "rows": place(options.rows),
                "validation_rows": place(options.validation_rows),
            }
            known[id(options)] = replace(options, data=data, **rows)
        return Member(member.number, known[id(options)], own.get(member.number, member.start))

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
        own = results.rows([resumed[number].place for number in numbers]).without_histories()
        rows |= {number: Row(own, place) for place, number in enumerate(numbers)}
    return rows


def unpacked(packed_units: PackedUnits, arrays: Sequence[Array]) -> list[Unit]:
    """Return the units with their arrays: the inverse of `packed`."""
    # They come as memory maps, or as they lay in a message: at any address. Nobody may write them.
    own = [read_only(np.require(np.asarray(array), None, ["C", "A"])) for array in arrays]
    known: dict[Hashable, Data] = {}
    options_of: dict[int, TrainOptions] = {}

    def with_arrays(member: Member) -> Member:
        options = member.options
        if id(options) not in options_of:
            data = known.setdefault(options.data, Data(*(own[k] for k in options.data)))
            train_on, validate_on = (
                None if k is None else own[k] for k in (options.rows, options.validation_rows)
            )
            options_of[id(options)] = replace(
                options, data=data, rows=train_on, validation_rows=validate_on
            )
        return member._replace(options=options_of[id(options)])

    return [
        unit._replace(members=[with_arrays(member) for member in unit.members])
        for unit in packed_units.units
    ]


def train_packed(
    numbers: list[int], packed_units: PackedUnits, *sent: Any
) -> tuple[list[int], Trained]:
    """Train the units of a task in a worker; return an error of a member, because a raised one
    would be retried.
    """
    began = time.perf_counter()
    arrays = [received(array) for array in sent]
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
    return numbers, _trained(rows, packed_units.folder, time.perf_counter() - began)


OTHER_VERSIONS = (
    "{} has fastnn {}, the caller has {}: results would differ; install the same version everywhere"
)


def _trained(rows: dict[int, Row], folder: str | None, seconds: float) -> Trained:
    """Return results for the way back: no object for each member of a group, and arrays written at
    once.
    """
    groups = by_store(rows)
    arrays = [getattr(results, name) for results, _ in groups for name in ARRAYS]
    nothing: Any = dict.fromkeys(ARRAYS)
    places = [np.array([rows[number].place for number in numbers]) for _, numbers in groups]
    each = zip(groups, places, strict=True)
    stores = [
        (np.array(numbers), place, replace(results, **nothing))
        for (results, numbers), place in each
    ]
    return Trained(seconds, stores, lay_down(arrays, folder))


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


class Waiting(StopRequest, Protocol):
    """The flag of a caller that waits for workers."""

    @property
    def again(self) -> bool:
        """Whether Ctrl-C raised it twice; KeyboardInterrupt is then not caught."""

    def wait(self, begins: bool) -> None:
        """Begin or end a wait, during which Ctrl-C raises KeyboardInterrupt and the flag."""


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
        self._folder: str | None = None
        self._files: dict[int, Laid] = {}

    def train(self, units: Sequence[Unit], flag: Waiting) -> Iterator[dict[int, Row]]:
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
        kinds = [(own.network, own.backend, own.optimizer, own.stop.monitor) for own in chosen]
        own = list({id(part): part for kind in kinds for part in kind}.values())
        shared = in_both(
            *(
                (*p.data, p.rows, p.validation_rows)
                for p in (chosen[0], units[-1].members[-1].options)
            )
        )
        left = dict(enumerate(units))
        failure = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                # In one Parallel, so that an engine such as Ray starts its workers once.
                with folder_for_workers() as self._folder, self._parallel() as parallel:
                    if not attempt:
                        self._check(parallel, own)
                        self._files = self._laid_down(parallel, shared)
                    yield from self._trained(parallel, left, flag)
            except EngineError:
                raise
            except _OfMember as error:  # no other attempt would do better
                raise error.args[0] from None
            except Exception as error:
                failure = error
            if not left or flag.requested:
                return
            self._files = {}  # workers that come later may be on another machine
        n_left = sum(len(unit.members) for unit in left.values())
        fault = (
            f"the engine {self.name} failed {ATTEMPTS} times, {n_left} members are left: "
            f"{class_of(failure)}"
        )
        raise EngineError(f"{fault}: {cut(failure)}") from failure

    def _check(self, parallel: Any, own: list[Any]) -> None:
        """Raise EngineError unless workers have this version of fastnn, and objects of the caller
        can be sent.
        """
        self._check_pickles(own)  # first, for Dask waits for ever where it fails to
        try:
            versions = set(
                parallel(self._joblib.delayed(version)(own) for _ in range(2 * self.n_workers))
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

    def _laid_down(self, parallel: Any, shared: list[Any]) -> dict[int, Laid]:
        """Return {id of a shared array: its file}; empty unless all workers reach the folder."""
        arrays = worth_a_file(shared)
        if self._folder is None or not arrays:
            return {}
        tasks = (self._joblib.delayed(reaches)(self._folder) for _ in range(2 * self.n_workers))
        return files_of(arrays, self._folder) if all(list(parallel(tasks))) else {}

    def _check_pickles(self, own: list[Any]) -> None:
        """Raise EngineError if an object cannot be pickled or unpickled; it names the first one."""
        with contextlib.suppress(Exception):
            pickle.loads(pickled(own))  # all at once, for there may be thousands
            return
        for thing in own:
            what = "pickled (it must hold no lock, file or connection)"
            try:
                sent = pickled(thing)
                what = "unpickled"
                pickle.loads(sent)
            except Exception as error:
                fault = (
                    f"the workers of {self.name} cannot train: {shown(thing)} cannot be "
                    f"{what}: {class_of(error)}"
                )
                raise EngineError(f"{fault}: {cut(error)}") from error

    def _parallel(self) -> Any:
        as_they_come = "generator_unordered" if self._backend.supports_return_generator else "list"
        return self._joblib.Parallel(
            n_jobs=self.n_workers, prefer="threads", batch_size=1, return_as=as_they_come
        )

    def _trained(
        self, parallel: Any, left: dict[int, Unit], flag: Waiting
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

    def _answers(self, parallel: Any, tasks: Iterator[Any], flag: Waiting) -> Iterator[Any]:
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

    def _tasks(self, units: dict[int, Unit], flag: Waiting) -> Iterator[Any]:
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
        # files in place of arrays that have one
        sent = [self._files.get(id(array), array) for array in arrays]
        return self._joblib.delayed(train_packed)(
            numbers, packed_units._replace(folder=self._folder), *sent
        )


# ------------------------------------------------------------------------ arrays in files in memory

MEMORY = Path("/dev/shm")
"""The file system in memory of Linux, in which every user may create files."""

PREFIX = "fastnn-many-"

LEAST_BYTES = 1 << 18
"""Below this size, a message is as fast as a file."""

LEAST_SHARED_BYTES = 1 << 14
"""The same for an array that goes with each task."""


Place = tuple[int, tuple[int, ...], np.dtype]
"""The offset of an array in a file, its shape and dtype."""


class Laid(NamedTuple):
    """Arrays on their way to another process: in a file in memory on one machine, else in the
    message.

    A message between processes is copied five times, and the system's pipe takes 64 kB at a time:
    the caller spends 50 us on 26 kB, the history of 3,000 epochs. A file in memory is written once
    and mapped, so data are in memory once, for any number of workers and tasks, and any engine.
    """

    path: str | None
    """The file; None if the arrays are in the message."""
    arrays: list[Array]
    places: list[Place]
    """The places of the arrays in the file."""


@contextlib.contextmanager
def folder_for_workers() -> Iterator[str | None]:
    """Create a folder in memory for the workers of this machine, during a ``with``; None if that is
    not possible.

    The folder is locked, so that the next call can remove the folders of killed processes of this
    user.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                _sweep()
                made = tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY)
                stack.callback(shutil.rmtree, made, ignore_errors=True)
                stack.callback(os.close, _locked(made))
                folder = made
        yield folder


def _locked(folder: str | Path) -> int:
    """Lock a folder of this user, and return its descriptor; OSError if another process has it, or
    it is not one.
    """
    import fcntl  # not on Windows

    # Any user may put anything there under our names: no link is followed, no pipe is waited for.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    """Remove the folders of this user that no process has locked."""
    for folder in MEMORY.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            os.close(_locked(folder))
            shutil.rmtree(folder)


def reaches(folder: str) -> bool:
    """Return whether this process, a worker, can read the caller's folder, so that it is on the
    same machine.
    """
    return os.access(folder, os.R_OK | os.X_OK)


def lay_down(arrays: Sequence[Array], folder: str | None, least: int | None = None) -> Laid:
    """Write arrays, not a few bytes, to a file in the caller's folder; keep them, without a file,
    if that fails.
    """
    kept = Laid(None, list(arrays), [])
    path = None
    places = list[Place]()
    end = 0
    if folder is None or sum(array.nbytes for array in arrays) < (
        LEAST_BYTES if least is None else least
    ):
        return kept
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            path = file.name
            for array in arrays:
                begin = ceil_div(end, ALIGNMENT) * ALIGNMENT
                file.write(b"\0" * (begin - end))
                file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
                places.append((begin, array.shape, array.dtype))
                end = begin + array.nbytes
    except OSError:  # another machine, another user, or the memory is full
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return kept
    return Laid(path, [], places)


def take_up(laid: Laid) -> list[Array]:
    """Return the arrays that a worker wrote, in the caller: map the file, and remove its name."""
    if laid.path is None:
        return laid.arrays
    arrays = _mapped(laid.path, laid.places, mmap.ACCESS_COPY)  # the caller's own to write
    os.unlink(laid.path)
    return arrays


def in_both(some: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return the objects that the first and the last member share, as candidates for all
    members.
    """
    numbers = {id(thing) for thing in others}
    return [thing for thing in some if id(thing) in numbers]


def worth_a_file(things: Iterable[Any]) -> list[Array]:
    """Return the arrays that are worth a file among objects of many tasks: not small, and not in a
    file already.
    """
    arrays = [
        thing for thing in things if isinstance(thing, np.ndarray) and thing.dtype.kind in "fiub"
    ]
    return [
        array for array in arrays if array.nbytes >= LEAST_SHARED_BYTES and not _is_mapped(array)
    ]


def files_of(arrays: Iterable[Array], folder: str) -> dict[int, Laid]:
    """Write a lasting file for each array; return {id of the array: its file} for those that fit
    into memory.
    """
    return {
        id(array): laid
        for array in arrays
        if (laid := lay_down([array], folder, 0)).path is not None
    }


def received(thing: Any) -> Any:
    """Return the array of a file, read-only, in a worker; return any other object unchanged."""
    if not isinstance(thing, Laid) or thing.path is None:
        return thing
    (array,) = _mapped(thing.path, thing.places, mmap.ACCESS_READ)
    return array


def _mapped(path: str, places: Sequence[Place], access: int) -> list[Array]:
    """Map a file, and return its arrays."""
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=access)
    return [np.ndarray(shape, dtype, mapped, begin) for begin, shape, dtype in places]


def _is_mapped(array: Any) -> bool:
    """Return whether an array is a memory map, or a part of one."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None
