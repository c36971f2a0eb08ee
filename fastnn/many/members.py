"""The members: what each training needs, checked before any of them begins; what several share is checked once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_integer
from fastnn.many.arguments import Spread
from fastnn.memory import Array, padded_size
from fastnn.state import Data
from fastnn.training.begin import Settings, check_settings, start, working_dtype
from fastnn.training.generator import Seed, make_random_state
from fastnn.training.initial import check_resume
from fastnn.training.inputs import MEMORY_LIMIT_FRACTION, check_data, check_params, memory
from fastnn.training.subsets import Rows, choose_rows


class Member(NamedTuple):
    """A training that has not begun; what is equal for several members is the same object."""

    number: int
    settings: Settings
    data: Data
    rows: tuple[Rows | None, Rows | None]
    """Those to train on (None: all), and those to validate on (None: what the stop rules say)."""
    seed: Seed
    params: Array | None

    @property
    def n_rows(self) -> int:
        """The rows to train on, before a part of them is split off for validation."""
        chosen = self.rows[0]
        return len(self.data.X if chosen is None else chosen)

    @property
    def nbytes(self) -> int:
        """The bytes of its result: parameters, the optimizer's state, and two numbers for each epoch."""
        settings, dtype = self.settings, self.data.X.dtype
        width = padded_size(settings.network.n_params, dtype)
        return width * (1 + settings.optimizer.n_slots) * dtype.itemsize + 16 * settings.n_epochs


def check_members(given: Spread) -> list[Member]:
    """Check what each member was given; the text of an error begins with the member's number.

    Raises
    ------
    TypeError, ValueError
        For what `train` refuses, and for a RandomState that two members share.
    MemoryError
        For results that would not fit the machine.
    """
    check = _Check([name for name in given.columns if name != "seed"])
    members: list[Member] = []
    needed, alike = 0, not given.varying & {"networks", "optimizer", "epochs"}
    others = [values for name, values in given.columns.items() if name != "seed"]
    columns = zip(range(given.n_members), given.columns["seed"], *others, strict=False)  # some repeat without end
    for number, seed, *shared in columns:
        try:
            members.append(check.member(number, seed, shared))
        except (TypeError, ValueError, MemoryError) as error:
            if not given.varying:
                raise
            raise type(error)(f"member {number}: {error}") from None
        if number and alike:
            continue
        needed += members[-1].nbytes * (given.n_members if alike else 1)
        if needed > memory() * MEMORY_LIMIT_FRACTION:
            raise MemoryError(
                f"the results of {given.n_members:,} members take {'' if alike else 'more than '}{needed:,} bytes, "
                f"this machine has {memory():,}"
            )
    return members


class _Check:
    """The checks, each of which is done once for all members that share what it looks at."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._done: dict[Hashable, Any] = {}
        self._generators: dict[int, int] = {}

    def member(self, number: int, seed: Any, shared: list[Any]) -> Member:
        """Return a member that fits, or raise what `train` would; `shared` are the other arguments, in order."""
        key = tuple(map(id, shared))  # of objects that live as long as the call
        known = self._done.get(key)
        if known is None:
            known = self._done[key] = self._checked({**dict(zip(self._names, shared, strict=True)), "seed": seed})
        if not ((type(seed) is int and 0 <= seed < 2**32) or seed is None):
            seed = self._seed(number, seed)
        return Member(number, known.settings, known.data, known.rows, seed, known.params)

    def _checked(self, given: dict[str, Any]) -> Member:
        """Check the arguments of a member; return it, with any number and seed."""
        network, resume, dtype, stop = given["networks"], given["resume"], given["dtype"], given["stop"]
        self._once(
            ("resume", id(resume)), lambda: check_resume(resume, given["new_rows"], given["seed"], given["params"])
        )
        options = given["optimizer"], given["batch_size"], given["shuffle"], given["alpha"]
        shared = (id(network), id(resume), id(stop), *map(id, options), id(given["learning_rate"]))
        settings = self._once(
            ("settings", shared, given["sample_weight"] is None), lambda: self._settings(given, options)
        )
        n_epochs = given["epochs"]
        if n_epochs != settings.n_epochs:
            settings = self._once(
                ("epochs", id(settings), n_epochs),
                lambda: settings._replace(n_epochs=check_integer("epochs", n_epochs, low=0)),
            )
        arrays = given["X"], given["Y"], given["sample_weight"]
        key = id(network), *map(id, arrays), id(resume) if dtype is None else 0
        data = self._once(
            ("data", key),
            lambda: check_data(network, *arrays, settings.assume_finite, working_dtype(dtype, resume)),
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
        member = Member(0, settings, data, rows, None, params)
        kind = type(settings.optimizer), settings.batch_size, settings.shuffle
        self._once(("start", id(network), id(data), id(rows), id(stop), id(resume), kind), lambda: self._start(member))
        return member

    def _once(self, key: Hashable, check: Callable[[], Any]) -> Any:
        if key not in self._done:
            self._done[key] = check()
        return self._done[key]

    def _settings(self, given: dict[str, Any], options: tuple[Any, Any, Any, Any]) -> Settings:
        settings = check_settings(
            given["networks"],
            given["backend"],
            given["epochs"],
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

    def _seed(self, number: int, seed: Any) -> Seed:
        if (type(seed) is int and 0 <= seed < 2**32) or seed is None:
            return seed
        make_random_state(seed)  # raises for what is no seed
        if isinstance(seed, np.random.RandomState):
            other = self._generators.setdefault(id(seed), number)
            if other != number:
                raise ValueError(
                    f"seed is the RandomState of member {other} too, so that draws would depend on the order of the "
                    "trainings: give each its own"
                )
            return seed
        return int(seed)

    def _start(self, member: Member) -> None:
        """Begin the training and leave it: this finds what does not fit, such as rows of a state's."""
        start(
            member.settings,
            member.data,
            member.rows,
            None if member.settings.resume else 0,
            member.params,
            time.perf_counter(),
        )
