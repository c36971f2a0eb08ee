"""search(): settings of a network by successive halving or Hyperband, in populations that train on
with the better.
"""

import bisect
import dataclasses
import inspect
import itertools
import math
import numbers
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fastnn.checking import display
from fastnn.checking.arguments import amount, check_choice, check_integer, errors_of, shown
from fastnn.checking.hints import instead_of, unknown_keyword
from fastnn.many.members import one_each
from fastnn.many.population import Population
from fastnn.many.results import ManyResult
from fastnn.network import Network
from fastnn.optimizers import with_rate
from fastnn.schedules import Schedule
from fastnn.training.exceptions import DivergenceError
from fastnn.training.generator import Seed, make_random_state
from fastnn.training.inputs import check_network
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import Stop

OF_NETWORK = ("hidden_layer_sizes", "activation", "init", "bias", "bias_init")
OF_TRAINING = ("optimizer", "learning_rate", "batch_size", "shuffle", "alpha", "clip_norm", "seed")
OF_SPACE = ("network", *OF_NETWORK, *OF_TRAINING)
"""The names that a space may have."""

METHODS = ("halving", "hyperband")
OF_TRIAL = ("score", "loss", "n_epochs", "best_epoch", "stop_reason", "seconds")
"""The columns of `ManyResult.to_dict` that a search keeps of each trial."""

UNBEGUN = dict[str, Any](zip(OF_TRIAL, (math.nan, math.nan, 0, 0, "time", 0.0), strict=True))
"""A trial that had not begun when the search ended."""

MOST_MEMBERS = 10**6
"""The limit of the networks of a halving."""

OF_ROWS = ("rows", "validation_rows")

HELD_OUT = 0.2
"""The part of the rows by which trials are compared, where the caller says nothing."""

Draw = Callable[[RandomState], Any]
Settings = Mapping[str, Any]
Trial = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult(display.Shown):
    """What a search found, and all that it tried.

    Attributes
    ----------
    best : TrainingResult
        The network with the best score, to predict with, save, export and train further.
    settings : dict
        Its settings, by the names of the space.
    score : float
        Its score, by which it was chosen: that of new rows is not as good.
    epochs_trained : int
        The epochs of all networks together.
    trials : list of dict
        The settings and the results of each network that was tried, in the order of the draws.
    rows, validation_rows : ndarray of int (n_rows,), (n_validation,), or None
        The rows that networks were trained on and compared by, as given or drawn: to resume, say
        ``found.best.resume(X, Y, epochs=10, rows=found.rows,
        validation_rows=found.validation_rows)``. Rows of None are all others. Validation rows are
        None with ``Stop(validation=...)``; then `best.state` has those of the best network.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, search
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> found = search(
    ...     {"alpha": [0.0, 99.0]},
    ...     X,
    ...     X**2,
    ...     network=Network((1, 8, 1)),
    ...     budget=99,
    ...     epochs=81,
    ...     seed=0,
    ... )
    >>> found.settings, found.epochs_trained, found.best.n_epochs
    ({'alpha': 0.0}, 90, 81)
    """

    best: TrainingResult
    settings: dict[str, Any]
    score: float
    epochs_trained: int
    trials: list[dict[str, Any]]
    rows: NDArray[np.int64] | None = None
    validation_rows: NDArray[np.int64] | None = None

    def _chart(self) -> str:
        return self.best.history._chart()

    def _facts(self) -> dict[str, object]:
        tried = {
            "trials": len(self.trials),
            "epochs": self.epochs_trained,
            "best score": f"{self.score:.4g}",
        }
        best = {
            name: f"{v:.4g}" if isinstance(v, float) else shown(v)
            for name, v in self.settings.items()
        }
        return {**tried, **best}

    def to_dict(self) -> dict[str, Any]:
        """Return columns with a row for each trial, for ``pandas.DataFrame(found.to_dict())``.

        Returns
        -------
        dict
            The names of the space; "bracket" (the halving that the trial was part of, from 0); and
            "score", "loss", "n_epochs", "best_epoch", "stop_reason" and "seconds", as in
            `ManyResult.to_dict`, when it was left behind. Numbers are arrays (n_trials,), all else
            lists.

        Examples
        --------
        >>> from fastnn import Network, search
        >>> found = search(
        ...     {"alpha": [0.0, 0.1]},
        ...     [[0.0], [1.0]],
        ...     [0, 1],
        ...     network=Network((1, 1)),
        ...     budget=9,
        ...     epochs=2,
        ... )
        >>> found.to_dict()["alpha"], found.to_dict()["n_epochs"]
        (array([0. , 0.1]), array([2, 2]))
        """
        columns = {name: [trial[name] for trial in self.trials] for name in self.trials[0]}
        return {
            name: np.array(values)
            if all(isinstance(value, numbers.Real) for value in values)
            else values
            for name, values in columns.items()
        }


def search(
    space: Mapping[str, Any],
    X: Any,
    Y: Any,
    *,
    network: Network | None = None,
    budget: int,
    epochs: int = 81,
    method: str = "halving",
    factor: int = 3,
    seed: Seed = None,
    **options: Any,
) -> SearchResult:
    """Search for good settings: many networks are trained a little, and the better part trains on,
    until one is left.

    No epoch is trained twice, and each network has the bits that `fastnn.train` gives it alone,
    whatever the threads.

    Parameters
    ----------
    space : dict
        {name: list, tuple, range or array of values, frozen distribution of scipy.stats, or
        function of a RandomState that draws a value}. Names are hidden_layer_sizes (a width or a
        tuple of widths), activation, init, bias and bias_init, of the network; optimizer,
        learning_rate, batch_size, shuffle, alpha, clip_norm and seed, of the training; or network.
        Of lists alone, no combination is tried twice in a halving.
    X, Y : array-like or data frame (n, n_inputs), and array-like (n, n_outputs) or (n,)
        Inputs and targets, as for `fastnn.train`.
    network : Network, optional
        The network, with what the space does not vary. Not needed where the space has networks.
    budget : int
        The most epochs that all networks together are trained. It decides how many are tried.
    epochs : int
        The epochs of a network that trains to the end.
    method : {"halving", "hyperband"}
        "halving" [1]_ begins with as many networks and as few epochs as it can; where the budget
        allows all combinations of lists, with as many epochs as it can. "hyperband" [2]_ shares the
        budget among halvings of several kinds, from many networks with few epochs each to few
        networks with many, in case that the first epochs say little about the last.
    factor : int
        Of the networks, 1/factor train on, each to `factor` times the epochs.
    seed : int, RandomState, optional
        Draws the validation rows and the settings; an int is also the seed of each network. None:
        other numbers at each call.
    **options
        Further arguments of `fastnn.Population`, for all networks: ``optimizer=``, ``batch_size=``,
        ``stop=``, ``validation_rows=``, ``n_jobs=`` and others. Networks are compared by the score
        of ``Stop(monitor=...)`` on validation rows; unless you give some, by `validation_rows` or
        ``Stop(validation=...)``, a fifth of the rows is drawn, the same for all networks.
        ``Stop(max_seconds=...)`` is the limit of the whole search, which then returns what was
        found so far. All settings are drawn and checked before the first training, whatever the
        limit: about 0.1 ms for each network.

    Returns
    -------
    SearchResult
        The best network, its settings and score, and a table of all trials. After Ctrl-C, what was
        found so far.

    Raises
    ------
    ValueError, TypeError
        For unknown names, empty lists, a budget that one network would exceed, and what
        `Population` refuses; before any training. Also if ``Stop(max_seconds=...)`` is over before
        a network has a score.
    DivergenceError
        If all networks diverged or have no finite score; its `trials` are those of a SearchResult.

    See Also
    --------
    fastnn.Population : Trainings in parts, for other searches.

    References
    ----------
    .. [1] Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter
       optimization, AISTATS 2016.
    .. [2] Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR
       18, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, search
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> space = {
    ...     "learning_rate": lambda random: 10 ** random.uniform(-4, 0),
    ...     "hidden_layer_sizes": [4, 8, (8, 8)],
    ... }
    >>> found = search(
    ...     space, X, X**2, network=Network((1, 8, 1), "tanh"), budget=600, epochs=81, seed=0
    ... )
    >>> len(found.trials), found.epochs_trained, found.best.n_epochs
    (166, 600, 81)
    >>> bool(found.best.score(X, X**2) > 0.9)
    True
    """
    # One function, however long: each step of a search stands here once, in order.
    began = time.monotonic()
    _check_names(options)
    check_choice("method", method, METHODS)
    ranges = _ranges(space, network, options)
    epochs = check_integer("epochs", epochs, low=1)
    factor = check_integer("factor", factor, low=2)
    budget = check_integer("budget", budget, low=1)
    halvings = _halvings(budget, epochs, method, factor, _n_combinations(ranges))
    random = make_random_state(seed)
    options, limit = _for_all(X, Y, options, random)
    if "seed" not in ranges:
        options["seed"] = (
            random.randint(2**32, dtype=np.int64) if seed is None or seed is random else seed
        )
    drawn = [_drawn(ranges, n_members, random) for n_members, _ in halvings]
    # all of them are checked now
    populations = [_population(settings, network, X, Y, options) for settings in drawn]
    trials: list[Trial] = []
    left: list[tuple[TrainingResult, Trial]] = []
    epochs_trained = 0
    is_over = False
    for bracket, (settings, (_, rungs)) in enumerate(zip(drawn, halvings, strict=True)):
        if is_over:
            break
        population = populations.pop(0)
        population._caller.deadline = math.inf if limit is None else began + limit
        ended, last, is_over = _halve(population, epochs, rungs, factor)
        tried = {
            member: {**_shown(settings[member]), "bracket": bracket, **end}
            for member, end in ended.items()
        }
        left += [(result, tried[member]) for member, result in last.items()]
        trials += [tried[member] for member in sorted(tried)]
        epochs_trained += population.epochs_trained
    many = ManyResult([result for result, _ in left])
    if is_over and not np.isfinite(many.scores).any():
        if limit is not None and time.monotonic() >= began + limit:
            fault = f"max_seconds={limit:g} of stop were over before a network had a score"
            raise ValueError(f"{fault}: raise them, or lower budget")
        raise KeyboardInterrupt("the search ended before a network had a score")
    _check_some_learned(many, [trial for _, trial in left], trials)
    k = many.best()
    best, trial = left[k]
    of_best = {name: trial[name] for name in ranges}
    score = float(many.scores[k])
    rows = {name: np.array(options[name]) for name in OF_ROWS if options.get(name) is not None}
    return SearchResult(best, of_best, score, epochs_trained, trials, **rows)


def _check_some_learned(many: ManyResult, last: list[Trial], trials: list[Trial]) -> None:
    """Raise DivergenceError, with all `trials`, if none of the `last` ones has a finite score."""
    if any(np.isfinite(trial["score"]) and trial["stop_reason"] != "diverged" for trial in last):
        return
    error = DivergenceError(
        f"all {len(trials)} networks of the search diverged, or have no finite score: try "
        f"smaller learning rates, or inputs and targets of the size of 1; `.trials` of this error "
        "are the settings and results of each",
        many,
    )
    error.trials = trials  # type: ignore[attr-defined]
    raise error


def _check_names(options: Settings) -> None:
    """Raise TypeError for an option that neither `search` nor the populations have."""
    of_both = {**inspect.signature(search).parameters, **inspect.signature(Population).parameters}
    legal = [name for name in of_both if name not in ("options", "networks", "n")]
    for name in options:
        if name not in legal:
            raise unknown_keyword("search", name, legal)


def _for_all(
    X: Any, Y: Any, options: Settings, random: RandomState
) -> tuple[dict[str, Any], float | None]:
    """Return the options of all networks, with rows to compare them by, and the limit of the search
    in seconds.
    """
    for name, value in {"X": X, "Y": Y, **options}.items():
        if name != "callbacks" and one_each(name, value) is not None:
            raise ValueError(
                f"{name} must be one for all networks of a search, not one for each: {shown(value)}"
            )
    limit = None
    stop = options.get("stop")
    options = dict(options)
    if isinstance(stop, Stop):
        limit = stop.max_seconds
        options["stop"] = dataclasses.replace(stop, max_seconds=None)
    if "validation_rows" not in options and getattr(stop, "validation", None) is None:
        if "rows" in options:
            raise ValueError(
                "rows say what to train on: give validation_rows= too, by which networks are "
                "compared"
            )
        n_rows = len(X) if isinstance(X, (list, tuple)) else (*getattr(X, "shape", ()), 0)[0]
        options["validation_rows"] = np.sort(
            random.permutation(n_rows)[: math.ceil(HELD_OUT * n_rows)]
        )
    return options, limit


def _ranges(
    space: Any, network: Any, options: Mapping[str, Any]
) -> dict[str, Sequence[Any] | Draw]:
    """Return the checked space: for each name a list of values, or a function that draws one."""
    if not isinstance(space, Mapping) or not space:
        raise TypeError(
            f"space must be a dict, such as {{'alpha': [0.0, 1e-3]}}, not {shown(space)}"
        )
    fixed = {**options, **({} if network is None else {"network": network})}
    if "network" not in {*space, *fixed}:
        raise TypeError(
            "search needs a network: say network=Network(...), or give networks in the space"
        )
    for name in space:
        if name not in OF_SPACE:
            widths = (
                ": did you mean 'hidden_layer_sizes'?"
                if name in ("hidden", "sizes", "layers")
                else ""
            )
            raise ValueError(
                f"space has no {shown(name)}{widths or instead_of(str(name), OF_SPACE)}"
            )
        if name in fixed:
            raise ValueError(f"{name} is in the space and an argument: give one of them")
    if "network" in space and (both := [name for name in OF_NETWORK if name in space]):
        raise ValueError(
            f"space has network and {both[0]}: give whole networks, or what they differ in"
        )
    return {name: _range(name, given) for name, given in space.items()}


def _range(name: str, choices: Any) -> Sequence[Any] | Draw:
    if hasattr(choices, "rvs"):
        return lambda random: _plain(choices.rvs(random_state=random))
    if callable(choices) and not isinstance(choices, Schedule):
        return lambda random: _plain(choices(random))
    values = choices.tolist() if isinstance(choices, np.ndarray) else choices
    if not isinstance(values, (list, tuple, range)):
        raise TypeError(
            f"space[{name!r}] must be a list of values, a range, a frozen distribution of "
            f"scipy.stats or a function of a RandomState, not {shown(choices)}; one value for all "
            f"networks is an argument, {name}=..."
        )
    if not values:
        raise ValueError(f"space[{name!r}] is empty: give a list of values")
    if values[sys.maxsize :]:
        raise ValueError(
            f"space[{name!r}] has more than {amount(sys.maxsize)} values: give a function that "
            f"draws one"
        )
    return values if values[MOST_MEMBERS:] else list(values)  # a long range is drawn from by index


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def _n_combinations(ranges: Mapping[str, Sequence[Any] | Draw]) -> int | None:
    """Return the number of combinations of lists; None where a range is no list."""
    lists = [values for values in ranges.values() if not callable(values)]
    return math.prod(map(len, lists)) if len(lists) == len(ranges) else None


def _halvings(
    budget: int, epochs: int, method: str, factor: int, n_combinations: int | None
) -> list[tuple[int, int]]:
    """Return (members, rungs) of each halving: as many members as the budget allows; if that is
    all, as few rungs.

    With n members in the first of r halvings, that of k rungs has ``n r / k factor^(k - r)``, as
    Hyperband does.
    """
    most = 1
    while factor**most <= epochs:
        most += 1
    if method == "halving" and n_combinations is not None and n_combinations <= MOST_MEMBERS:
        for k in range(1, most + 1):
            if _cost(n_combinations, k, epochs, factor) <= budget:
                return [(n_combinations, k)]
    rungs = range(most, 0 if method == "hyperband" else most - 1, -1)

    def halvings(n: int) -> list[tuple[int, int]]:
        return [(-(-n * most * factor**k // (k * factor**most)), k) for k in rungs]

    def cost(n: int) -> int:
        return sum(_cost(n_members, k, epochs, factor) for n_members, k in halvings(n))

    if budget < cost(1):
        raise ValueError(
            f"budget is {amount(budget)} epochs, less than the {amount(cost(1))} of a single "
            f"network in each halving: raise it, or say epochs=..., less than {amount(epochs)}"
        )
    if budget >= cost(MOST_MEMBERS):
        raise ValueError(
            f"budget is {amount(budget)} epochs, for more than a million networks: raise epochs=..."
        )
    return halvings(bisect.bisect(range(1, MOST_MEMBERS), budget, key=cost))


def _cost(n_members: int, rungs: int, epochs: int, factor: int) -> int:
    """Return the epochs that a halving trains."""
    total = 0
    for n_epochs in _epochs_of(epochs, rungs, factor):
        total = total + n_members * n_epochs
        n_members = max(n_members // factor, 1)
    return total


def _epochs_of(epochs: int, rungs: int, factor: int) -> list[int]:
    """Return the epochs of each rung: `factor` times as many in all as after the one before."""
    in_all = [epochs // factor**rung for rung in reversed(range(rungs))]
    return [now - before for before, now in itertools.pairwise([0, *in_all])]


def _drawn(
    ranges: Mapping[str, Sequence[Any] | Draw], n: int, random: RandomState
) -> list[dict[str, Any]]:
    """Return the settings of n networks; of lists alone, each combination once, which may be
    fewer.
    """
    lists = [values for values in ranges.values() if not callable(values)]
    rows: Any
    if len(lists) < len(ranges):
        given = ranges.values()
        columns = [
            [g(random) if callable(g) else g[_place(g, random)] for _ in range(n)] for g in given
        ]
        rows = zip(*columns, strict=True)
    elif math.prod(map(len, lists)) <= n:
        rows = itertools.product(*lists)
    else:
        places = dict[tuple[int, ...], None]()
        while len(places) < n:
            places[tuple(_place(values, random) for values in lists)] = None
        rows = ([values[i] for values, i in zip(lists, place, strict=True)] for place in places)
    return [dict(zip(ranges, row, strict=True)) for row in rows]


def _place(values: Sequence[Any], random: RandomState) -> int:
    # the default has 32 bits on some systems
    return int(random.randint(len(values), dtype=np.int64))


def _population(
    settings: list[Trial], network: Network | None, X: Any, Y: Any, options: Settings
) -> Population:
    """Return a population with these settings; an error in one of them begins with its name in the
    space.
    """
    distinct = dict[Network, Network]()  # networks that are equal are one, which is checked once
    networks = [_network(trial.get("network", network), trial) for trial in settings]
    networks = [distinct.setdefault(one, one) for one in networks]
    of_training: dict[str, Any] = {
        n: [trial[n] for trial in settings] for n in OF_TRAINING if n in settings[0]
    }
    try:
        return Population(networks, X, Y, **of_training, **options)
    except (TypeError, ValueError) as error:
        name = next(
            (name for name in of_training if re.match(rf"member \d+: .*\b{name}\b", str(error))),
            None,
        )
        if name is None:
            raise
        raise type(error)(f"space[{name!r}]: {error}") from None


def _network(network: Any, settings: Mapping[str, Any]) -> Network:
    """Return a network with these settings; an error begins with their names in the space."""
    check_network(network)
    chosen = {name: settings[name] for name in OF_NETWORK if name in settings}
    places = ", ".join(f"space[{name!r}]" for name in chosen)
    if "hidden_layer_sizes" in chosen:
        hidden = chosen.pop("hidden_layer_sizes")
        widths = hidden if isinstance(hidden, (list, tuple)) else (hidden,)
        chosen["sizes"] = network.sizes[0], *widths, network.sizes[-1]
    with errors_of(places):
        return dataclasses.replace(network, **chosen)


def _shown(settings: Settings) -> Trial:
    """Return the settings of a trial; an optimizer has the learning rate that it was trained
    with.
    """
    optimizer = settings.get("optimizer")
    rate = settings.get("learning_rate")
    return (
        {**settings}
        if optimizer is None or rate is None
        else {**settings, "optimizer": with_rate(optimizer, rate)}
    )


def _halve(
    population: Population, epochs: int, rungs: int, factor: int
) -> tuple[dict[int, Trial], dict[int, TrainingResult], bool]:
    """Train a population, from rung to rung the better part of it.

    Return what became of each member, the results of the last rung in which not all diverged, and
    whether the search is over.
    """
    ended: dict[int, Trial] = {}
    last: dict[int, TrainingResult] = {}
    try:
        for n_epochs in _epochs_of(epochs, rungs, factor):
            if ended:
                population.drop(population.ranking()[max(len(population) // factor, 1) :])
            population.advance(n_epochs)
            _record(population, ended, last)
            if population._caller.was_ended:
                return ended, last, True
    except KeyboardInterrupt:  # between two trainings
        return ended, last, True
    return ended, last, False


def _record(
    population: Population, ended: dict[int, Trial], last: dict[int, TrainingResult]
) -> None:
    """Write what became of each member to `ended`, and their results to `last`, unless all
    diverged.
    """
    unbegun = {
        number: one.reason for number, one in population._trainings.items() if one.last is None
    }
    ended |= {number: {**UNBEGUN, "stop_reason": reason} for number, reason in unbegun.items()}
    population.drop(unbegun)  # their results would take longer than all else
    results = population.results()
    columns = results.to_dict()
    ended |= {
        member: {name: _plain(columns[name][k]) for name in OF_TRIAL}
        for k, member in enumerate(population)
    }
    learned = np.isfinite(columns["score"]) & (columns["stop_reason"] != "diverged")
    if learned.any() or not last:
        last.clear()
        last |= zip(population, results, strict=True)
