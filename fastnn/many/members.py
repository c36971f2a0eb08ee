"""The members: what each training needs, checked before any of them begins; what several share is checked once."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import amount, check_integer
from fastnn.checking.values import column_names
from fastnn.many.arguments import Spread
from fastnn.many.stack import Stacked
from fastnn.memory import Array, padded_size
from fastnn.network import Network
from fastnn.state import Data
from fastnn.training.batches import rows_a_step
from fastnn.training.begin import Settings, check_settings, start, working_dtype
from fastnn.training.capacity import MEMORY_LIMIT_FRACTION, memory
from fastnn.training.generator import Seed, give_back, make_random_state
from fastnn.training.initial import check_resume
from fastnn.training.inputs import check_data, check_params
from fastnn.training.loop import Run
from fastnn.training.state import TrainingState
from fastnn.training.subsets import Rows, choose_rows


class Member(NamedTuple):
    """A training that has not begun; parts that are equal for several members are one object."""

    number: int
    settings: Settings
    """Settings that several members may share; the number of epochs is not among them."""
    n_epochs: int
    data: Data
    rows: tuple[Rows | None, Rows | None]
    """Rows to train on (None: all), and rows to validate on (None: as the stop rules say)."""
    seed: Seed
    params: Array | None
    state: TrainingState | Stacked | None
    """To go on from, in place of seed and parameters."""

    @property
    def n_rows(self) -> int:
        """The rows to train on, before a part of them is split off for validation."""
        chosen = self.rows[0]
        return len(self.data.X if chosen is None else chosen)

    @property
    def known_seed(self) -> int | None:
        """The seed, if it is a number."""
        return int(self.seed) if isinstance(self.seed, (int, np.integer)) else None

    @property
    def nbytes(self) -> int:
        """The bytes, roughly, of its result: parameters, the optimizer's state, two numbers an epoch, the rest."""
        settings, dtype, n = self.settings, self.data.X.dtype, self.n_rows
        vectors = padded_size(settings.network.n_params, dtype) * (1 + settings.optimizer.n_slots) * dtype.itemsize
        in_order = not settings.shuffle or rows_a_step(settings.batch_size, n) == n
        rest = ALONE if settings.stop.decides else IN_ORDER if in_order else SHUFFLED
        epochs = 0 if settings.stop.decides else self.n_epochs  # it may end long before
        return vectors + 16 * epochs + rest + (0 if rest == IN_ORDER else 8 * n)


IN_ORDER, SHUFFLED, ALONE = 500, 3700, 7000
"""Bytes that a result takes besides its arrays: in a block, with the generator's state, with all objects made."""

ALIKE = frozenset({"seed", "learning_rate", "alpha", "params", "sample_weight", "Y"})
"""Arguments that do not change the size of a result."""


def check_members(given: Spread) -> list[Member]:
    """Check the arguments of each member; the text of an error begins with the member's number.

    Raises
    ------
    TypeError, ValueError
        For what `train` refuses, and for a RandomState that two members share.
    MemoryError
        For results that would not fit the machine.
    """
    # In lists, for a sequence such as a range makes its items anew, and what was checked is known again by their ids.
    own = {name: list(values) for name, values in given.own.items() if name not in ("seed", "epochs")}
    seeds, epochs = (
        given.own.get(name) or itertools.repeat(given.shared[name], given.n_members) for name in ("seed", "epochs")
    )
    check = _MemberChecks(given.shared, list(own))
    members: list[Member] = []
    needed, alike = 0, given.own.keys() <= ALIKE
    for number, (seed, n_epochs, *values) in enumerate(zip(seeds, epochs, *own.values(), strict=True)):
        members.append(check.member(number, seed, n_epochs, values))
        if number and alike:
            continue
        needed += members[-1].nbytes * (given.n_members if alike else 1)
        if needed > memory() * MEMORY_LIMIT_FRACTION:
            raise MemoryError(
                f"the results of {amount(given.n_members)} members take {'about' if alike else 'more than'} "
                f"{amount(needed)} bytes, this machine has {memory():,}"
            )
    return members


class _MemberChecks:
    """The checks of members, each done once for all members that share the arguments it is about."""

    def __init__(self, shared: dict[str, Any], names: list[str]) -> None:
        self._shared, self._names = shared, names
        self._done: dict[Hashable, Any] = {}
        self._generators: dict[int, int] = {}

    def member(self, number: int, seed: Any, n_epochs: Any, values: list[Any]) -> Member:
        """Return a member that fits, or raise what `train` would; `values` are its other arguments, by `names`."""
        key = seed is None, *map(id, values)  # of objects that live as long as the call
        known = self._done.get(key)
        if known is None:
            own = dict(zip(self._names, values, strict=True))
            try:
                known = self._done[key] = self._checked({**self._shared, **own, "seed": seed})
            except (TypeError, ValueError, MemoryError) as error:
                if not own:  # what is wrong is so for all
                    raise
                (kind,) = (kind for kind in (TypeError, ValueError, MemoryError) if isinstance(error, kind))
                raise kind(f"member {number}: {error}") from None
        if not ((type(seed) is int and 0 <= seed < 2**32) or seed is None):
            seed = self._seed(number, seed)
        if type(n_epochs) is not int or n_epochs < 0:
            n_epochs = self._epochs(number, n_epochs)
        member = Member(number, known.settings, n_epochs, known.data, known.rows, seed, known.params, known.state)
        if known.settings.stop.validation is not None and self._once(("split", id(known)), lambda: _by_seed(known)):
            self._check_split(member)
        return member

    def _checked(self, given: dict[str, Any]) -> Member:
        """Check the arguments of a member; return it, with any number and seed."""
        network, resume, dtype, stop = given["networks"], given["resume"], given["dtype"], given["stop"]
        self._once(
            ("resume", id(resume), given["seed"] is None),
            lambda: check_resume(resume, given["new_rows"], given["seed"], given["params"]),
        )
        options = given["optimizer"], given["batch_size"], given["shuffle"], given["alpha"]
        shared = (id(network), id(resume), id(stop), *map(id, options), id(given["learning_rate"]))
        settings = self._once(
            ("settings", shared, given["sample_weight"] is None), lambda: self._settings(given, options)
        )
        arrays = given["X"], given["Y"], given["sample_weight"]
        key = id(network), *map(id, arrays), id(resume) if dtype is None else 0
        data = self._once(
            ("data", key),
            lambda: self._data(network, arrays, settings.assume_finite, working_dtype(dtype, resume)),
        )
        chosen = given["rows"], given["validation_rows"]
        rows = self._once(
            ("rows", *map(id, chosen), len(data.X), id(stop)),
            lambda: choose_rows(*chosen, len(data.X), settings.stop),
        )
        params = given["params"]
        if params is not None:
            params = self._once(
                ("params", id(network), id(params), data.X.dtype), lambda: check_params(network, params, data.X.dtype)
            )
        names = column_names(given["X"])
        if names is None and resume is not None:
            names = resume.feature_names
        member = Member(0, settings._replace(resume=None, feature_names=names), 0, data, rows, None, params, resume)
        kind = type(settings.optimizer), settings.batch_size, settings.shuffle
        size = len(data.X), data.X.dtype, id(given["sample_weight"])
        whole = member
        if _by_seed(member):  # what depends on the seed is checked for each member
            whole = member._replace(data=data._replace(sample_weight=np.ones_like(data.sample_weight)))
        self._once(
            ("start", id(network), size, id(rows), id(stop), id(resume), kind, names), lambda: check_start(whole)
        )
        return member

    def _once(self, key: Hashable, check: Callable[[], Any]) -> Any:
        if key not in self._done:
            self._done[key] = check()
        return self._done[key]

    def _data(self, network: Network, arrays: tuple[Any, ...], *options: Any) -> Data:
        """Return checked data; an array that several members are given is one for all of them, which is sent once."""
        data = check_data(network, *arrays, *options)
        kind = id(network), len(data.X), data.X.dtype
        known = [self._done.setdefault((k, *kind, id(given)), data[k]) for k, given in enumerate(arrays)]
        return Data(*known)

    def _settings(self, given: dict[str, Any], options: tuple[Any, Any, Any, Any]) -> Settings:
        settings = check_settings(
            given["networks"],
            given["backend"],
            0,  # epochs, which each member has of its own
            given["stop"],
            options,
            given["resume"],
            given["new_rows"],
            given["assume_finite"],
            weighted=given["sample_weight"] is not None,
        )
        rate = given["learning_rate"]
        if rate is None:
            return settings
        return settings._replace(optimizer=dataclasses.replace(settings.optimizer, learning_rate=rate))

    def _check_split(self, member: Member) -> None:
        """Check that rows with weight are on both sides of a member's split; not for a seed that it will draw."""
        if member.seed is None:
            return
        try:
            check_start(member)
        except ValueError as error:
            raise ValueError(f"member {member.number}: {error}") from None

    def _epochs(self, number: int, n_epochs: Any) -> int:
        """Return a number of epochs that is no int of Python, checked."""
        try:
            return check_integer("epochs", n_epochs, low=0)
        except (TypeError, ValueError) as error:
            if "epochs" in self._shared:
                raise
            raise type(error)(f"member {number}: {error}") from None

    def _seed(self, number: int, seed: Any) -> Seed:
        """Return a seed that is no int of Python, checked: no two members may share a RandomState."""
        try:
            make_random_state(seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"member {number}: {error}") from None
        if not isinstance(seed, np.random.RandomState):
            return int(seed)
        other = self._generators.setdefault(id(seed), number)
        if other != number:
            raise ValueError(
                f"member {number}: seed is the RandomState of member {other} too, so that draws would depend on the "
                "order of the trainings: give each its own"
            )
        return seed


def begin(member: Member, seed: Seed) -> tuple[Run, np.random.RandomState]:
    """Return a run that can begin, and its generator."""
    state = member.state.result().state if isinstance(member.state, Stacked) else member.state
    settings = member.settings._replace(resume=state, n_epochs=member.n_epochs)
    return start(settings, member.data, member.rows, None if state else seed, member.params, time.perf_counter())


def check_start(member: Member) -> None:
    """Begin a training and leave it: this finds what does not fit, such as rows of a state's."""
    seed = 0 if member.seed is None else copy.deepcopy(member.seed)
    _, generator = begin(member, seed)
    give_back(generator, None)


def _by_seed(member: Member) -> bool:
    """Return whether a member's seed draws which rows are split off for validation, and some rows have no weight."""
    draws = member.state is None and isinstance(member.settings.stop.validation, (int, float))
    return draws and not member.data.sample_weight.all()
