"""The results of members: rows of results, of a file, and of trainings that did not begin; their scores."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend
from fastnn.checking.arguments import counted, cut
from fastnn.checking.values import Names
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.history import History, scored_by
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import Monitor, StopReason, name_of
from fastnn.training.store import PLAIN, Row


class Unbegun:
    """The result of a member that had not begun at the end of the call; `begin` makes it on request."""

    n_epochs = 0

    def __init__(
        self,
        network: Network,
        backend: Backend,
        monitor: Monitor,
        stop_reason: StopReason,
        begin: Callable[[], Row],
    ) -> None:
        self.network, self.backend, self.stop_reason = network, backend, stop_reason
        self._monitor, self._begin = monitor, begin

    @functools.cached_property
    def _begun(self) -> TrainingResult:
        """The result, made only once, because it may draw a seed."""
        return self._begin().result()

    @property
    def params(self) -> Array:
        """The first parameters (n_params,)."""
        return self._begun.params

    @property
    def feature_names(self) -> Names | None:
        """The names of the columns of X."""
        return self._begun.feature_names

    @property
    def history(self) -> History:
        """An empty history."""
        return History(np.zeros(0), np.zeros(0), 0.0, monitor=name_of(self._monitor))

    def result(self) -> TrainingResult:
        """The whole result."""
        return self._begun

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.result(),)  # which has no data


def _itself(result: TrainingResult) -> TrainingResult:
    return result


class Source(Protocol):
    """A source of results that are made on request, such as a file."""

    has_states: bool
    """Whether the results have states of trainings: False for networks alone."""

    def __len__(self) -> int: ...

    def network(self, i: int) -> Network:
        """Return member i's network."""

    def backend(self, i: int) -> Backend:
        """Return its back end for predictions; ValueError for a name that is not registered here."""

    def params(self, i: int) -> Array:
        """Return its parameters (n_params,), read-only."""

    def feature_names(self, i: int) -> Names | None:
        """Return the names of the columns of its X."""

    def history(self, i: int) -> History:
        """Return its history."""

    def stop_reason(self, i: int) -> StopReason:
        """Return the reason why its training ended."""

    def result(self, i: int) -> TrainingResult:
        """Return the whole result."""


class Stored(NamedTuple):
    """The result of a member in a source."""

    source: Source
    place: int

    @property
    def network(self) -> Network:
        """The network."""
        return self.source.network(self.place)

    @property
    def backend(self) -> Backend:
        """The back end that predicts."""
        return self.source.backend(self.place)

    @property
    def params(self) -> Array:
        """The parameters (n_params,), read-only."""
        return self.source.params(self.place)

    @property
    def feature_names(self) -> Names | None:
        """The names of the columns of X."""
        return self.source.feature_names(self.place)

    @property
    def history(self) -> History:
        """The losses and learning rates."""
        return self.source.history(self.place)

    @property
    def n_epochs(self) -> int:
        """Epochs that ended."""
        return len(self.history.loss)

    @property
    def stop_reason(self) -> StopReason:
        """The reason why the training ended."""
        return self.source.stop_reason(self.place)

    def result(self) -> TrainingResult:
        """The whole result."""
        return self.source.result(self.place)


class AllStored(Sequence[Stored]):
    """The results of all members in a source, in order, each made on request."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, i: int) -> Stored: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Stored]: ...
    def __getitem__(self, i: int | slice) -> Stored | Sequence[Stored]:
        places = range(len(self._source))[i]
        return Stored(self._source, places) if isinstance(places, int) else [self[k] for k in places]


MemberResult = TrainingResult | Row | Stored | Unbegun


def result_of(member_result: MemberResult) -> TrainingResult:
    """Return the whole result of a member."""
    return member_result if isinstance(member_result, TrainingResult) else member_result.result()


def has_state(member_result: MemberResult) -> bool:
    """Return whether a member has a state and losses, unlike a network that was saved alone."""
    if isinstance(member_result, Stored):
        return member_result.source.has_states
    return not isinstance(member_result, TrainingResult) or member_result.state.index is not None


Scored = tuple[str, bool]
"""The name of the monitor of a member, and whether it scores validation data."""


def scored(member_result: MemberResult) -> Scored | None:
    """Return the kind of a member's scores; None before its first epoch."""
    history = member_result.history
    return (history.monitor, bool(len(history.validation_loss))) if len(history.loss) else None


def sign_of(kinds: Iterable[Scored | None]) -> int:
    """Return 1 if the lowest score is best, -1 if the greatest is; ValueError if scores cannot be compared."""
    numbers = Counter(kind for kind in kinds if kind is not None)
    if len(numbers) > 1:
        named = ((scored_by(monitor, validated=validated), n) for (monitor, validated), n in numbers.items())
        said = ", ".join(f"{counted(n, 'member')} by {name}" for name, n in sorted(named))
        raise ValueError(f"the scores cannot be compared ({cut(said)}): compare members of one kind, or by predictions")
    return 1 if all(monitor == "loss" for monitor, _ in numbers) else -1


def losses_of(
    kinds: Iterable[Scored | None], scores: Iterable[float], reasons: Iterable[StopReason]
) -> NDArray[np.float64]:
    """Return the scores (m,), with signs so that the lowest is best; ValueError if they cannot be compared.

    They are infinite for members without a finite score, and for members that diverged, whose last score is older.
    """
    losses = sign_of(kinds) * np.array([*scores], np.float64)
    diverged = np.array([reason == "diverged" for reason in reasons], bool)
    return np.where(np.isfinite(losses) & ~diverged, losses, np.inf)


def place_of_best(losses: NDArray[np.float64]) -> int:
    """Return the index of the lowest of the numbers of `losses_of`; ValueError if none is finite."""
    if not np.isfinite(losses).any():
        raise ValueError("no member is the best: each one diverged or has no finite score")
    return int(np.argmin(losses))


def rate_of(member_result: MemberResult) -> float:
    """Return the learning rate of a member's optimizer or of its schedule; NaN for any other."""
    if isinstance(member_result, Row):
        results, place = member_result
        rate: Any = results.optimizer(place)["learning_rate"]
    else:
        counters = {} if isinstance(member_result, Unbegun) else result_of(member_result).state.counters
        rate = counters.get("optimizer", {}).get("learning_rate")
    rate = rate.get("learning_rate") if isinstance(rate, dict) else rate
    return float(rate) if isinstance(rate, (int, float)) else np.nan


def score_of(member_result: MemberResult, history: History | None = None) -> float:
    """Return the score of a member's parameters; `history` covers all parts of its training."""
    history = member_result.history if history is None else history
    scores = history.score
    if not len(scores):
        return np.nan
    best = None
    if isinstance(member_result, Row):
        own = member_result.results.decided.get(member_result.place, PLAIN)
        best = own.counters.get("best_score") if own.params is not None else None
    elif isinstance(member_result, TrainingResult):
        state = member_result.state
        is_best = state.best_params is not None and np.array_equal(member_result.params, state.best_params)
        best = state.counters.get("best_score") if is_best else None
    if best is not None:
        return best if history.monitor == "loss" else -best
    return float(scores[-1])
