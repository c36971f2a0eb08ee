"""The plans of many trainings: arguments for all members or for each, checked before any of them begins."""

import copy
import itertools
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from fastnn.checking.arguments import amount, check_integer, counted, shown
from fastnn.memory import padded_size
from fastnn.optimizers import Optimizer, with_rate
from fastnn.state import Data
from fastnn.training.generator import Seed, make_random_state
from fastnn.training.initial import begin
from fastnn.training.inputs import MEMORY_LIMIT_FRACTION, check_network, memory
from fastnn.training.plan import Plan, make_plan, with_last_step

T = TypeVar("T")

DIMENSIONS = {"X": 2, "Y": 2, "sample_weight": 1, "rows": 1, "validation_rows": 1, "params": 1}
"""The dimensions of each array argument that is for all members."""

ARRAYS = ("X", "Y", "sample_weight", "rows", "validation_rows")
"""The arguments that are the `arrays` of `make_plan`."""

FOR_ALL = ("new_rows", "backend", "dtype", "assume_finite")
"""Arguments that have one value for all members."""

NOT_SPREAD = (*FOR_ALL, "rates")
"""These, and what is a sequence by itself."""


def spread(given: Mapping[str, Any], n: Any = None) -> tuple[int, dict[str, Any], dict[str, Sequence[Any]]]:
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
        The number of members, {argument: the value for all members}, {argument: its values, one for each member}.

    Raises
    ------
    TypeError, ValueError
        For arguments of unequal lengths (both are named), for no members, and for members that would all be equal.
    """
    networks, seed, resume = given["networks"], given["seed"], given["resume"]
    if isinstance(resume, Sequence) and len(resume) and hasattr(resume[0], "state"):
        raise TypeError("resume is a list of states, not of results: say resume=[one.state for one in many]")
    if isinstance(networks, (list, tuple)) and networks and all(isinstance(size, int) for size in networks):
        check_network(networks)  # one network's sizes: its error says what to write
    for name in FOR_ALL:
        if isinstance(given[name], (list, tuple, range)):
            raise TypeError(f"{name} is one for all members, not {shown(given[name])}")
    lists = {name: own for name, value in given.items() if (own := one_each(name, value)) is not None}
    if "seed" not in lists:
        _check_seed(seed)
    n_members = _n_members({name: len(own) for name, own in lists.items()}, n)
    if isinstance(seed, np.random.RandomState) and n_members > 1:
        fault = "seed is one RandomState for all members, whose draws would depend on the order of the trainings"
        raise ValueError(f"{fault}: give a list of seeds, such as seed=range(n)")
    if not lists and n_members > 1 and seed is not None:
        fault = f"all {shown(n_members)} members would be trained alike, by the same seed"
        raise ValueError(f"{fault}: give one each, such as seed=range({shown(n_members)}), or leave it out")
    if not lists and n_members > 1 and given["resume"] is not None:
        raise ValueError(f"all {shown(n_members)} members would go on alike, from one state: give a list of states")
    return n_members, {name: value for name, value in given.items() if name not in lists}, lists


def one_each(name: str, value: Any) -> Sequence[Any] | None:
    """Return the values of an argument for each member; None if it is one value for all."""
    if name in NOT_SPREAD:
        return None
    n_dimensions = DIMENSIONS.get(name)
    if n_dimensions is None:
        if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):  # an array, or a column of a data frame
            return cast(list[Any], value.tolist())
        return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == n_dimensions + 1 else None
    if isinstance(value, (list, tuple)) and any(item is None or getattr(item, "ndim", 0) for item in value):
        return value
    if _depth(value) == n_dimensions + 1:
        raise ValueError(
            f"{name} is a nested list of depth {n_dimensions + 1}, one array for all members: for an array for each "
            f"member, pass a list of arrays, {name}=[np.array(each) for each in lists]"
        )
    return None


def _depth(value: Any) -> int:
    """Return the depth of nested lists."""
    depth = 0
    while isinstance(value, (list, tuple, range)) and len(value):
        value, depth = value[0], depth + 1
    return depth


def _check_seed(seed: Any) -> None:
    try:
        make_random_state(seed)
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
            said = f"n is {shown(length)}" if first == "n" else f"{first} has {counted(length, 'value')}"
            raise ValueError(f"{said}, {name} has {counted(other, 'value')}: give one for each member, or one for all")
    if not length:
        raise ValueError(f"{first} is empty: there is no member to train")
    return length


def known_seed(plan: Plan) -> int | None:
    """Return the seed of a member, if it is a number."""
    return int(plan.seed) if isinstance(plan.seed, (int, np.integer)) else None


def result_bytes(plan: Plan) -> int:
    """Return the approximate bytes of a result: parameters, state of the optimizer, two numbers an epoch, the rest."""
    dtype, n = plan.data.X.dtype, plan.n_rows
    vectors = padded_size(plan.network.n_params, dtype) * (1 + plan.optimizer.n_slots) * dtype.itemsize
    in_order = not plan.shuffle or plan.rows_a_step == n
    rest = ALONE if plan.stop.decides else IN_ORDER if in_order else SHUFFLED
    epochs = 0 if plan.stop.decides else plan.n_epochs  # it may end long before
    return vectors + 16 * epochs + rest + (0 if rest == IN_ORDER else 8 * n)


IN_ORDER, SHUFFLED, ALONE = 500, 3700, 7000
"""Bytes of a result besides its arrays: in a block, with the generator's state, with all objects."""

ALIKE = frozenset({"seed", "learning_rate", "alpha", "clip_norm", "params", "sample_weight", "Y"})
"""Arguments that do not change the size of a result."""


EASY = "seed", "epochs", "learning_rate"
"""Arguments that are checked by themselves, for each member."""


def make_plans(n: Any = None, **arguments: Any) -> list[Plan]:
    """Check the arguments of `train_many`; return a plan for each member.

    Parameters
    ----------
    n : int, optional
        The number of members, where no argument has one value for each.
    **arguments
        Each is one value for all members, or has one for each. An error begins with the number of the member.

    Raises
    ------
    TypeError, ValueError
        As in `train`, and for a RandomState that two members share.
    MemoryError
        If the results would not fit the machine.
    """
    n_members, shared, lists = spread(arguments, n)
    # In lists, for a sequence such as a range makes its items anew, and what was checked is known again by their ids.
    own = {name: list(values) for name, values in lists.items() if name not in EASY}
    easy = (lists.get(name) or itertools.repeat(shared[name], n_members) for name in EASY)
    check = _Checks(shared, list(own))
    plans: list[Plan] = []
    needed, alike = 0, lists.keys() <= ALIKE
    for number, (seed, n_epochs, rate, *values) in enumerate(zip(*easy, *own.values(), strict=True)):
        plans.append(check.plan(number, seed, n_epochs, rate, values))
        if number and alike:
            continue
        needed += result_bytes(plans[-1]) * (n_members if alike else 1)
        if needed > memory() * MEMORY_LIMIT_FRACTION:
            raise MemoryError(
                f"the results of {amount(n_members)} members take {'about' if alike else 'more than'} "
                f"{amount(needed)} bytes, this machine has {memory():,}"
            )
    return plans


class _Checks:
    """The checks of members, each done once for all members that share its arguments."""

    def __init__(self, shared: dict[str, Any], names: list[str]) -> None:
        self._shared, self._names, self._rate = shared, names, shared.get("learning_rate")
        self._done: dict[Hashable, Any] = {}
        self._begun = set[Hashable]()
        self._generators: dict[int, int] = {}

    def plan(self, number: int, seed: Any, n_epochs: Any, rate: Any, values: list[Any]) -> Plan:
        """Return the plan of a member, or raise the error of `train`; `values` are its other arguments, by `names`."""
        key = seed is None, *map(id, values)  # of objects that live as long as the call
        known = self._done.get(key)
        if known is None:
            own = dict(zip(self._names, values, strict=True))
            given = {**self._shared, **own, "seed": seed, "epochs": 0, "threads": 1}
            known = self._done[key] = _of_member(number if own else None, self._checked, given)
        if not ((type(seed) is int and 0 <= seed < 2**32) or seed is None):
            seed = self._seed(number, seed)
        if type(n_epochs) is not int or n_epochs < 0:
            who = None if "epochs" in self._shared else number
            n_epochs = _of_member(who, check_integer, "epochs", n_epochs, 0)
        plan: Plan = known._replace(number=number, seed=seed, n_epochs=n_epochs)
        if rate is not self._rate:
            plan = plan._replace(optimizer=_of_member(number, self._once, with_rate, plan.optimizer, rate))
        if callable(plan.optimizer.learning_rate):
            plan = plan._replace(optimizer=self._once(_optimizer_until, known, plan.optimizer, n_epochs))
        if plan.stop.validation is not None and seed is not None and self._once(_by_seed, known):
            _of_member(number, check_start, plan)  # both sides of its split must have rows with weight
        return plan

    def _checked(self, given: dict[str, Any]) -> Plan:
        """Check the arguments of a member; return its plan, with any number and seed."""
        given.pop("learning_rate", None)  # which may differ between members, as seed and epochs do
        network, arrays = given.pop("networks"), [given.pop(name) for name in ARRAYS]
        plan = make_plan(self._once, network=network, arrays=arrays, **given)
        if self._rate is not None:
            plan = plan._replace(optimizer=self._once(with_rate, plan.optimizer, self._rate))
        data = self._once(self._shared_data, plan.data, network, *arrays[:3])
        plan, weight = plan._replace(data=data), data.sample_weight
        # What depends on the seed is checked for each member.
        whole = plan._replace(data=data._replace(sample_weight=np.ones_like(weight))) if _by_seed(plan) else plan
        objects = map(id, (network, arrays[2], plan.rows, plan.validation_rows, plan.stop, plan.state))
        kind = len(data.X), data.X.dtype, type(plan.optimizer), plan.batch_size, plan.shuffle, plan.feature_names
        if (start := (*objects, *kind)) not in self._begun:
            self._begun.add(start)
            check_start(whole)
        return plan

    def _once(self, check: Callable[..., Any], *given: Any) -> Any:
        """Call a function, once for the same objects."""
        key = check, *map(id, given)
        if key not in self._done:
            self._done[key] = check(*given), given  # which stay, so that no other objects get their ids
        return self._done[key][0]

    def _shared_data(self, data: Data, network: Any, *arrays: Any) -> Data:
        """Return data in which an array that members share is one object, which is sent once."""
        kind = id(network), len(data.X), data.X.dtype
        return Data(*(self._done.setdefault((k, *kind, id(given)), data[k]) for k, given in enumerate(arrays)))

    def _seed(self, number: int, seed: Any) -> Seed:
        """Check a seed that is not a Python int; no two members may share a RandomState."""
        _of_member(number, make_random_state, seed)
        if not isinstance(seed, np.random.RandomState):
            return int(seed)
        other = self._generators.setdefault(id(seed), number)
        if other != number:
            fault = f"member {number}: seed is the RandomState of member {other} too"
            raise ValueError(f"{fault}, so that draws would depend on the order of the trainings: give each its own")
        return seed


def check_start(plan: Plan) -> None:
    """Begin a training and discard it, to find what does not fit, such as the rows of a state."""
    begin([plan._replace(seed=0 if plan.seed is None else copy.deepcopy(plan.seed))], time.perf_counter()).give_back()


def _of_member(number: int | None, check: Callable[..., T], *given: Any) -> T:
    """Call a check; an error in it begins with the number of the member, if there is one."""
    try:
        return check(*given)
    except (TypeError, ValueError, MemoryError) as error:
        if number is None:
            raise
        (kind,) = (kind for kind in (TypeError, ValueError, MemoryError) if isinstance(error, kind))
        raise kind(f"member {number}: {error}") from None


def _optimizer_until(plan: Plan, optimizer: Optimizer, n_epochs: int) -> Optimizer:
    """Return the optimizer of a training of so many epochs, at the last of which a schedule without steps ends."""
    return with_last_step(plan._replace(optimizer=optimizer, n_epochs=n_epochs)).optimizer


def _by_seed(plan: Plan) -> bool:
    """Return whether a member's seed draws a validation split of rows, some of which have no weight."""
    draws = plan.state is None and isinstance(plan.stop.validation, (int, float))
    return draws and not plan.data.sample_weight.all()
