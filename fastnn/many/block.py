"""Units of work: sessions of several short trainings, blocks, and of single ones.

A block is a session of several members, which threads share. All random draws are done before the
first step, and the decisions at the ends of epochs within the call. Members that need Python in
between have sessions of their own, with the same bits.
"""

import contextlib
import functools
import math
import time
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from numpy.random import RandomState

from fastnn.cores import share
from fastnn.many.members import Member
from fastnn.many.results import Unbegun
from fastnn.memory import ceil_div
from fastnn.sparse import SparseRows, is_sparse
from fastnn.training import Watch, run
from fastnn.training.exceptions import Flag, Interrupt, MonitorError, StopRequest
from fastnn.training.initial import Start
from fastnn.training.options import TrainOptions
from fastnn.training.results import Row, arrays_of
from fastnn.training.session import Session
from fastnn.training.state import TrainingState
from fastnn.training.steps import may_draw_ahead
from fastnn.training.stopping import StopReason

MOST_WORK = 1 << 24
"""The work of a block for each thread, and of the longest training in one: about 10 ms."""

STEP_WORK = 300
"""The work of a step besides its rows times parameters."""

LANES_GAIN = 3
"""How many times less a step takes of members side by side."""

MEMBER_WORK = 20_000
"""The work of a member besides its steps, about 10 us, mostly to seed the generator and to draw."""

LEAST_WORK = 600_000
"""The least work of steps for which it is worth to wake another thread: about 0.3 ms."""


def epoch_work(options: TrainOptions) -> int:
    """Return roughly the number of operations of an epoch."""
    rows = options.rows_a_step
    n_params = max(options.network.n_params, 16)
    if options.optimizer.n_matrices:  # the products of all pairs of parameters
        rows = (rows + n_params) * ceil_div(n_params, 8)
    n_scored = options.n_validated or (options.n_rows if options.stop.restore_best else 0)
    return (
        ceil_div(options.n_rows, rows) * (rows * n_params + STEP_WORK)
        + n_scored * n_params
        + STEP_WORK
    )


def block_key(options: TrainOptions, begins_plainly: bool) -> Hashable | None:
    """Return the key of a member, equal for members that one block can train; None if no block can.

    The duration does not matter here.
    """
    optimizer = options.optimizer
    stop = options.stop
    rate = optimizer.learning_rate
    if (
        not options.backend.trains_groups
        or not begins_plainly
        or not _ends_plainly(options)
        or not may_draw_ahead(rate)
        or ((options.has_batches or options.n_split) and not options.data.sample_weight.all())
    ):
        return None
    of_optimizer = type(optimizer), optimizer.n_slots, optimizer.sequential, optimizer.has_options
    kind = of_optimizer, options.batch_size, options.shuffle, options.feature_names
    validated: Hashable = None
    if stop.has_rules or options.validation_rows is not None:
        is_given = options.validation_rows is not None or stop.validation is not None
        validated = is_given, options.n_split, options.n_validated, stop.restore_best, stop.monitor
    data = stop.validation
    has_sparse = isinstance(data, (tuple, list)) and is_sparse(data[0])
    of_rows = type(options.data.X), has_sparse, options.data.X.dtype, options.n_rows
    return id(options.network), id(options.backend), *of_rows, validated, *kind


def at_a_time(options: TrainOptions, n_members: int) -> int:
    """Return how many of these equal members the back end trains side by side; a few train one by
    one.
    """
    is_alone = isinstance(options.data.X, SparseRows)  # rows in CSR form have no lanes
    if is_alone or not options.backend.trains_groups or n_members < 4:
        return 1
    return int(
        options.backend.at_a_time(options.network, options.data.X.dtype, options.rows_a_step)
    )


def _ends_plainly(options: TrainOptions) -> bool:
    """Return whether compiled code can make all decisions for a member, if there are any."""
    stop = options.stop
    if not stop.has_rules and options.validation_rows is None:
        return True
    plain = (
        stop.max_seconds is None and stop.reduce is None and stop.monitor in ("loss", "accuracy")
    )
    return plain and not options.resumes


def _begins_plainly(options: TrainOptions, start: Start) -> bool:
    """Return whether a member begins from a seed, or between two epochs without a score or a
    reduced rate.
    """
    if isinstance(start, RandomState):
        return False  # the caller's own, who sees what was drawn
    if isinstance(start, Row):
        return arrays_of(start).is_plain(start.place)
    if not isinstance(start, TrainingState):
        return True
    counters = start.counters
    scored = (
        counters.get("best_score") is not None
        or "best_on" in counters
        or start.best_params is not None
    )
    is_split = start.validation_rows is not None
    return not (options.new_rows or start.batch or scored or "rate_factor" in counters or is_split)


class StopFlag:
    """A flag that ends all trainings of a call: raised by Ctrl-C, a callback, an error or
    `time.monotonic` of the deadline.
    """

    def __init__(self, interrupt: Interrupt, deadline: float = math.inf) -> None:
        self._interrupt = interrupt
        self._deadline = deadline
        self._reason: StopReason | None = None

    @property
    def requested(self) -> bool:
        """Whether it is raised."""
        if time.monotonic() >= self._deadline:
            self.end("time")
        return self._reason is not None or self._interrupt.requested

    @property
    def reason(self) -> StopReason:
        """The stop reason of the trainings that it ends."""
        return self._reason or self._interrupt.reason

    @property
    def again(self) -> bool:
        """Whether Ctrl-C raised it twice; KeyboardInterrupt is then not caught."""
        return self._interrupt.again

    def wait(self, begins: bool) -> None:
        """Begin or end a wait for workers, in which Ctrl-C also raises KeyboardInterrupt."""
        self._interrupt.waits = begins

    def end(self, reason: StopReason) -> None:
        """Raise the flag; the first reason stays."""
        self._reason = self._reason or reason


class Unit(NamedTuple):
    """Members that train in one session: the work of a thread or a worker at a time."""

    members: Sequence[Member]
    work: int
    """The approximate number of operations."""

    def threads(self, most: int) -> int:
        """Return how many of `most` threads are worth it: drawing, and what else a member needs,
        one does alone.
        """
        return max(1, min(most, (self.work - MEMBER_WORK * len(self.members)) // LEAST_WORK))


def units_of(members: list[Member], n_threads: int) -> list[Unit]:
    """Return the units of some members, in the order of their first ones; `n_threads` share each
    block.
    """
    groups: dict[tuple[Hashable, int], list[tuple[Member, int]]] = {}
    units: list[Unit] = []
    known: dict[Hashable, tuple[Hashable | None, int, int]] = {}
    for member in members:
        options = member.options
        kind = id(options), _begins_plainly(options, member.start)
        if kind not in known:
            key = block_key(options, kind[1])
            known[kind] = key, epoch_work(options), at_a_time(options, len(members))
        key, an_epoch, side_by_side = known[kind]
        work = options.n_epochs * an_epoch // (LANES_GAIN if side_by_side > 1 else 1)
        if key is None or not options.n_epochs or work > MOST_WORK:
            units.append(Unit([member], work + MEMBER_WORK))
        else:
            groups.setdefault((key, side_by_side), []).append((member, work))
    for (_, side_by_side), group in groups.items():
        units += _blocks_of(group, side_by_side, MOST_WORK * n_threads)
    units.sort(key=lambda unit: unit.members[0].number)
    return units


def _blocks_of(
    group: list[tuple[Member, int]], side_by_side: int, most_work: int
) -> Iterator[Unit]:
    """Iterate over blocks of members, each with its work: the longest first, whole vectors of them
    in each block.
    """
    group.sort(key=lambda pair: -pair[0].options.n_epochs)
    block = list[Member]()
    of_block = 0
    for k, (member, work) in enumerate(group):
        if block and k % side_by_side == 0 and of_block + work // 2 > most_work:
            yield Unit(block, of_block)
            block = []
            of_block = 0
        block.append(member)
        of_block += work + MEMBER_WORK
    yield Unit(block, of_block)


def train_unit(unit: Unit, flag: StopRequest, n_threads: int = 1) -> dict[int, Row]:
    """Train the members of a unit; return {number: result}. After the flag is raised, none of them
    begins.

    Up to `n_threads` threads share a block.
    """
    members = unit.members
    if flag.requested:
        return {member.number: _unbegun(member, flag.reason) for member in members}
    rows: dict[int, Row] = {}

    def train_one(member: Member) -> None:
        rows[member.number] = train_alone(member, flag)

    if len(members) > 1:
        options = [member.options for member in members]
        with Session(options, [member.start for member in members]) as session:
            if session.judge is None or session.judge.works_in_calls:
                session.end_due()
                while session.running:
                    session.advance(threads=unit.threads(n_threads))
                    session.end_due()
                results = session.results()
                return {member.number: Row(results, k) for k, member in enumerate(members)}
    share(train_one, members, n_threads)
    return rows


def _unbegun(member: Member, reason: StopReason) -> Row:
    begin = functools.partial(train_alone, member, Flag(True, reason))
    # The owner of a RandomState sees what was drawn, as after `train`.
    return (
        begin()
        if isinstance(member.start, RandomState)
        else Row(Unbegun(member.options, reason, begin), 0)
    )


def train_alone(member: Member, flag: StopRequest) -> Row:
    """Train a member as `train` does; divergence and the flag end it without an error.

    An error in a function of the caller gets the number of the member as its `member`, and in its
    text.
    """
    try:
        with Session([member.options], [member.start]) as session:
            run(session, Watch(), flag)
            return Row(session.results(), 0)
    except Exception as error:
        # a class of its own may refuse other attributes
        with contextlib.suppress(AttributeError, TypeError):
            if isinstance(error, MonitorError):
                error.args = (f"member {member.number}: {error}",)
            else:
                error.add_note(f"fastnn: this was member {member.number}")
            error.member = member.number  # type: ignore[attr-defined]
        raise
