"""The members of many trainings: arguments for all of them or for each, checked before any of them
begins.
"""

import copy
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from fastnn.checking.arguments import amount, check_integer, check_seed, counted, shown
from fastnn.memory import padded_size
from fastnn.optimizers import Optimizer, with_rate
from fastnn.state import Data
from fastnn.training.generator import Seed
from fastnn.training.initial import Start
from fastnn.training.inputs import MEMORY_LIMIT_FRACTION, check_network, check_params, memory
from fastnn.training.options import TrainOptions, check_options, with_last_step
from fastnn.training.results import Row
from fastnn.training.session import Session
from fastnn.training.state import TrainingState

T = TypeVar("T")

DIMENSIONS = {"X": 2, "Y": 2, "sample_weight": 1, "rows": 1, "validation_rows": 1, "params": 1}
"""The dimensions of each array argument that is for all members."""

FOR_ALL = ("new_rows", "backend", "dtype", "assume_finite")
"""Arguments that have one value for all members."""

NOT_SPREAD = (*FOR_ALL, "rates")
"""These, and what is a sequence by itself."""


def spread(
    given: Mapping[str, Any], n: Any = None
) -> tuple[int, dict[str, Any], dict[str, Sequence[Any]]]:
    """Spread arguments over the members.

    Parameters
    ----------
    given : mapping
        {name: argument}, those of `train_many`.
    n : int, optional
        The number of members, where no argument has one value for each.

    Returns
    -------
    int, dict, dict
        The number of members, {argument: the value for all members}, {argument: its values, one for
        each member}.

    Raises
    ------
    TypeError, ValueError
        For arguments of unequal lengths (both are named), for no members, and for members that
        would all be equal.
    """
    networks = given["networks"]
    seed = given["seed"]
    resume = given["resume"]
    if isinstance(resume, Sequence) and len(resume) and hasattr(resume[0], "state"):
        raise TypeError(
            "resume is a list of states, not of results: say resume=[one.state for one in many]"
        )
    if (
        isinstance(networks, (list, tuple))
        and networks
        and all(isinstance(size, int) for size in networks)
    ):
        check_network(networks)  # one network's sizes: its error says what to write
    for name in FOR_ALL:
        if isinstance(given[name], (list, tuple, range)):
            raise TypeError(f"{name} is one for all members, not {shown(given[name])}")
    lists = {
        name: own for name, value in given.items() if (own := one_each(name, value)) is not None
    }
    if "seed" not in lists:
        _check_seed(seed)
    n_members = _n_members({name: len(own) for name, own in lists.items()}, n)
    if isinstance(seed, np.random.RandomState) and n_members > 1:
        fault = (
            "seed is one RandomState for all members, whose draws would depend on the order "
            "of the trainings"
        )
        raise ValueError(f"{fault}: give a list of seeds, such as seed=range(n)")
    if not lists and n_members > 1 and seed is not None:
        fault = f"all {shown(n_members)} members would be trained alike, by the same seed"
        raise ValueError(
            f"{fault}: give one each, such as seed=range({shown(n_members)}), or leave it out"
        )
    if not lists and n_members > 1 and given["resume"] is not None:
        raise ValueError(
            f"all {shown(n_members)} members would go on alike, from one state: give a list of "
            f"states"
        )
    return n_members, {name: value for name, value in given.items() if name not in lists}, lists


def one_each(name: str, value: Any) -> Sequence[Any] | None:
    """Return the values of an argument for each member; None if it is one value for all."""
    if name in NOT_SPREAD:
        return None
    n_dimensions = DIMENSIONS.get(name)
    if n_dimensions is None:
        # an array, or a column of a data frame
        if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
            return cast(list[Any], value.tolist())
        return (
            value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None
        )
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == n_dimensions + 1 else None
    if isinstance(value, (list, tuple)) and any(
        item is None or getattr(item, "ndim", 0) for item in value
    ):
        return value
    if _depth(value) == n_dimensions + 1:
        raise ValueError(
            f"{name} is a nested list of depth {n_dimensions + 1}, one array for all members: for "
            f"an array for each "
            f"member, pass a list of arrays, {name}=[np.array(each) for each in lists]"
        )
    return None


def _depth(value: Any) -> int:
    """Return the depth of nested lists."""
    depth = 0
    while isinstance(value, (list, tuple, range)) and len(value):
        value = value[0]
        depth = depth + 1
    return depth


def _check_seed(seed: Any) -> None:
    try:
        check_seed("seed", seed)
    except TypeError as error:
        raise TypeError(f"{error}; or a list, range or array with one for each member") from None


def _n_members(lengths: dict[str, int], n: Any) -> int:
    """Return the number of members, after a check that all lengths agree."""
    if n is not None:
        lengths = {"n": check_integer("n", n, low=1), **lengths}
    if not lengths:
        fault = "every argument is one for all members, so their number is not known"
        raise ValueError(f"{fault}: give a list, such as seed=range(100), or n=...")
    first, length = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != length:
            said = (
                f"n is {shown(length)}"
                if first == "n"
                else f"{first} has {counted(length, 'value')}"
            )
            raise ValueError(
                f"{said}, {name} has {counted(other, 'value')}: give one for each member, or one "
                "for all"
            )
    if not length:
        raise ValueError(f"{first} is empty: there is no member to train")
    return length


class Member(NamedTuple):
    """A member of many trainings."""

    number: int
    options: TrainOptions
    """Those of members that differ in their starts alone are one object."""
    start: Start = None

    @property
    def known_seed(self) -> int | None:
        """The seed, if it is a number."""
        return int(self.start) if isinstance(self.start, (int, np.integer)) else None


def result_bytes(options: TrainOptions) -> int:
    """Return the approximate bytes of a result: parameters, state of the optimizer, two numbers per
    epoch, the rest.
    """
    dtype = options.data.X.dtype
    n = options.n_rows
    vectors = (
        padded_size(options.network.n_params, dtype)
        * (1 + options.optimizer.n_slots)
        * dtype.itemsize
    )
    if options.stop.has_rules:  # it may end long before its last epoch
        return vectors + ALONE + 8 * n
    epochs = 16 * options.n_epochs
    if options.shuffle and options.has_batches:
        return vectors + epochs + SHUFFLED + 8 * n
    return vectors + epochs + IN_ORDER


IN_ORDER = 500
"""Bytes of a result in a block, besides its arrays."""
SHUFFLED = 3700
"""The same with the state of a generator."""
ALONE = 7000
"""The same of a training by itself, with all its objects."""

ALIKE = frozenset({"seed", "learning_rate", "alpha", "clip_norm", "params", "sample_weight", "Y"})
"""Arguments that do not change the size of a result."""

NOT_NEEDED: dict[str, Any] = dict.fromkeys(
    ["sample_weight", "rows", "validation_rows", "learning_rate", "seed", "params", "resume"]
) | {"backend": "numba", "dtype": None, "new_rows": False, "assume_finite": False}
"""Arguments that may be left out, as far as these checks read them, with their defaults."""

EASY = "seed", "epochs", "learning_rate", "params"
"""Arguments that are checked by themselves, for each member."""


def check_members(n: Any = None, **arguments: Any) -> list[Member]:
    """Check the arguments of `train_many`; return the members.

    Parameters
    ----------
    n : int, optional
        The number of members, where no argument has one value for each.
    **arguments
        Each is one value for all members, or has one for each. An error begins with the number of
        the member.

    Raises
    ------
    TypeError, ValueError
        As in `train`, and for a RandomState that two members share.
    MemoryError
        If the results would not fit the machine.
    """
    for name, default in NOT_NEEDED.items():
        arguments.setdefault(name, default)
    n_members, shared, lists = spread(arguments, n)
    # In lists, for a sequence such as a range makes its items anew, and what was checked is known
    # again by their ids.
    own = {name: list(values) for name, values in lists.items() if name not in EASY}
    easy = (lists.get(name) or itertools.repeat(shared[name], n_members) for name in EASY)
    check = MemberChecks(shared, list(own), has_params="params" in lists)
    members: list[Member] = []
    needed = 0
    alike = lists.keys() <= ALIKE
    for number, (seed, n_epochs, rate, params, *values) in enumerate(
        zip(*easy, *own.values(), strict=True)
    ):
        members.append(check.member(number, seed, n_epochs, rate, params, values))
        if number and alike:
            continue
        needed += result_bytes(members[-1].options) * (n_members if alike else 1)
        if needed > memory() * MEMORY_LIMIT_FRACTION:
            raise MemoryError(
                f"the results of {amount(n_members)} members take "
                f"{'about' if alike else 'more than'} "
                f"{amount(needed)} bytes, this machine has {memory():,}"
            )
    return members


class MemberChecks:
    """The checks of members, each done once for all members that share its arguments."""

    def __init__(self, shared: dict[str, Any], names: list[str], has_params: bool) -> None:
        self._shared = shared
        self._names = names
        self._has_params = has_params
        """Whether each member has initial parameters of its own."""
        self._checked: dict[Hashable, TrainOptions] = {}
        """Options by the ids of their arguments, which live as long as the call."""
        self._options: dict[Hashable, tuple[TrainOptions, bool, Any]] = {}
        """The same with other epochs, rates and parameters; rates stay here, so that no others get
        their ids."""
        self._arrays: dict[Hashable, Any] = {}
        """Checked arrays: members that share an argument share what was made of it."""
        self._optimizers: dict[tuple[int, int], Optimizer] = {}
        self._begun = set[Hashable]()
        self._generators: dict[int, int] = {}

    def member(
        self, number: int, seed: Any, n_epochs: Any, rate: Any, params: Any, values: list[Any]
    ) -> Member:
        """Return a member, or raise the error of `train`; `values` are its other arguments, by
        `names`.
        """
        key = seed is None, params is None, *map(id, values)
        own = dict(zip(self._names, values, strict=True))
        if key not in self._checked:
            who = number if own or self._has_params else None
            self._checked[key] = of_member(who, self._check, own | {"params": params}, seed)
        if not ((type(seed) is int and 0 <= seed < 2**32) or seed is None):
            seed = self._seed(number, seed)
        if type(n_epochs) is not int or n_epochs < 0:
            who = None if "epochs" in self._shared else number
            n_epochs = of_member(who, check_integer, "epochs", n_epochs, 0)
        first = self._checked[key]
        state = own.get("resume", self._shared.get("resume"))
        full = id(first), n_epochs, id(rate), id(params)
        if full not in self._options:
            options = of_member(number, self._with_rate, first, n_epochs, rate, state)
            options = self._with_params(number, options, params)
            self._options[full] = options, draws_split_of_weighted(options), rate
        options, has_weights, _ = self._options[full]
        member = Member(number, options, seed if state is None else state)
        if seed is not None and has_weights:
            # both sides of its split must have rows with weight
            of_member(number, check_start, member)
        return member

    def _with_params(self, number: int, options: TrainOptions, params: Any) -> TrainOptions:
        """Return options with the member's own initial parameters, if it has any."""
        if not self._has_params or params is None:
            return options
        dtype = options.data.X.dtype
        return options._replace(
            params=of_member(number, check_params, options.network, params, dtype)
        )

    def _with_rate(self, first: TrainOptions, n_epochs: int, rate: Any, state: Any) -> TrainOptions:
        """Return options with so many epochs, and another learning rate unless it is None."""
        optimizer = first.optimizer
        if rate is not None:
            optimizer = self._optimizers.setdefault(
                (id(optimizer), id(rate)), with_rate(optimizer, rate)
            )
        if (
            n_epochs == first.n_epochs
            and optimizer is first.optimizer
            and not callable(optimizer.learning_rate)
        ):
            return first
        options = first._replace(n_epochs=n_epochs, optimizer=optimizer)
        return with_last_step(options, state) if callable(optimizer.learning_rate) else options

    def _check(self, own: dict[str, Any], seed: Any) -> TrainOptions:
        """Check the arguments of a member, and that its training can begin; return its options, for
        any seed.
        """
        given = {**self._shared, **own, "seed": seed, "epochs": 0, "threads": 1}
        # where members have one each, it is checked for each
        rate = given.pop("learning_rate", None)
        network, X, Y = (given.pop(name) for name in ("networks", "X", "Y"))
        of_data = id(network), id(X), id(Y), id(given["sample_weight"])
        options = check_options(network, X, Y, **given, data=self._arrays.get(of_data))
        self._arrays[of_data] = data = self._share_arrays(
            options, network, X, Y, given["sample_weight"]
        )
        of_rows = (
            "rows",
            id(given["rows"]),
            id(given["validation_rows"]),
            id(data.X),
            id(options.stop.validation),
        )
        rows = self._arrays.setdefault(of_rows, (options.rows, options.validation_rows))
        options = options._replace(data=data, rows=rows[0], validation_rows=rows[1])
        self._check_start(self._with_rate(options, 0, rate, given["resume"]), given)
        return options

    def _share_arrays(self, options: TrainOptions, network: Any, *arrays: Any) -> Data:
        """Return data in which an array that members share is one object, which is sent once."""
        data = options.data
        kind = id(network), len(data.X), data.X.dtype, type(data.X)
        return Data(
            *(
                self._arrays.setdefault((k, *kind, id(array)), data[k])
                for k, array in enumerate(arrays)
            )
        )

    def _check_start(self, options: TrainOptions, given: dict[str, Any]) -> None:
        """Begin a training of each kind; what depends on the seed is checked for each member."""
        data = options.data
        objects = (
            options.network,
            given["sample_weight"],
            options.rows,
            options.validation_rows,
            options.stop,
        )
        kind = (
            len(data.X),
            data.X.dtype,
            type(options.optimizer),
            options.batch_size,
            options.shuffle,
        )
        start = *map(id, (*objects, given["resume"])), *kind, options.feature_names
        if start in self._begun:
            return
        self._begun.add(start)
        if draws_split_of_weighted(options):
            options = options._replace(
                data=data._replace(sample_weight=np.ones_like(data.sample_weight))
            )
        check_start(Member(0, options, 0 if given["resume"] is None else given["resume"]))

    def _seed(self, number: int, seed: Any) -> Seed:
        """Check a seed that is not a Python int; no two members may share a RandomState."""
        of_member(number, check_seed, "seed", seed)
        if not isinstance(seed, np.random.RandomState):
            return int(seed)
        other = self._generators.setdefault(id(seed), number)
        if other != number:
            fault = f"member {number}: seed is the RandomState of member {other} too"
            raise ValueError(
                f"{fault}, so that draws would depend on the order of the trainings: give each "
                f"its own"
            )
        return seed


def check_start(member: Member) -> None:
    """Begin a training and discard it, to find what does not fit, such as the rows of a state."""
    start = member.start
    if isinstance(start, Row):
        start = start.state()  # which is checked, like one of a caller's
    elif not isinstance(start, TrainingState):
        start = 0 if start is None else copy.deepcopy(start)
    with Session([member.options], [start]):
        pass


def of_member(number: int | None, check: Callable[..., T], *values: Any) -> T:
    """Call a check; an error in it begins with the number of the member, if there is one."""
    try:
        return check(*values)
    except (TypeError, ValueError, MemoryError) as error:
        if number is None:
            raise
        (kind,) = (kind for kind in (TypeError, ValueError, MemoryError) if isinstance(error, kind))
        raise kind(f"member {number}: {error}") from None


def draws_split_of_weighted(options: TrainOptions) -> bool:
    """Return whether a member's seed draws a validation split of rows, some of which have no
    weight.
    """
    draws = not options.resumes and isinstance(options.stop.validation, (int, float))
    return draws and not options.data.sample_weight.all()
