"""The members of an ensemble: settings by presets, rows that each leaves out, the call that trains
all, their mean.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterable
from numbers import Integral
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv

from fastnn.backends import get_backend
from fastnn.checking.arguments import hidden_sizes, shown
from fastnn.errors import warn
from fastnn.files.description import without_state
from fastnn.many import ManyProgress, ManyResult, train_many
from fastnn.memory import Array, Flags, Floats, Integers
from fastnn.network import Network
from fastnn.optimizers import Adam
from fastnn.schedules import cosine
from fastnn.sparse import SparseRows
from fastnn.tabular.ramps import Inputs, Ramps, no_ramps
from fastnn.training import Stop
from fastnn.training.exceptions import InterruptWarning, TrainingInterrupted
from fastnn.training.inputs import check_memory
from fastnn.training.results import TrainingResult

Rows = Integers

BETA_2 = 0.99
"""Adam's decay of squares, for some thousand steps; 0.999 remembers too many."""

NOISE = 20.0
"""A column that explains nothing counts 1 / NOISE of one that surely explains something: it may by
others' help."""

ROWS_TO_SCALE_BY = 10_000
"""Rows that the columns' relevance is taken from, about; of more rows evenly spaced ones."""

SCALED_AT_ONCE = 32
"""Columns whose relevance is computed at once, about."""

LEAST_GAIN = 0.03
"""The part by which an earlier epoch must be better than the last one to be taken."""

FEWEST_TO_CHOOSE = 6
"""Fewest rows by which an earlier epoch is chosen: fewer choose by chance, as on tables of 12
rows."""

LARGEST_EXPONENT = 60
"""The greatest weight of rows, and 1 over it, as a power of two."""


class Preset(NamedTuple):
    """The parameters that a caller does not give, for tables of up to `FULL_ROWS` rows."""

    hidden_layer_sizes: tuple[int, ...]
    n_members: int
    epochs: int
    validation_fraction: float
    classes_rate: float
    """Adam's learning rate for classes, times the square root of the layers' width."""
    numbers_rate: float
    """The same for targets that are numbers."""
    has_ramps: bool = False
    """Whether half of the members take ramps."""


PRESETS = {
    "fast": Preset((32, 32, 32), 4, 48, 0.1, 0.06, 0.10, has_ramps=True),
    "good": Preset((64, 64, 64), 8, 64, 0.125, 0.04, 0.07),
    "best": Preset((64, 64, 64), 16, 90, 0.125, 0.04, 0.07),
}

FULL_ROWS = 10_000
"""Rows from which on epochs become fewer and batches larger, both by the square root of the
rows."""

LARGE_ROWS = 40_000
"""Rows above which batches are the largest."""

LARGE_RATE = 1.4
LARGE_EPOCHS = 0.9
"""There, the learning rate and the epochs, times those by the law of fewer rows."""

BATCH_SIZE = 32
LARGEST_BATCH_SIZE = 256
FEWEST_EPOCHS = 4


class Settings(NamedTuple):
    """What the members of an ensemble have in common."""

    hidden_layer_sizes: tuple[int, ...]
    n_members: int
    epochs: int
    batch_size: int
    learning_rate: float


def settings_of(
    estimator: Any, n_rows: int, *, classes: bool, n_splits: int, n_copies: int = 1
) -> Settings:
    """Return the settings of an estimator: its parameters, and the preset's where they are None.

    `n_splits` is the number of splits of its `cv`, 0 for none; each split is left out by the same
    number of members. `n_copies` is how many copies of each row an epoch trains on: with several
    there are fewer epochs.

    Raises
    ------
    ValueError
        For hidden layers of different widths, whose learning rates would differ.
    """
    preset = PRESETS[estimator.preset]
    fixed = {
        name: value for name in Settings._fields if (value := getattr(estimator, name)) is not None
    }
    sizes = fixed.pop("hidden_layer_sizes", preset.hidden_layer_sizes)
    sizes = tuple(hidden_sizes(sizes))
    if len(set(sizes)) != 1:
        raise ValueError(
            f"hidden_layer_sizes must be equal widths, as (64, 64), not {sizes}: all learn at one "
            "rate"
        )
    n_members = math.ceil(preset.n_members / n_splits) * n_splits if n_splits else preset.n_members
    growth = math.sqrt(max(1.0, n_rows / FULL_ROWS))
    epochs = preset.epochs / growth
    batch_size = int(BATCH_SIZE * growth)
    rate = (preset.classes_rate if classes else preset.numbers_rate) / math.sqrt(sizes[0])
    if n_rows > LARGE_ROWS:
        epochs *= LARGE_EPOCHS
        batch_size = LARGEST_BATCH_SIZE
        rate *= LARGE_RATE
    copies = max(1.0, n_copies / 2)
    epochs = math.ceil(max(FEWEST_EPOCHS, math.ceil(epochs)) / copies)
    return Settings(sizes, n_members, epochs, batch_size, rate)._replace(**fixed)


class Sample(NamedTuple):
    """The rows of a fit, as networks take them."""

    # (c n, n_inputs) float32: the rows, and c - 1 copies of all of them with more gaps
    inputs: Inputs
    targets: Array  # (n, n_outputs) float32
    weight: Array | None  # (n,)
    validation: tuple[Any, ...] | None  # rows of the caller's own: (X, Y) or (X, Y, weight)
    ramps: Ramps = no_ramps()  # of these inputs; those of the caller's own rows have them beside

    def with_ramps(self, rows: Any) -> Inputs:
        """Return the inputs of some rows, with the ramps beside them."""
        return self.ramps.beside(self.inputs[rows])

    def scaled(self, scales: Array) -> Sample:
        """Return the sample with inputs times `scales`: with the ramps, or without where there are
        no scales of these.
        """
        k = len(scales)
        is_plain = k == self.inputs.shape[1]
        inputs = self.inputs if is_plain else self.ramps.beside(self.inputs)
        if isinstance(inputs, SparseRows):
            inputs = inputs.scaled(scales)
        elif is_plain:
            inputs = inputs * scales
        else:
            inputs *= scales
        validation = self.validation
        if validation is not None:
            validation = (validation[0][:, :k] * scales, *validation[1:])
        return self._replace(inputs=inputs, validation=validation)


class Group(NamedTuple):
    """Members that train on the same columns of inputs, with one network."""

    members: range
    network: Network
    scales: Array  # (network.n_inputs,) float32


def splits(
    cv: Any,
    targets: Array,
    labels: Rows | None,
    groups: Any,
    fraction: float,
    random_state: np.random.RandomState,
) -> list[Rows]:
    """Return the rows that each split of `cv` leaves out; none where there are neither `cv` nor
    groups.

    Groups without `cv` make splits that leave out about `fraction` of the rows each, and no group
    in part.
    """
    if cv is None and groups is None:
        return []
    if isinstance(cv, (bytes, bytearray)):  # which have a method split, too
        raise TypeError(
            f"cv must be a number of splits, a splitter of scikit-learn or a list, not {shown(cv)}"
        )
    if groups is not None and (cv is None or isinstance(cv, Integral)):
        n_groups = len(np.unique(groups))
        if n_groups < 2:
            raise ValueError(
                "groups are all the same, and a member leaves out whole groups: give two groups or "
                "more"
            )
        n_splits = min(round(1 / fraction), n_groups) if cv is None else int(cv)
        kind = GroupKFold if labels is None else StratifiedGroupKFold
        cv = kind(n_splits, shuffle=True, random_state=random_state)
    y = targets if labels is None else labels
    splitter = check_cv(cv, y, classifier=labels is not None)
    tests = [
        row_numbers(test, len(y)) for _, test in splitter.split(np.zeros((len(y), 1)), y, groups)
    ]
    if not tests:
        raise ValueError("cv has no splits: a generator is empty after its first use, give a list")
    if not all(np.isin(test, np.arange(len(y))).all() for test in tests):
        raise ValueError(
            f"cv: a split leaves out rows that X has not, of the numbers 0 to {len(y) - 1}"
        )
    return tests


def row_numbers(part: Any, n: int) -> Rows:
    """Return the rows of a part of a split of n rows, of numbers or of a mask (n,), as numbers."""
    part = np.asarray(part)
    if part.dtype.kind == "b" and part.shape != (n,):
        raise ValueError(f"cv: a split is a mask of the shape {part.shape}, and X has {n} rows")
    if part.dtype.kind not in "biu" and part.size:
        raise ValueError(
            f"cv: a split leaves out rows {shown(part)}: give their numbers, integers, or a mask"
        )
    return np.flatnonzero(part) if part.dtype.kind == "b" else part


def moderate(weight: Array | None) -> Array | None:
    """Return weights (n,), times a power of two where float32 has no sums of them: training stays
    the same.
    """
    if weight is None:
        return None
    exponent = np.frexp(weight.max())[1]
    return np.ldexp(weight, np.clip(exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT) - exponent)


def parts(
    n: int, n_members: int, fraction: float, random_state: np.random.RandomState
) -> list[Rows]:
    """Deal out n rows: a part for each member, disjoint ones of equal sizes, until no rows are
    left, and so on.

    Rows are drawn without a look at their labels. Parts with the same share of each label as the
    rest would flatter a member that has learned the shares of these rows: by .03 of the accuracy,
    of 20 rows of two classes.
    """
    n_parts = min(round(1 / fraction), n)
    dealt: list[Rows] = []
    while len(dealt) < n_members:
        order = random_state.permutation(n)
        dealt += [np.sort(order[k::n_parts][: n // n_parts]) for k in range(n_parts)]
    return dealt[:n_members]


def input_scales(network: Network, sample: Sample) -> Array:
    """Return the factors (n_inputs,) float32 of the columns of inputs, with which networks train.

    With equal widths h, Adam at one rate r on inputs times sqrt(h / n_inputs) is Adam at the rate
    of layers in the parametrization of the neural tangent kernel (Jacot et al., NeurIPS 2018). That
    is the root mean square of the factors. The less of a target's variance a column explains, by
    itself or by its square, the smaller is its factor, as Bayes would shrink a coefficient: near 0
    for what may be chance, and alike for columns that surely explain some.
    """
    n = len(sample.targets)
    rows = slice(None, n, max(1, n // ROWS_TO_SCALE_BY))
    weight = np.ones(n) if sample.weight is None else sample.weight
    weight = weight[rows, None]
    weight = weight / weight.sum()

    def centered(columns: Array) -> Array:
        return columns - (weight * columns).sum(axis=0)

    targets = centered(sample.targets[rows].astype(np.float64))
    some = sample.inputs[rows]
    relevance = np.zeros(network.n_inputs)
    # two columns or more at once: a single one would be added up in another order
    edges = np.linspace(0, network.n_inputs, 2 + network.n_inputs // SCALED_AT_ONCE).astype(int)
    for first, stop in itertools.pairwise(edges):
        part = slice(first, stop)
        block = some.toarray(first, stop) if isinstance(some, SparseRows) else some[:, part]
        inputs = centered(block.astype(np.float64, order="C"))
        for columns in (inputs, centered(inputs**2)):
            variance = (weight * columns**2).sum(axis=0)
            for target in targets.T[:, :, None]:
                covariance = (weight * columns * target).sum(axis=0)
                product = variance * (weight * target**2).sum()
                relevance[part] = np.maximum(
                    relevance[part], covariance**2 / np.where(product > 0, product, np.inf)
                )
    # 1 / n of weights that are equal: about the variance that noise explains
    chance = (weight**2).sum()
    relevance = (relevance + chance) / (relevance + NOISE * chance)
    squares = network.sizes[1] / network.n_inputs * relevance / relevance.mean()
    return np.sqrt(squares).astype(np.float32)


def initial_params(network: Network, random_state: np.random.RandomState) -> Array:
    """Draw initial parameters (n_params,) float32, uniform: weights of variance 1 / width, biases
    of variance 1.
    """
    limit = math.sqrt(3)  # of a uniform distribution of variance 1
    width = math.sqrt(network.sizes[1])
    weights = [
        random_state.uniform(-limit, limit, (layer.fan_in, layer.fan_out)) / width
        for layer in network.layers
    ]
    biases = [random_state.uniform(-limit, limit, layer.fan_out) for layer in network.layers]
    return network.pack(weights, biases).astype(np.float32)


class Trainer:
    """Trains the members of an ensemble to the last epoch, and those to which it does harm again to
    an earlier one.

    The second training begins with the same parameters and seed, so it goes through the same steps;
    no parameters of epochs in between are stored. Most members need none, or a short one.

    Members without ramps train on the other columns alone. They become networks of all inputs, with
    weights of 0 for the ramps, so that all members are alike.

    Parameters
    ----------
    network : Network
        The network of each member.
    sample : Sample
        The rows, copies and all.
    left_out : list of Rows
        The rows that each member leaves out, `settings.n_members` of them; empty where
        `sample.validation` chooses.
    settings : Settings
        The number of members, and how they train.
    random_state : RandomState
        Draws initial parameters and seeds.
    n_jobs : int or None
        Members to train at once, as for `train_many`.
    n_ramped : int
        How many members, the last ones, take the sample's ramps.
    """

    def __init__(
        self,
        network: Network,
        sample: Sample,
        left_out: list[Rows],
        settings: Settings,
        random_state: np.random.RandomState,
        n_jobs: int | None,
        n_ramped: int = 0,
    ) -> None:
        check_memory(
            network,
            3 * settings.n_members,
            settings.batch_size,
            np.dtype(np.float32),
            get_backend("numba"),
        )
        n = len(sample.targets)
        n_copies = len(sample.inputs) // n
        weight = np.ones(n) if sample.weight is None else sample.weight
        used = np.flatnonzero(weight)
        trained_on = [np.setdiff1d(used, rows, assume_unique=True) for rows in left_out]
        n_rows = n_copies * max(map(len, trained_on), default=n)
        batch_size = min(settings.batch_size, n_rows)
        n_steps = settings.epochs * math.ceil(n_rows / batch_size)
        self._network = network
        self._choosers = choosers(left_out, n)
        self._chosen_by: list[Rows] = []
        self.judged_by: list[Rows] = []
        for rows, is_alone in zip(left_out, self._choosers.diagonal(), strict=True):
            self._chosen_by.append(rows[::2] if is_alone else rows)
            self.judged_by.append(rows[1::2] if is_alone else rows)
        self._n_rows = np.array([len(rows) for rows in self._chosen_by])
        self._weights = np.array([weight[rows].sum() for rows in self._chosen_by])
        # of all copies: row k of copy c has the number c n + k
        copies = np.arange(n_copies)[:, None] * n
        self._rows = [(copies + rows).ravel() for rows in trained_on]
        self._groups = groups_of(network, sample, settings.n_members, n_ramped)
        self._sample = sample
        self._targets = np.tile(sample.targets, (n_copies, 1))
        self._params = [
            initial_params(group.network, random_state)
            for group in self._groups
            for _ in group.members
        ]
        self._seeds: list[int] = random_state.randint(2**31 - 1, size=settings.n_members).tolist()
        self._n_epochs = settings.epochs
        self._options: dict[str, Any] = {
            "optimizer": Adam(cosine(settings.learning_rate, steps=n_steps), beta_2=BETA_2),
            "batch_size": batch_size,
            "dtype": "float32",
            "assume_finite": True,
            "n_jobs": n_jobs,
        }
        if sample.weight is not None:
            self._options["sample_weight"] = np.tile(sample.weight, n_copies)

    def train(self, end: float | None = None, verbose: bool = False) -> ManyResult:
        """Train all members to the last epoch, or to the best one of the sample's validation rows,
        until a time of `time.perf_counter`.

        Ctrl-C ends the training: members that it cut off have the stop reason "interrupted".
        """
        epochs = dict.fromkeys(range(len(self._seeds)), self._n_epochs)
        return self._train(epochs, end, is_judged=True, progress=verbose)

    def finish(
        self, many: ManyResult, members: list[int], end: float | None = None
    ) -> tuple[list[TrainingResult], Rows]:
        """Return the networks of these members of a training, of the epochs (m,) that are chosen,
        and the epochs.

        Members that Ctrl-C or the end of the time keeps from training again stay at their last
        epoch.
        """
        history = many[members].history
        if not self._chosen_by:
            return [self._whole(i, many.params[i]) for i in members], history.best_epoch
        epochs = many.n_epochs[members]
        common = epochs.min()
        choosers_of = self._choosers[np.ix_(members, members)]
        n_rows = (choosers_of * self._n_rows[members]).sum(axis=1)
        chosen = choose_epochs(
            history.validation_loss[:, :common], choosers_of * self._weights[members], n_rows
        )
        params = [many.params[i] for i in members]
        again = np.flatnonzero(chosen < common).tolist()
        if again:
            shorter = self._train({members[k]: int(chosen[k]) for k in again}, end)
            for k, member in zip(again, shorter, strict=False):  # fewer after Ctrl-C
                if member.stop_reason == "epochs":
                    params[k] = member.params
                    epochs[k] = chosen[k]
            if "interrupted" in shorter.stop_reason:
                how_far = "fit was interrupted: some members stay at their last epoch"
                warn(InterruptWarning(how_far, many))
        return [self._whole(i, values) for i, values in zip(members, params, strict=True)], epochs

    def _train(
        self,
        epochs: dict[int, int],
        end: float | None,
        *,
        is_judged: bool = False,
        progress: bool = False,
    ) -> ManyResult:
        """Train members, in ascending order, from their initial parameters; return those so far
        after Ctrl-C.

        `epochs` is {member: how many}; `is_judged`: with their validation losses.
        """
        results: list[TrainingResult] = []
        for group in self._groups:
            members = [i for i in epochs if i in group.members]
            if not members:
                continue
            options = dict(self._options)
            sample = self._sample.scaled(group.scales)
            seconds = seconds_until(end)
            deadline: list[Any] = [] if seconds is None else [Deadline(seconds)]
            stop = Stop(max_seconds=seconds, on_interrupt="raise")
            if self._rows:
                options["rows"] = [self._rows[i] for i in members]
            if is_judged and self._chosen_by:
                options["validation_rows"] = [self._chosen_by[i] for i in members]
            elif is_judged:
                stop = dataclasses.replace(stop, validation=sample.validation, restore_best=True)
            try:
                results += train_many(
                    group.network,
                    sample.inputs,
                    self._targets,
                    params=[self._params[i] for i in members],
                    seed=[self._seeds[i] for i in members],
                    epochs=[epochs[i] for i in members],
                    stop=stop,
                    callbacks=deadline,
                    progress=progress,
                    **options,
                )
            except TrainingInterrupted as interrupt:
                results += cast(ManyResult, interrupt.result)
                break
        return ManyResult(results)

    def _whole(self, member: int, params: Array) -> TrainingResult:
        """Return the network that predicts from all inputs what a member's `params` predict from
        the columns of its group, times the scales.
        """
        group = next(group for group in self._groups if member in group.members)
        first, *weights = group.network.weights(params)
        whole = np.zeros((self._network.n_inputs, first.shape[1]), np.float32)
        whole[: len(first)] = first * group.scales[:, None]
        packed = self._network.pack([whole, *weights], group.network.biases(params))
        return without_state(self._network, packed.astype(np.float32), "numba")


def groups_of(network: Network, sample: Sample, n_members: int, n_ramped: int) -> list[Group]:
    """Return the members without ramps, and the last `n_ramped`, which take them."""
    n_plain = sample.inputs.shape[1]
    plain = dataclasses.replace(network, sizes=(n_plain, *network.sizes[1:]))
    scales = input_scales(plain, sample)
    if n_plain == network.n_inputs or not n_ramped:
        return [Group(range(n_members), plain, scales)]
    n_first = n_members - n_ramped
    of_all = np.append(scales, scales[sample.ramps.columns])
    ramped = Group(range(n_first, n_members), network, of_all)
    return [Group(range(n_first), plain, scales), ramped] if n_first else [ramped]


def choosers(left_out: list[Rows], n: int) -> Flags:
    """Return for each member of which others the validation losses choose its epoch (m, m).

    What chooses is not what judges: these are the members that leave out none of its own rows,
    `left_out` of n. Where there are none, one half of a member's own rows chooses its epoch, and
    the other half judges it.
    """
    is_left_out = np.zeros((len(left_out), n), bool)
    for mask, rows in zip(is_left_out, left_out, strict=True):
        mask[rows] = True
    have_common = np.zeros((len(left_out), len(left_out)), bool)
    for i, mask in enumerate(is_left_out):
        have_common[i] = (is_left_out & mask).any(axis=1)
    return ~have_common | np.diag(have_common.all(axis=1))


def choose_epochs(losses: Array, weights: Array, n_rows: Rows) -> Rows:
    """Return the epoch (m,) of each member, by the means of validation losses (m, n_epochs) of
    these weights (m, m).

    That is the last epoch, unless the mean loss was less before by the part `LEAST_GAIN`, over
    `FEWEST_TO_CHOOSE` rows or more: `n_rows` (m,) is their number.
    """
    epochs = np.full(len(losses), losses.shape[1])
    for i in np.flatnonzero(n_rows >= FEWEST_TO_CHOOSE):
        curve = np.average(losses, axis=0, weights=weights[i])
        curve[np.isnan(curve)] = np.inf
        if curve.min() < (1 - math.copysign(LEAST_GAIN, curve[-1])) * curve[-1]:
            epochs[i] = curve.argmin() + 1
    return epochs


def seconds_until(end: float | None) -> float | None:
    """Return the seconds until a time of `time.perf_counter`, a millisecond at least; None where
    there is no end.
    """
    return None if end is None else max(1e-3, end - time.perf_counter())


def mean_outputs(members: list[TrainingResult], inputs: Inputs) -> Floats:
    """Return the mean (n, n_outputs) of the members' predictions, added up one after the other."""
    predictions = (member.predict(inputs, assume_finite=True) for member in members)
    return _mean(predictions, len(members))


def mean_jacobian(members: list[TrainingResult], inputs: Array) -> Floats:
    """Return the mean (n, n_outputs, n_inputs) of the members' Jacobians, likewise."""
    return _mean((member.jacobian(inputs) for member in members), len(members))


def _mean(values: Iterable[Array], n: int) -> Floats:
    total = np.zeros(())
    for value in values:
        total = total + value.astype(np.float64)
    return total / n


class Deadline(NamedTuple):
    """A callback that ends the trainings when there is no time for another member."""

    seconds: float

    def __call__(self, progress: ManyProgress) -> bool:
        """Return whether a member that takes as long as those so far would end too late."""
        return progress.seconds * (1 + 1 / progress.n_ended) > self.seconds
