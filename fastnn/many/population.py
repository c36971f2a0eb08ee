"""A population: trainings in parts, whose members can be dropped, copied and replaced."""

from __future__ import annotations

import contextlib
import copy
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.backends import Backend, check_supported
from fastnn.checking import display
from fastnn.checking.arguments import check_integer, counted, shown
from fastnn.checking.hints import explains_keywords
from fastnn.many.block import train_alone
from fastnn.many.driver import Callbacks, checked, tell_interrupted
from fastnn.many.members import Member, check_start
from fastnn.many.results import ManyResult, Unbegun, losses_of, picture, place_of_best, score_of
from fastnn.optimizers import with_rate
from fastnn.training import Stop
from fastnn.training.exceptions import Flag
from fastnn.training.history import History
from fastnn.training.options import NOT_GIVEN, TrainOptions, choose_options
from fastnn.training.results import Row, Store, TrainingResult, by_store
from fastnn.training.stopping import ENDS, StopReason, name_of

COLUMNS = ("loss", "validation_loss", "learning_rate", "measured")
"""The arrays of a `History`, with a number for each epoch, or empty."""


class Continued(Store):
    """The training of a member in parts, which are trained elsewhere and added here."""

    def __init__(self, member: Member) -> None:
        self.member = member
        """Its seed and parameters are for the first part; later parts resume `last`."""
        self.last: Row | None = None
        """The result of the last part."""
        self.reason: StopReason = "epochs"
        self.n_done = 0
        self.seconds = 0.0
        self._columns = {name: array("d") for name in COLUMNS}

    @property
    def options(self) -> TrainOptions:
        """The options of all parts."""
        return self.member.options

    def part(self, n_epochs: int, known: dict[tuple[int, int], TrainOptions]) -> Member:
        """Return the member with the options of the next part; those that are `known` for others
        are used again.
        """
        stop = self.options.stop
        key = id(self.options), n_epochs
        options = known.get(key)
        if stop.max_seconds is not None:
            left = max(stop.max_seconds - self.seconds, 1e-9)
            options = self.options._replace(n_epochs=n_epochs, stop=replace(stop, max_seconds=left))
        elif options is None:
            options = known[key] = self.options._replace(n_epochs=n_epochs)
        return self.member._replace(
            options=options, start=self.member.start if self.last is None else self.last
        )

    def add(self, part: Row) -> None:
        """Add a part that was trained."""
        store, k = part
        if isinstance(store, Unbegun):
            self.reason = store.stop_reason(k)
            return
        history = store.history(k)
        for name, column in self._columns.items():
            # of a part that was not added to its end, because of an exception
            del column[self.n_done :]
            if len(values := getattr(history, name)):
                column.frombytes(values.tobytes())
        if self.last is None:
            self.member = self.member._replace(start=None)
            if self.options.new_rows:
                self.member = self.member._replace(options=self.options._replace(new_rows=False))
        self.seconds += history.seconds
        limit = self.options.stop.max_seconds
        reason = store.stop_reason(k)
        if reason == "epochs" and limit is not None and self.seconds >= limit:
            reason = "time"
        self.last = part
        self.reason = reason
        self.n_done += len(history.loss)

    def begin(self) -> Row:
        """Return the result of the last part; before the first one, a result with drawn weights
        only.
        """
        if self.last is None:
            self.add(train_alone(self.part(0, {}), Flag(True, self.reason)))
        assert self.last is not None
        return self.last

    def result(self, k: int = 0) -> TrainingResult:
        """Return the result of all parts, as of one training."""
        return replace(self.begin().result(), history=self.history(), stop_reason=self.reason)

    def history(self, k: int = 0) -> History:
        """Return the history of all parts, as of one training."""
        loss, validation_loss, rates, measured = (
            np.array(column[: self.n_done]) for column in self._columns.values()
        )
        return History(
            loss, validation_loss, self.seconds, rates, measured, name_of(self.options.stop.monitor)
        )

    def stop_reason(self, k: int) -> StopReason:
        """Return the reason why the last part ended."""
        return self.reason

    def best_score(self, k: int) -> float | None:
        """Return the score of the parameters, where they are those of the best epoch."""
        return None if self.last is None else self.last.store.best_score(self.last.place)

    @property
    def is_over(self) -> bool:
        """Whether a stop rule or divergence has ended the training."""
        return self.reason in ENDS

    def copy(self, number: int, options: TrainOptions) -> Continued:
        """Return a copy that continues from here as another member, with these options."""
        twin = copy.copy(self)
        twin.member = self.member._replace(number=number, options=options)
        twin._columns = {name: column[:] for name, column in self._columns.items()}
        return twin


def free(trainings: Mapping[int, Continued]) -> None:
    """Free the rows of results that no training resumes, and histories that the trainings have."""
    last = {
        number: training.last for number, training in trainings.items() if training.last is not None
    }
    for results, numbers in by_store(last):
        places = [last[number].place for number in numbers]
        if len(set(places)) < len(results.t):
            results = results.rows(places).without_histories()
            places = list(range(len(places)))
        elif results.loss.size:
            results = results.without_histories()
        for number, place in zip(numbers, places, strict=True):
            trainings[number].last = Row(results, place)


@explains_keywords
class Population(Mapping[int, TrainingResult]):
    """Many networks that are trained in parts, and compared, dropped or replaced between two of
    them.

    A mapping from the numbers of the members that are left, which never change, to their
    `TrainingResult`: each has the same bits as `fastnn.train` alone gives it with as many epochs,
    in whatever parts they were trained.

    Parameters
    ----------
    networks : Network, or a sequence of them
        The network of all members, or one for each.
    X : array-like or data frame (n, n_inputs), or (m, n, n_inputs)
        The inputs. As for each argument below down to `stop`: one value for all members, or a list,
        tuple, range or array of numbers with one for each. Arrays for each are a list of arrays, or
        an array with one dimension more. Nested lists of numbers are data for all members.
    Y : array-like (n, n_outputs), or (m, n, n_outputs)
        The targets; one array of two dimensions is that of all members.
    n : int, optional
        The number of members, where there is no list: ``Population(network, X, Y, n=100)`` draws
        100 seeds.
    sample_weight, rows, validation_rows : array-like (n,), (n_rows,), (n_validation,), optional
        One for all members, or one for each.
        The weights of the rows, and the numbers of those to train and to validate on, as for
        `fastnn.train`.
    optimizer : Optimizer, or one for each, optional
        ``Adam()`` where it is not given.
    learning_rate : float, schedule, or one for each, optional
        In place of the optimizer's.
    batch_size, shuffle : int or None, and bool, or one for each, optional
        Rows a step, and whether they are put in a new order each epoch, as for `fastnn.train`.
    seed : int, RandomState, None, or a sequence with one for each
        None: other numbers at each call. A RandomState may be that of one member.
    alpha : float, or one for each, optional
        Strength of the L2 penalty.
    clip_norm : float, or one for each, optional
        The most that the length of a step's gradient may be.
    rates : sequence of float or (float, float), optional
        Factors of the learning rate for each layer, as for `fastnn.train`; the same for all
        members.
    params : array-like (n_params,), or (m, n_params), optional
        Initial parameters.
    resume : TrainingState, or one for each, optional
        The states to go on from, such as ``[result.state for result in many]``.
    new_rows : bool
        Whether X and Y are other rows than those of `resume`; one for all.
    stop : Stop, or one for each, optional
        A member whose rule has fired, or that has diverged, does not advance with the others;
        ``Stop(max_seconds=...)`` is a limit for each member, and counts the seconds of all its
        parts.
    callbacks : iterable of callables
        Each is called with a `ManyProgress` between blocks of members, as for `fastnn.train_many`.
    backend : {"numba", "numpy"}, name or Backend
        What computes; one for all.
    dtype : {"float32", "float64"}, optional
        What to compute in; one for all.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity; one for all.
    n_jobs : int, optional
        Threads that train members, short trainings in blocks that they share. None or -1: all cores
        that the process may use, or all workers of an engine.
    progress : bool
        Whether to show a progress bar for each call of `advance` (needs the package rich).

    Raises
    ------
    ValueError, TypeError, MemoryError
        For what `fastnn.train_many` refuses.

    Examples
    --------
    Successive halving: the better third goes on three times as long.

    >>> import numpy as np
    >>> from fastnn import Adam, Network, Population
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> rates = np.logspace(-4, 0, 27)
    >>> population = Population(
    ...     Network((1, 8, 1), "tanh"), X, X**2, optimizer=Adam(), learning_rate=rates, seed=0
    ... )
    >>> for epochs in 10, 30, 90:
    ...     population.advance(epochs)
    ...     population.drop(population.ranking()[len(population) // 3 :])
    >>> len(population), population.epochs_trained
    (1, 810)
    >>> bool(population[population.best()].history.loss[-1] < 1e-3)
    True
    """

    def __init__(
        self,
        networks: Any,
        X: Any,
        Y: Any,
        *,
        n: int | None = None,
        sample_weight: Any = None,
        rows: Any = None,
        validation_rows: Any = None,
        optimizer: Any = None,
        learning_rate: Any = None,
        batch_size: Any = NOT_GIVEN,
        shuffle: Any = NOT_GIVEN,
        seed: Any = None,
        alpha: Any = NOT_GIVEN,
        clip_norm: Any = NOT_GIVEN,
        rates: Any = NOT_GIVEN,
        params: Any = None,
        resume: Any = None,
        new_rows: bool = False,
        stop: Stop | list[Stop] | None = None,
        callbacks: Callbacks = (),
        backend: str | Backend = "numba",
        dtype: DTypeLike | None = None,
        assume_finite: bool = False,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        self._caller, members = checked(**given, epochs=0)
        self._trainings = {member.number: Continued(member) for member in members}
        self._seeds = {member.number: member.known_seed for member in members}
        self._n = len(self._trainings)
        self._epochs_trained = 0

    def __getitem__(self, member: int) -> TrainingResult:
        return self._training(member).result()

    def __contains__(self, member: object) -> bool:
        return member in self._trainings  # `Mapping` would make its result

    def __iter__(self) -> Iterator[int]:
        return iter(self._trainings)

    def __len__(self) -> int:
        return len(self._trainings)

    def __repr__(self) -> str:
        dropped = f", {self._n - len(self)} dropped" if len(self) < self._n else ""
        trained = counted(self._epochs_trained, "epoch")
        return f"<Population: {counted(len(self), 'member')}{dropped}, {trained} trained>"

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {"members": len(self), "dropped": self._n - len(self)}
        facts["epochs trained"] = f"{self._epochs_trained:,}"
        shown = [self.members[i] for i in display.some_of(len(self))]
        histories = [self._trainings[number].history() for number in shown]
        try:
            best = self.best()
        except ValueError:  # none is known
            return display.card(self, facts, picture(histories, None, ""))
        facts |= {
            "best": f"member {best}",
            "its score": f"{score_of(Row(self._trainings[best], 0)):.4g}",
        }
        return display.card(
            self, facts, picture(histories, self._trainings[best].history(), f"member {best}")
        )

    @property
    def members(self) -> list[int]:
        """The numbers of the remaining members."""
        return list(self._trainings)

    @property
    def epochs_trained(self) -> int:
        """The epochs that all members have trained, dropped and replaced ones included."""
        return self._epochs_trained

    def results(self) -> ManyResult:
        """Collect the results of the remaining members.

        Returns
        -------
        ManyResult
            In the order of `members`.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.drop(1)
        >>> population.results().n_epochs
        array([2, 2])
        """
        results = [training.result() for training in self._trainings.values()]
        return ManyResult(results, [self._seeds[number] for number in self._trainings])

    def scores(self) -> dict[int, float]:
        """Look up the scores of the remaining members.

        Returns
        -------
        dict
            {number of the member: its score}, as `ManyResult.scores` has them; NaN before its first
            epoch.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.scores()
        {0: nan, 1: nan, 2: nan}
        """
        return {number: score_of(Row(training, 0)) for number, training in self._trainings.items()}

    def best(self) -> int:
        """Find the remaining member with the best score.

        Returns
        -------
        int
            Its number, the first of `ranking`; a member that diverged is never the best. With
            ``Stop(validation=0.1)`` and several seeds, see there.

        Raises
        ------
        ValueError
            As in `ranking`, and if no such member has a finite score.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.scores()[population.best()] == min(population.scores().values())
        True
        """
        return self.members[place_of_best(self._losses())]

    def ranking(self) -> list[int]:
        """Sort the remaining members by their scores.

        Returns
        -------
        list of int
            Their numbers, the best first: the lowest loss, or greatest score. Members that diverged
            or have no finite score are last; those with equal scores are in the order of `members`.
            Give all members the same `validation_rows`, since each seed draws other rows for
            ``Stop(validation=0.1)``, and scores of other rows say little of which is better.

        Raises
        ------
        ValueError
            Before the first epoch of any member, and for members with different scores, such as
            another monitor, or losses of validation data and of the rows trained on, which cannot
            be compared.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> best, *others = population.ranking()
        >>> population.scores()[best] == min(population.scores().values())
        True
        """
        members = self.members
        return [members[place] for place in np.argsort(self._losses(), kind="stable")]

    def _losses(self) -> NDArray[np.float64]:
        """Return the result of `losses_of` for the members that are left."""
        trainings = self._trainings.values()
        if trainings and not any(training.n_done or training.is_over for training in trainings):
            raise ValueError(
                "no member has trained an epoch yet, so that none is the best: say "
                "advance(epochs) first"
            )
        return losses_of([Row(training, 0) for training in trainings])

    def _training(self, member: Any) -> Continued:
        """Return the training of a member that is left."""
        training = self._trainings.get(member) if type(member) is int else None
        if training is not None:
            return training
        number = check_integer("member", member)
        if number in self._trainings:
            return self._trainings[number]
        if 0 <= number < self._n:
            raise KeyError(f"member {number} was dropped")
        raise KeyError(f"there is no member {shown(number)}: they are 0 to {self._n - 1}")

    def advance(self, epochs: int | Mapping[int, int]) -> None:
        """Train the members on.

        Parameters
        ----------
        epochs : int or {member: int}
            How many more epochs, for all members that are left and whose training has not ended by
            a stop rule or by divergence; or how many for each of some members, which then go on
            even so.

        Raises
        ------
        KeyError, ValueError, TypeError
            For a number that is no member's, or not any more, and for epochs that are none; nothing
            is trained then.
        RuntimeError
            From a callback: while it advances, a population can be looked at only.
        TrainingInterrupted
            On Ctrl-C, where a member has ``Stop(on_interrupt="raise")``; its `result` is that of
            `results`.

        Notes
        -----
        On Ctrl-C what was trained is kept: members under way stop, those that had not begun stay as
        they were, and an `InterruptWarning` says so. They go on with the next call; an epoch that
        was begun is then ended first, and counted. When an error is raised, as by a monitor of your
        own, all members stay as they were; its `result`, if it has one, is a ManyResult of this
        part alone.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.advance({0: 3})
        >>> population.results().n_epochs
        array([5, 2, 2])
        """
        self._caller.check_idle()
        wanted = self._wanted(epochs)
        known: dict[tuple[int, int], TrainOptions] = {}
        members = [self._trainings[number].part(n, known) for number, n in wanted.items() if n]
        if not members:
            return
        trained, interrupted = self._caller.train(members)
        for member, part in zip(members, trained._rows, strict=True):
            self._trainings[member.number].add(part)
            self._epochs_trained += part.store.n_epochs(part.place)
        with contextlib.suppress(MemoryError):  # the next call frees it
            free(self._trainings)
        if interrupted:
            tell_interrupted(members, trained, self.results(), "what the population keeps")

    def _wanted(self, epochs: int | Mapping[int, int]) -> dict[int, int]:
        """Return {member: epochs}."""
        if isinstance(epochs, Mapping):
            for number in epochs:
                self._training(number)
            return {
                int(i): check_integer(f"epochs of member {i}", n, low=0) for i, n in epochs.items()
            }
        n = check_integer("epochs", epochs, low=0)
        return {number: n for number, training in self._trainings.items() if not training.is_over}

    def drop(self, members: int | Iterable[int]) -> None:
        """Drop members and free their memory; the others keep their numbers.

        Parameters
        ----------
        members : int or iterable of int
            Their numbers.

        Raises
        ------
        KeyError, TypeError
            For a number that is no member's, or not any more; none is dropped then.
        RuntimeError
            From a callback, while it advances.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.drop([0, 2])
        >>> population.members
        [1]
        """
        self._caller.check_idle()
        numbers = list(members) if isinstance(members, Iterable) else [members]
        for number in numbers:
            self._training(number)
        for number in {int(number) for number in numbers}:
            del self._trainings[number]
        free(self._trainings)

    @explains_keywords
    def replace(
        self,
        member: int,
        by: int | None = None,
        *,
        optimizer: Any = None,
        learning_rate: Any = None,
        batch_size: Any = NOT_GIVEN,
        alpha: Any = NOT_GIVEN,
        clip_norm: Any = NOT_GIVEN,
        rates: Any = NOT_GIVEN,
    ) -> None:
        """Let a member go on as a copy of another one, with other settings; or as itself with other
        settings.

        The copy has all that the other one has: network, data, parameters, the optimizer's state,
        generator, order of the rows, stop rules and history. It goes on as ``train(...,
        resume=state)`` would with these settings.

        Parameters
        ----------
        member : int
            The one to be replaced; it keeps its number.
        by : int, optional
            The one to copy. None: the member itself.
        optimizer : Optimizer, optional
            Of the same class, once training has begun.
        learning_rate : float or schedule, optional
            In place of the optimizer's.
        batch_size : int or None, optional
            Rows a step, between two epochs only.
        alpha : float, optional
            Strength of the L2 penalty.
        clip_norm, rates : float, and sequence of float or (float, float), optional
            As for `fastnn.train`; None takes them off.

        Raises
        ------
        KeyError
            For a number that is no member's, or not any more.
        TypeError, ValueError
            For settings that `fastnn.train` refuses to go on with.
        RuntimeError
            From a callback, while it advances.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.replace(2, by=0, learning_rate=0.1)
        >>> population.advance({2: 1})
        >>> population[2].n_epochs, population[2].history.learning_rate.tolist()
        (3, [0.001, 0.001, 0.1])
        """
        self._caller.check_idle()
        training = self._training(member if by is None else by)
        if by is not None:
            self._training(member)
            training.begin()
        before = training.options
        options = choose_options(
            optimizer=before.optimizer if optimizer is None else optimizer,
            batch_size=before.batch_size if batch_size is NOT_GIVEN else batch_size,
            shuffle=before.shuffle,
            alpha=before.alpha if alpha is NOT_GIVEN else alpha,
            clip_norm=clip_norm,
            rates=rates,
            before=before.optimizer.to_dict(),
        )
        if learning_rate is not None:
            options = options._replace(optimizer=with_rate(options.optimizer, learning_rate))
        check_supported(before.backend, before.network, options.optimizer, alpha=options.alpha)
        copy = training.copy(int(member), before._replace(**options._asdict()))
        check_start(copy.part(0, {}))
        self._trainings[int(member)] = copy
        self._seeds[int(member)] = self._seeds[int(member if by is None else by)]
