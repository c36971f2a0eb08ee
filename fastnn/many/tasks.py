"""The tasks of an engine: what goes to a worker, what it does there, and what comes back.

A task is a call of `train_packed` with packed units, which are small, and with the arrays that its members use, as
`fastnn.many.shared_files` or the engine sends them. A worker trains unit by unit, in one thread.
"""

from __future__ import annotations

import itertools
import pickle
import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import class_of, shortened
from fastnn.errors import EngineError
from fastnn.many.member_results import MemberResult
from fastnn.many.members import Member
from fastnn.many.shared_files import Laid, lay_down, received, take_up
from fastnn.many.stack import ARRAYS, Stack, Stacked
from fastnn.many.units import Unit, train_unit
from fastnn.memory import Array
from fastnn.state import Data

T = TypeVar("T")


class PackedUnits(NamedTuple):
    """The units of a task, whose members have numbers of arrays in the place of arrays."""

    units: list[Unit]
    folder: str | None = None
    """The folder in which arrays may be laid for the caller, see `fastnn.many.shared_files`."""
    version: str = __version__
    """The caller's version of fastnn: a worker that came late has not been asked for its own."""


def pickled(thing: Any) -> bytes:
    """Return the pickle of a thing whose class, or the function that it is, may be of the caller's own script."""
    import joblib

    return pickle.dumps(joblib.wrap_non_picklable_objects(thing, keep_wrapper=False))


class SentError(NamedTuple):
    """An error in the form that goes back to the caller: not every one can be pickled, or made again of its pickle."""

    pickled: bytes
    """b"" for one that cannot be pickled: it holds a lock, a file, a connection."""
    instead: RuntimeError
    """An error with its text, for one whose class takes other arguments than it hands on."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return this form of an error, in a worker."""
        try:
            said = str(error)
        except Exception:
            said = "its text cannot be had"
        instead = RuntimeError(f"{class_of(error)}: {shortened(said, MOST_SAID)}")
        if hasattr(error, "member"):  # see `train_alone`
            instead.member = error.member  # type: ignore[attr-defined]
            instead.add_note(f"fastnn: this was member {error.member}")
        instead.add_note("raised in a worker:\n\n" + "".join(traceback.format_tb(error.__traceback__)))
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
"""Characters of the text of an error that cannot be made again; its traceback is a note."""


class Trained(NamedTuple):
    """The results of a task, in the form that goes back to the caller."""

    seconds: float
    alone: dict[int, MemberResult] = {}  # noqa: RUF012
    """{member: its result}, of those that were trained alone."""
    blocks: list[tuple[Array, Array, Stack]] = []  # noqa: RUF012
    """The members' numbers, their places in a stack, and that stack without its arrays."""
    laid: Laid | None = None
    """The arrays of all stacks, one after the other."""
    error: SentError | None = None

    def member_results(self) -> dict[int, MemberResult]:
        """Return {member: its result}: in the caller, and once only."""
        member_results = dict(self.alone)
        arrays = iter(take_up(self.laid) if self.laid is not None else [])
        for numbers, places, stack in self.blocks:
            own: Any = dict(zip(ARRAYS, arrays, strict=False))
            whole = replace(stack, **own)
            member_results |= zip(
                numbers.tolist(), map(Stacked, itertools.repeat(whole), places.tolist()), strict=False
            )
        return member_results


def version(own: list[Any]) -> str:
    """Return a worker's version of fastnn; objects of the caller's own are sent along, to see that they can be."""
    return __version__


def packed(units: Sequence[Unit]) -> tuple[PackedUnits, list[Array]]:
    """Return the packed units of a task, and the arrays that they refer to, each once."""
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

    def without_arrays(member: Member) -> Member:
        data: Any = tuple(map(place, member.data))
        rows: Any = tuple(map(place, member.rows))
        return member._replace(data=data, rows=rows, state=own.get(member.number, member.state))

    sent = [unit._replace(members=[without_arrays(member) for member in unit.members]) for unit in units]
    return PackedUnits(sent), arrays


def _own_rows(members: Sequence[Member]) -> dict[int, Stacked]:
    """Return {member: its row of a stack} of those that go on from one, in stacks of these members' rows alone."""
    found: dict[int, list[tuple[int, Stacked]]] = {}
    for member in members:
        if isinstance(member.state, Stacked):
            found.setdefault(id(member.state.stack), []).append((member.number, member.state))
    rows: dict[int, Stacked] = {}
    for users in found.values():
        stack = users[0][1].stack.states([state.place for _, state in users])
        rows |= {number: Stacked(stack, place) for place, (number, _) in enumerate(users)}
    return rows


def unpacked(packed_units: PackedUnits, arrays: Sequence[Array]) -> list[Unit]:
    """Return the units with their arrays: the inverse of `packed`."""
    # They come as memory maps, or as they lay in a message: at any address. Nobody may write them.
    own = [np.require(np.asarray(array), None, ["C", "A"]).view() for array in arrays]
    for array in own:
        array.flags.writeable = False
    known: dict[Hashable, Any] = {}

    def with_arrays(member: Member) -> Member:
        for numbers in (member.data, member.rows):
            if numbers not in known:
                known[numbers] = tuple(None if k is None else own[k] for k in numbers)
        data = known.setdefault(("data", member.data), Data(*known[member.data]))
        return member._replace(data=data, rows=known[member.rows])

    return [unit._replace(members=[with_arrays(member) for member in unit.members]) for unit in packed_units.units]


class Never:
    """The flag of a worker, or of a caller: nobody raises it; the engine ends the process, or Ctrl-C the call."""

    requested = again = False
    reason: Any = "interrupted"

    def wait(self, begins: bool) -> None:
        """Do nothing: Ctrl-C raises KeyboardInterrupt anyway."""


def train_packed(numbers: list[int], packed_units: PackedUnits, *sent: Any) -> tuple[list[int], Trained]:
    """Train the units of a task in a worker; return an error of a member's own, for one that is raised is retried."""
    began = time.perf_counter()
    arrays = [received(array) for array in sent]
    member_results: dict[int, MemberResult] = {}
    try:
        check_version(packed_units.version)
        for unit in unpacked(packed_units, arrays):
            member_results |= train_unit(unit, Never())
    except Exception as error:
        return numbers, Trained(0.0, error=SentError.of(error))
    return numbers, _trained(member_results, packed_units.folder, time.perf_counter() - began)


def called(number: int, version: str, function: Callable[..., T], *sent: Any) -> tuple[int, T | None, SentError | None]:
    """Return a function's result in a worker, or an error of its own, for one that is raised is retried."""
    arguments = [received(argument) for argument in sent]
    try:
        check_version(version)
        return number, function(*arguments), None
    except Exception as error:
        return number, None, SentError.of(error)


def check_version(callers: str) -> None:
    """Raise EngineError in a worker that has another version of fastnn than the caller."""
    if callers != __version__:
        raise EngineError(OTHER_VERSIONS.format("a worker of the engine", __version__, callers))


OTHER_VERSIONS = (
    "{} has fastnn {}, the calling process has {}: results would not be comparable; install the same version everywhere"
)


def _trained(member_results: dict[int, MemberResult], folder: str | None, seconds: float) -> Trained:
    """Return results in the form that goes back: no object for each member of a block, and arrays laid down at once."""
    stacks: dict[int, tuple[Stack, list[int], list[int]]] = {}
    alone: dict[int, MemberResult] = {}
    for number, member_result in member_results.items():
        if isinstance(member_result, Stacked):
            _, numbers, places = stacks.setdefault(id(member_result.stack), (member_result.stack, [], []))
            numbers.append(number)
            places.append(member_result.place)
        else:
            alone[number] = member_result
    arrays = [getattr(stack, name) for stack, _, _ in stacks.values() for name in ARRAYS]
    nothing: Any = dict.fromkeys(ARRAYS)
    blocks = [
        (np.array(numbers), np.array(places), replace(stack, **nothing)) for stack, numbers, places in stacks.values()
    ]
    return Trained(seconds, alone, blocks, lay_down(arrays, folder))
