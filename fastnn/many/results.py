"""ManyResult, the results of many trainings: a sequence of them, their predictions, scores and
histories.
"""

from __future__ import annotations

import itertools
import operator
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from fastnn.cached import cached_property
from fastnn.checking import display
from fastnn.checking.arguments import check_flag, counted, cut, shown
from fastnn.checking.values import check_column_names, column_names
from fastnn.memory import Array, read_only
from fastnn.network import Network
from fastnn.training.history import History, scored_by
from fastnn.training.inputs import check_inputs
from fastnn.training.options import TrainOptions
from fastnn.training.results import Row, Store, TrainingResult, WholeResults, score_of_rows
from fastnn.training.stopping import Monitor, Score, StopReason, name_of


def picture(histories: Sequence[History], best: History | None, name_of_best: str) -> str:
    """Return a chart of the losses of some members, with the best one in another color."""
    validated = bool(histories) and all(len(history.validation_loss) for history in histories)
    name, attribute = ("validation loss", "validation_loss") if validated else ("loss", "loss")
    blue, orange = display.COLORS
    curves = [display.Curve(getattr(history, attribute), name, blue, 0.35) for history in histories]
    if best is not None:
        curves.append(display.Curve(getattr(best, attribute), f"{name_of_best}, the best", orange))
    return display.chart([curve for curve in curves if len(curve.values)])


class ManyHistory(display.Shown):
    """The stacked histories of many trainings: a row for each member, NaN after its end.

    Parameters
    ----------
    histories : sequence of History
        The histories of the members.

    Examples
    --------
    >>> from fastnn import Network, train_many
    >>> many = train_many(
    ...     Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=[2, 4, 3]
    ... )
    >>> many.history.loss.shape
    (3, 4)
    >>> many.history.loss[0, 2:]
    array([nan, nan])
    """

    def __init__(self, histories: Sequence[History]) -> None:
        self._histories = histories

    def _chart(self) -> str:
        return picture(
            [self._histories[i] for i in display.some_of(len(self._histories))], None, ""
        )

    def _facts(self) -> dict[str, object]:
        return {"members": len(self._histories), "most epochs": self.loss.shape[1]}

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """The training losses (m, most epochs), see `History.loss`."""
        return self._stacked("loss")

    @cached_property
    def validation_loss(self) -> NDArray[np.float64]:
        """The validation losses (m, most epochs)."""
        return self._stacked("validation_loss")

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """The scores (m, most epochs) that decide the best epochs, see `History.score`."""
        return self._stacked("score")

    @cached_property
    def learning_rate(self) -> NDArray[np.float64]:
        """The learning rate (m, most epochs) of each epoch's last step."""
        return self._stacked("learning_rate")

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The seconds (m,) of each training; for short ones, which train in blocks, a share of the
        block.
        """
        return np.array([history.seconds for history in self._histories])

    @property
    def best_epoch(self) -> NDArray[np.int64]:
        """The epoch (m,) with the best score, from 1; 0 if there is none. See
        `History.best_epoch`.
        """
        return np.array([history.best_epoch for history in self._histories], np.int64)

    def to_dict(self) -> dict[str, Array]:
        """Return columns with a row for each epoch of each member, for ``pandas.DataFrame``.

        Returns
        -------
        dict of str to ndarray (epochs of all members,)
            "member", and the columns of `History.to_dict`.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(
        ...     Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(2), epochs=[1, 2]
        ... )
        >>> many.history.to_dict()["member"]
        array([0, 1, 1])
        """
        tables = [history.to_dict() for history in self._histories]
        member = np.repeat(np.arange(len(tables)), [len(table["epoch"]) for table in tables])
        names = tables[0] if tables else ()
        return {
            "member": member,
            **{name: np.concatenate([table[name] for table in tables]) for name in names},
        }

    def _stacked(self, name: str) -> NDArray[np.float64]:
        rows = [getattr(history, name) for history in self._histories]
        stacked = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for place, row in zip(stacked, rows, strict=True):
            place[: len(row)] = row
        return stacked


def outputs_of(rows: Sequence[Row], X: Any, assume_finite: bool) -> Iterator[Array]:
    """Iterate over the members' outputs (n, n_outputs); check X once for members with the same
    inputs.
    """
    checked: dict[tuple[int, Any, bool], Array] = {}
    names = column_names(X)
    for store, k in rows:
        if names is not None:
            check_column_names(names, store.feature_names(k))
        network = store.network(k)
        dtype = store.params(k).dtype
        backend = store.backend(k)
        kind = network.n_inputs, dtype, backend.takes_sparse
        if kind not in checked:
            checked[kind] = check_inputs(network, X, dtype, assume_finite, backend)
        yield store.predict(k, checked[kind])


def stacked(outputs: Iterator[Array], m: int, dtype: np.dtype[Any]) -> Array:
    """Return the outputs of m members in one array (m, n, n_outputs), without a second copy."""
    first = next(outputs)
    array = np.empty((m, *first.shape), dtype)
    for place, output in zip(array, itertools.chain([first], outputs), strict=True):
        place[...] = output
    return array


def mean_and_deviation(outputs: Iterable[Array]) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of outputs, member by member (Welford,
    Technometrics 4, 1962).
    """
    mean = squares = np.zeros(())
    k = 0
    for k, output in enumerate(outputs, 1):
        change = output.astype(np.float64) - mean
        mean = mean + change / k
        squares = squares + change * (output - mean)
    return mean, np.sqrt(squares / k)


class ManyResult(display.Shown, Sequence[TrainingResult]):
    """The results of `train_many`: ``many[i]`` is the `TrainingResult` that `train` would return
    for member i.

    Parameters
    ----------
    member_results : sequence of TrainingResult
        The results, if they do not come from `train_many`.
    seeds : sequence of int or None, optional
        The seeds of the trainings, for `to_dict`.

    Attributes
    ----------
    params : ndarray (m, n_params)
        The parameters; a list of vectors if the networks differ in size or dtype.
    history : ManyHistory
        ``history.loss`` (m, most epochs), NaN after a member's end, and so on.
    n_epochs : ndarray (m,)
        Epochs that ended.
    stop_reason : ndarray (m,) of str
        Why each training ended: "epochs", "diverged", "interrupted" ..., see `TrainingResult`;
        ``many[many.stop_reason == "epochs"]`` are the members that ended so.
    networks : list of Network
        The members' networks.

    Notes
    -----
    Short trainings leave arrays only. The other parts of a `TrainingResult` (the state, with the
    generator) are made each time that you index a member.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, Stop, train_many
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> stop = Stop(validation=0.25, restore_best=True)
    >>> many = train_many(Network((1, 8, 1), "tanh"), X, X**2, seed=range(5), epochs=30, stop=stop)
    >>> many
    <ManyResult: members 5, ended by 5 'epochs'>
    >>> best = many[many.best()]
    >>> bool(best.history.validation_loss.min() == many.scores.min())
    True
    >>> mean, deviation = many[1:4].predict(X, spread=True)
    >>> mean.shape, deviation.shape
    ((40, 1), (40, 1))
    """

    def __init__(
        self, member_results: Sequence[TrainingResult], seeds: Sequence[int | None] | None = None
    ) -> None:
        store = WholeResults(list(member_results))
        self._rows: Sequence[Row] = [Row(store, k) for k in range(len(member_results))]
        self._seeds = [None] * len(self._rows) if seeds is None else list(seeds)

    @classmethod
    def _of(cls, rows: Sequence[Row], seeds: Sequence[int | None]) -> ManyResult:
        """Return the results that are rows of stores."""
        many = cls.__new__(cls)
        many._rows = rows
        many._seeds = list(seeds)
        return many

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, i: int) -> TrainingResult: ...
    @overload
    def __getitem__(self, i: slice | Sequence[int] | NDArray[Any]) -> ManyResult: ...
    def __getitem__(
        self, i: int | slice | Sequence[int] | NDArray[Any]
    ) -> TrainingResult | ManyResult:
        """The result of a member, or of several members, as in an array: ``many[many.n_epochs >
        0]``.
        """
        if isinstance(i, (slice, list)) or (isinstance(i, np.ndarray) and i.ndim):
            chosen = np.arange(len(self))[i]
            return ManyResult._of([self._rows[k] for k in chosen], [self._seeds[k] for k in chosen])
        number = operator.index(cast(int, i))
        if not -len(self) <= number < len(self):
            raise IndexError(
                f"there is no member {shown(number)} of {counted(len(self), 'member')}, numbered "
                "from 0"
            )
        return self._rows[number].result()

    def _repr_html_(self) -> str:
        known = self.scores[np.isfinite(self.scores)]
        networks = sorted({"-".join(map(str, network.sizes)) for network in self.networks})
        shown = networks if len(networks) < 6 else [*networks[:5], "..."]
        scores = f"{known.min():.4g} to {known.max():.4g}" if len(known) else "none"
        facts: dict[str, object] = {**self._facts(), "networks": ", ".join(shown), "scores": scores}
        histories = [
            store.history(k) for store, k in (self._rows[i] for i in display.some_of(len(self)))
        ]
        try:
            best = self.best()
        except ValueError:  # none is known
            return display.card(self, facts, picture(histories, None, ""))
        facts["best"] = f"member {best}"
        return display.card(self, facts, picture(histories, self[best].history, f"member {best}"))

    def _facts(self) -> dict[str, object]:
        if self._has_no_states:
            return {"members": len(self), "state": "none"}
        ended = ", ".join(f"{n} {reason!r}" for reason, n in Counter(self.stop_reason).items())
        return {"members": len(self), "ended by": ended}

    @property
    def _has_no_states(self) -> bool:
        """Whether members are networks without losses, as from a file of ``save(path,
        state=False)``.
        """
        return bool(self._rows) and not any(store.has_state(k) for store, k in self._rows)

    @property
    def networks(self) -> list[Network]:
        """The members' networks."""
        return [store.network(k) for store, k in self._rows]

    @cached_property
    def params(self) -> Array | list[Array]:
        """The parameters (m, n_params), read-only; a list of vectors if they differ in size or
        dtype.
        """
        vectors = [store.params(k) for store, k in self._rows]
        if len({(vector.size, vector.dtype) for vector in vectors}) > 1:
            return vectors
        return read_only(np.array(vectors))

    @cached_property
    def history(self) -> ManyHistory:
        """The histories, stacked."""
        return ManyHistory([store.history(k) for store, k in self._rows])

    @property
    def n_epochs(self) -> NDArray[np.int64]:
        """The number of epochs (m,) that ended."""
        return np.array([store.n_epochs(k) for store, k in self._rows], np.int64)

    @property
    def stop_reason(self) -> NDArray[Any]:
        """The reason (m,) why each training ended, a str."""
        return np.array([store.stop_reason(k) for store, k in self._rows], object)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The score (m,) of each member's best epoch if it was restored, else of its last; NaN if
        there is none.

        For the monitor "loss" it is the validation loss, else the training loss before the last
        epoch's updates.
        """
        return np.array([score_of(row) for row in self._rows])

    def best(self) -> int:
        """Find the member with the best score.

        Returns
        -------
        int
            Its number: the lowest loss, or the greatest score of another monitor, of members that
            did not diverge. Give all members the same `validation_rows`, since each seed draws
            other rows for ``Stop(validation=0.1)``, and scores of other rows say little of which
            is better.

        Raises
        ------
        ValueError
            If no such score is finite or known, and for scores that cannot be compared, such as of
            different monitors, or of validation data and of training rows.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> bool(many.scores[many.best()] == many.scores.min())
        True
        """
        if self._has_no_states:
            from_file = "the members are networks alone, as from a file of save(path, state=False)"
            raise ValueError(f"{from_file}, so that no score is known: compare their predictions")
        return place_of_best(losses_of(self._rows))

    def predict(self, X: Any, *, spread: bool = False, assume_finite: bool = False) -> Any:
        """Return the outputs of all members, or their mean and spread.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs, for all members.
        spread : bool
            Return the mean and the standard deviation over the members, without storing the outputs
            of each.
        assume_finite : bool
            Skip the search of X for NaN and infinity.

        Returns
        -------
        outputs : ndarray (m, n, n_outputs)
            The outputs of all members. With `spread`, a pair is returned instead.
        mean, deviation : ndarray (n, n_outputs), ndarray (n, n_outputs), float64
            The deviation divides by m, like NumPy's.

        Raises
        ------
        ValueError
            For networks with different numbers of outputs, for no members, and for an X that does
            not fit.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> many.predict([[0.0], [0.5]]).shape
        (3, 2, 1)
        >>> mean, deviation = many.predict([[0.0], [0.5]], spread=True)
        >>> mean.shape
        (2, 1)
        """
        self._check_outputs("predict")
        outputs = outputs_of(self._rows, X, assume_finite)
        if check_flag("spread", spread):
            return mean_and_deviation(outputs)
        return stacked(outputs, len(self), self._dtype)

    @property
    def _dtype(self) -> np.dtype[Any]:
        """The dtype that holds the parameters of each member."""
        return np.result_type(*{store.params(k).dtype for store, k in self._rows})

    def _check_outputs(self, method: str) -> None:
        """Raise ValueError unless there are members, all with the same number of outputs."""
        if not self._rows:
            raise ValueError("there is no member to predict with")
        if len({network.n_outputs for network in self.networks}) > 1:
            raise ValueError(
                f"the networks have different numbers of outputs: say many[i].{method}(X) for each"
            )

    def jacobian(self, X: Any) -> Array:
        """Compute the derivatives of the members' outputs by the inputs, as
        `TrainingResult.jacobian` does.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs, for all members.

        Returns
        -------
        ndarray (m, n, n_outputs, n_inputs)
            The derivatives of each member.

        Raises
        ------
        ValueError, TypeError
            For networks with different numbers of outputs, for no members, and for an X that does
            not fit.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((2, 1)), [[0.0, 1.0]], [0.0], seed=range(3), epochs=4)
        >>> many.jacobian([[0.5, 0.5]]).shape
        (3, 1, 1, 2)
        """
        self._check_outputs("jacobian")
        return np.array([result.jacobian(X) for result in self])

    def score(
        self, X: Any, Y: Any, sample_weight: Any = None, *, monitor: Monitor | None = None
    ) -> Array:
        """Score the outputs of each member: the accuracy of labels, else R2, as
        `TrainingResult.score` does.

        Parameters
        ----------
        X, Y, sample_weight : array-like (n, n_inputs), (n, n_outputs) or (n,), and (n,)
            The rows, for all members.
        monitor : str or callable, optional
            Another score of ``Stop(monitor=...)``; not "loss".

        Returns
        -------
        ndarray (m,)
            A score for each member.

        Raises
        ------
        ValueError, TypeError
            As for `TrainingResult.score`.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> many.score([[0.0], [1.0]], [0.0, 1.0]).shape
        (3,)
        """
        known = dict[tuple[Network, Any], Score]()
        scores = list[float]()
        for (store, k), outputs in zip(self._rows, outputs_of(self._rows, X, False), strict=True):
            kind = store.network(k), store.params(k).dtype
            if kind not in known:
                known[kind] = score_of_rows(*kind, X, Y, sample_weight, monitor)
            scores.append(known[kind](outputs))
        return np.array(scores)

    def save(self, path: str | os.PathLike[str], *, state: bool = True) -> None:
        """Write the results to one .npz file for `fastnn.load`, or the networks alone with
        ``state=False``.

        Parameters
        ----------
        path : str or path
            Used as given, without adding ".npz". An existing file is replaced when the new one is
            complete.
        state : bool
            Whether to write the histories and what resuming needs. False writes the networks alone.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            For no members, for a member without a state, and for a suffix of a format of `export`.

        Examples
        --------
        >>> import fastnn
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> many.save("many.npz")
        >>> len(fastnn.load("many.npz"))
        3
        """
        from fastnn.files import many  # late, as in `TrainingResult.save`

        many.save(path, self, state=state)

    def plot(self, title: str = "Losses of the members", *, axes: Any = None) -> Any:
        """Draw the losses of the members with matplotlib.

        Parameters
        ----------
        title : str
            The title of the picture.
        axes : matplotlib.axes.Axes, optional
            The axes to draw in. Default: a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            The figure of `fastnn.plotting.member_curves`; `fastnn.plotting.save` writes it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If no member has a loss, or the losses cannot be compared.

        Examples
        --------
        >>> from fastnn import Network, plotting, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=5)
        >>> path = plotting.save(many.plot(), "losses.png")
        """
        from fastnn import plotting

        return plotting.member_curves(self, title, axes=axes)

    def to_dict(self) -> dict[str, Any]:
        """Return columns with a row for each member, for ``pandas.DataFrame(many.to_dict())``.

        Returns
        -------
        dict
            "member", "seed" (None for None, for a generator, and from a file), "learning_rate" (of
            the optimizer, or of its schedule; NaN for a function of your own), "score", "loss" (the
            training loss of the last epoch), "n_epochs", "best_epoch", "stop_reason" and "seconds"
            (wall time).

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> columns = many.to_dict()
        >>> columns["seed"], columns["n_epochs"].tolist()
        ([0, 1, 2], [4, 4, 4])
        """
        losses = [store.history(k).loss for store, k in self._rows]
        return {
            "member": np.arange(len(self)),
            "seed": list(self._seeds),
            "learning_rate": np.array([rate_of(store.optimizer(k)) for store, k in self._rows]),
            "score": self.scores,
            "loss": np.array([loss[-1] if len(loss) else np.nan for loss in losses]),
            "n_epochs": self.n_epochs,
            "best_epoch": self.history.best_epoch,
            "stop_reason": self.stop_reason,
            "seconds": self.history.seconds,
        }


# --------------------------------------------------------- the results of members, and their scores


class Unbegun(Store):
    """The result of one member that had not begun at the end of the call; `begin` makes it on
    request.
    """

    def __init__(
        self, options: TrainOptions, stop_reason: StopReason, begin: Callable[[], Row]
    ) -> None:
        self._options = options
        self._stop_reason = stop_reason
        self._begin = begin

    @cached_property
    def _begun(self) -> TrainingResult:
        """The result, made only once, because it may draw a seed."""
        return self._begin().result()

    def result(self, k: int) -> TrainingResult:
        """Return the whole result."""
        return self._begun

    def history(self, k: int) -> History:
        """Return an empty history."""
        return History(np.zeros(0), np.zeros(0), 0.0, monitor=name_of(self._options.stop.monitor))

    def stop_reason(self, k: int) -> StopReason:
        """Return the reason for which it did not begin."""
        return self._stop_reason

    def optimizer(self, k: int) -> dict[str, Any]:
        """Return no description of the optimizer, which has trained nothing."""
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return WholeResults, ([self._begun],)  # which has no data


class Rows(Sequence[Row]):
    """The results of all `m` members in a store, in order: made on request, for a small file may
    name many members.
    """

    def __init__(self, store: Store, m: int) -> None:
        self._store = store
        self._m = m

    def __len__(self) -> int:
        return self._m

    def __getitem__(self, i: Any) -> Any:
        places = range(self._m)[i]
        return Row(self._store, places) if isinstance(places, int) else [self[k] for k in places]


def losses_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the scores (m,) of members, with signs so that the lowest is best.

    A diverged member has the loss infinity, and so has one without a finite score. ValueError if
    scores cannot be compared, because they are of several kinds.
    """
    histories = [store.history(k) for store, k in rows]
    numbers = Counter(
        (each.monitor, bool(len(each.validation_loss))) for each in histories if len(each.loss)
    )
    if len(numbers) > 1:
        named = (
            (scored_by(monitor, validated=validated), n)
            for (monitor, validated), n in numbers.items()
        )
        said = ", ".join(f"{counted(n, 'member')} by {name}" for name, n in sorted(named))
        raise ValueError(
            f"the scores cannot be compared ({cut(said)}): compare members of one kind, or by "
            f"predictions"
        )
    sign = 1 if all(monitor == "loss" for monitor, _ in numbers) else -1
    losses = sign * np.array(
        [score_of(*pair) for pair in zip(rows, histories, strict=True)], np.float64
    )
    diverged = np.array([store.stop_reason(k) == "diverged" for store, k in rows], bool)
    return np.where(np.isfinite(losses) & ~diverged, losses, np.inf)


def place_of_best(losses: NDArray[np.float64]) -> int:
    """Return the index of the lowest of the numbers of `losses_of`; ValueError if none is
    finite.
    """
    if not np.isfinite(losses).any():
        fault = "each one diverged or has no finite score, as before its first epoch"
        raise ValueError(f"no member is the best: {fault if len(losses) else 'there is none'}")
    return int(np.argmin(losses))


def rate_of(optimizer: dict[str, Any]) -> float:
    """Return the learning rate that an optimizer's description, or that of its schedule, has; NaN
    for any other.
    """
    rate = optimizer.get("learning_rate")
    rate = rate.get("learning_rate") if isinstance(rate, dict) else rate
    return float(rate) if isinstance(rate, (int, float)) else np.nan


def score_of(row: Row, history: History | None = None) -> float:
    """Return the score of a member's parameters; `history` covers all parts of its training."""
    store, k = row
    history = store.history(k) if history is None else history
    if not len(history.score):
        return np.nan
    best = store.best_score(k)
    if best is None:
        return float(history.score[-1])
    return best if history.monitor == "loss" else -best
