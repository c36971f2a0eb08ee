"""Population: trainings that go on in parts; between two parts members are compared, dropped, replaced."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import DTypeLike

from fastnn.backends import Backend
from fastnn.checking.arguments import check_integer
from fastnn.checking.keywords import explains_keywords
from fastnn.many.arguments import arguments_of, spread
from fastnn.many.call import Callbacks, Caller, tell_interrupted
from fastnn.many.continued import free
from fastnn.many.members import check_members, check_start
from fastnn.many.standings import Standings
from fastnn.training import Stop
from fastnn.training.optional_parts import check_supported
from fastnn.training.options import NOT_GIVEN, choose_options


@explains_keywords
class Population(Standings):
    """Many networks that are trained in parts, and compared, dropped or replaced between two of them.

    A mapping from the numbers of the members that are left, which never change, to their `TrainingResult`: each has the
    same bits as `fastnn.train` alone gives it with as many epochs, in whatever parts they were trained.

    Parameters
    ----------
    networks : Network, or a sequence of them
        The network of all members, or one for each.
    X : array-like or data frame (n, n_inputs), or (m, n, n_inputs)
        The inputs. As for each argument below down to `stop`: one value for all members, or a list, tuple, range or
        array of numbers with one for each. Arrays for each are a list of arrays, or an array with one dimension more.
        Nested lists of numbers are data for all members.
    Y : array-like (n, n_outputs), or (m, n, n_outputs)
        The targets; one array of two dimensions is that of all members.
    n : int, optional
        The number of members, where there is no list: ``Population(network, X, Y, n=100)`` draws 100 seeds.
    sample_weight, rows, validation_rows : array-like (n,), (n_rows,) and (n_validation,), or one for each, optional
        The weights of the rows, and the numbers of those to train and to validate on, as for `fastnn.train`.
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
    params : array-like (n_params,), or (m, n_params), optional
        Initial parameters.
    resume : TrainingState, or one for each, optional
        The states to go on from, such as ``[result.state for result in many]``.
    new_rows : bool
        Whether X and Y are other rows than those of `resume`; one for all.
    stop : Stop, or one for each, optional
        A member whose rule has fired, or that has diverged, does not advance with the others;
        ``Stop(max_seconds=...)`` counts the seconds of all its parts.
    callbacks : iterable of callables
        Each is called with a `ManyProgress` between blocks of members, as for `fastnn.train_many`.
    backend : {"numba", "numpy"}, name or Backend
        What computes; one for all.
    dtype : {"float32", "float64"}, optional
        What to compute in; one for all.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity; one for all.
    n_jobs : int, optional
        Members that are trained at once. None or -1: all cores that the process may use, or all workers of an engine.
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
    >>> population = Population(Network((1, 8, 1), "tanh"), X, X**2, optimizer=Adam(), learning_rate=rates, seed=0)
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
        given = arguments_of({**locals(), "epochs": 0})
        self._caller = Caller(n_jobs, callbacks, progress)
        super().__init__(check_members(spread(given, n)))

    def advance(self, epochs: int | Mapping[int, int]) -> None:
        """Train the members on.

        Parameters
        ----------
        epochs : int or {member: int}
            How many more epochs, for all members that are left and whose training has not ended by a stop rule or by
            divergence; or how many for each of some members, which then go on even so.

        Raises
        ------
        KeyError, ValueError, TypeError
            For a number that is no member's, or not any more, and for epochs that are none; nothing is trained then.
        RuntimeError
            From a callback: while it advances, a population can be looked at only.
        TrainingInterrupted
            On Ctrl-C, where a member has ``Stop(on_interrupt="raise")``; its `result` is that of `results`.

        Notes
        -----
        On Ctrl-C what was trained is kept: members under way stop, those that had not begun stay as they were, and an
        `InterruptWarning` says so. They go on with the next call; an epoch that was begun is then ended first, and
        counted. When an error is raised, as by a monitor of your own, all members stay as they were;
        its `result`, if it has one, is a ManyResult of this part alone.

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
        members = [self._trainings[number].part(n) for number, n in wanted.items() if n]
        if not members:
            return
        trained, interrupted = self._caller.train(members)
        for member, member_result in zip(members, trained._member_results, strict=True):
            self._trainings[member.number].add(member_result)
            self._epochs_trained += member_result.n_epochs
        free(self._trainings.values())
        if interrupted:
            tell_interrupted(members, trained, self.results(), "what the population keeps")

    def _wanted(self, epochs: int | Mapping[int, int]) -> dict[int, int]:
        """Return {member: epochs}."""
        if isinstance(epochs, Mapping):
            for number in epochs:
                self._training(number)
            return {int(i): check_integer(f"epochs of member {i}", n, low=0) for i, n in epochs.items()}
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
        numbers = set(members) if isinstance(members, Iterable) else {members}
        for number in numbers:
            self._training(number)
        for number in numbers:
            del self._trainings[int(number)]
        free(self._trainings.values())

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
    ) -> None:
        """Let a member go on as a copy of another one, with other settings; or as itself with other settings.

        The copy has all that the other one has: network, data, parameters, the optimizer's state, generator, order of
        the rows, stop rules and history. It goes on as ``train(..., resume=state)`` would with these settings.

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
        before = training.member.settings
        optimizer, batch_size, _, alpha = choose_options(
            before.optimizer if optimizer is None else optimizer,
            before.batch_size if batch_size is NOT_GIVEN else batch_size,
            before.shuffle,
            before.alpha if alpha is NOT_GIVEN else alpha,
        )
        if learning_rate is not None:
            optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
        check_supported(before.backend, before.network, optimizer, alpha=alpha)
        after = before._replace(optimizer=optimizer, batch_size=batch_size, alpha=alpha)
        copy = training.copy(training.member._replace(number=int(member), settings=after))
        check_start(copy.part(0))
        self._trainings[int(member)] = copy
        self._seeds[int(member)] = self._seeds[int(member if by is None else by)]
