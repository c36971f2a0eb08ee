"""Calibration on the rows that members left out: probabilities of classes, and intervals of
numbers.

Probabilities. Trained on targets of which the part s is spread over K classes, a network puts out
about ``(1 - s) p + s / K``. So an offset is taken off each output, and the rest divided by its sum.
It is not s / K itself, for networks do not reach their targets, but the multiple of it that has the
least log loss on rows that members left out. The order of classes stays.

Residuals. Networks learn the sizes that they have. A residual over the size that is expected for
its row, by the network that left the row out, is a score, which rows have in common. Its quantile
times the size for a new row is half the row's interval: split conformal prediction with normalized
scores (Lei et al., JASA 2018). The networks have the loss of Poisson's distribution and the output
exp, so their sizes are positive.

A row's residual is that of the few members that left it out, and a new row is predicted by all.
With the variance v between members, the mean of k has a mean squared error that is v / k - v / M
above that of the mean of all M (bagging: Breiman, Machine Learning 1996). So the scores are
multiplied by the root of 1 - v (1 / k - 1 / M) / r^2, where r^2 is the mean square of the
residuals.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from fastnn.errors import warn
from fastnn.files.description import without_state
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular import members as ensemble
from fastnn.tabular.members import Rows, Sample
from fastnn.tabular.ramps import Inputs
from fastnn.training.exceptions import InterruptWarning
from fastnn.training.results import TrainingResult

MOST_ROWS = 10_000
"""Most rows left out to calibrate on; of more they are evenly spaced ones."""

MOST_OUTPUTS = 2_000_000
"""Most outputs of these, of all classes together."""

FEWEST_ROWS = 40
"""Fewest rows of a fit from which intervals are made, and fewest rows left out from which
unsmoothing is learned."""

MULTIPLES = np.linspace(0, 3, 61)
"""The multiples of s / K that are tried."""

LARGEST_OFFSET = 0.9
"""Times 1 / K: the largest output of a row stays above the offset."""

LEAST = 1e-3
"""What outputs less the offset are at least, times K; with many rows less, see `SURPRISES`."""
SURPRISES = 10
"""With n rows, outputs less the offset may be as small as ``SURPRISES / n``, times 1 / K."""

N_NETWORKS = 2
"""How many networks learn sizes of residuals, each of which leaves out a part of these."""
EPOCHS = 24
"""How many epochs they learn."""
RATE = 0.05
"""Their learning rate, as of `members.Preset`."""

LEAST_GAIN = 3.0
"""The gain, as of `gain_of_sizes`, from which on networks of sizes are better than the mean size,
chance aside."""

LEAST_SIZE = 0.02
"""Added to expected sizes, as a part of the mean size: no row is known exactly."""


def _known(values: Array) -> tuple[Rows, int]:
    """Return some of the rows of values (n, k) that are not NaN, evenly spaced ones, and the number
    of all of these.
    """
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_OUTPUTS // values.shape[1]))
    return known[:: max(1, -(-len(known) // most))], len(known)


# ------------------------------------------------------------------------------------ probabilities


class Unsmoothing(NamedTuple):
    """The map from outputs to probabilities."""

    offset: float
    least: float  # the lower bound of an output less the offset

    def probabilities(self, outputs: Array) -> Array:
        """Return probabilities (n, K) of outputs (n, K)."""
        rest, total = self._rest(outputs)
        return rest / total

    def slopes(self, outputs: Array, slopes: Array) -> Array:
        """Return the derivatives (n, K, k) of probabilities, by those of the outputs."""
        rest, total = self._rest(outputs)
        of_rest = np.where((rest > self.least)[:, :, None], slopes, 0.0)
        of_total = functools.reduce(np.add, of_rest.transpose(1, 0, 2))[:, None]
        return (of_rest - (rest / total)[:, :, None] * of_total) / total[:, :, None]

    def _rest(self, outputs: Array) -> tuple[Array, Array]:
        """Return outputs less the offset (n, K), and their sums (n, 1), in one order on all
        machines.
        """
        rest = np.maximum(outputs - self.offset, self.least)
        return rest, functools.reduce(np.add, rest.T)[:, None]


def learn_unsmoothing(
    outputs: Array, labels: Rows, weight: Array | None, smoothing: float
) -> Unsmoothing:
    """Choose the offset of least log loss on the rows that members left out: outputs (n, K), NaN
    for other rows.
    """
    n_classes = outputs.shape[1]
    known, n_known = _known(outputs)
    least = min(LEAST, SURPRISES / max(1, n_known)) / n_classes
    offsets = np.minimum(MULTIPLES * smoothing, LARGEST_OFFSET) / n_classes
    if not len(known):
        return Unsmoothing(min(smoothing, LARGEST_OFFSET) / n_classes, least)
    if len(known) < FEWEST_ROWS:  # which would choose by chance
        return Unsmoothing(0.0, least)
    candidates = [Unsmoothing(float(offset), least) for offset in offsets]

    def log_loss(one: Unsmoothing) -> float:
        right = one.probabilities(outputs[known])[np.arange(len(known)), labels[known]]
        return -float(np.average(np.log(right), weights=None if weight is None else weight[known]))

    return min(candidates, key=log_loss)


# ---------------------------------------------------------------------------------------- residuals


class Residuals(NamedTuple):
    """The distribution of residuals: networks of their expected sizes, and scores, the sizes over
    the expected ones.
    """

    # predict sizes over the mean; none where there were too few residuals
    members: list[TrainingResult]
    mean: Array  # (n_outputs,): the mean size
    scores: Array  # (m, n_outputs): ascending, times `ensemble_factor`

    def sizes(self, inputs: Inputs) -> Array:
        """Return the expected sizes (n, n_outputs) of residuals."""
        return (ensemble.mean_outputs(self.members, inputs) + LEAST_SIZE) * self.mean

    def quantile(self, coverage: float) -> Array:
        """Return the score (n_outputs,) that a new row does not exceed with this probability.

        Raises
        ------
        ValueError
            For too few residuals.
        """
        n = len(self.scores)
        needed = 1 / (1 - coverage)
        if n < needed:
            what = (
                f"there are {n} residuals of rows that members left out, and a coverage of "
                f"{coverage:g} takes"
            )
            way = "ask for less coverage, or fit more rows or a preset of more members"
            if not n:
                way = "fit more rows, or without X_val, so that members leave out rows"
            raise ValueError(f"{what} {math.ceil(round(needed, 6))}: {way}")
        return self.scores[min(math.ceil(coverage * (n + 1)), n) - 1]

    def deviation(self) -> Array:
        """Return the root of the mean square (n_outputs,) of the scores."""
        if not len(self.scores):
            raise ValueError(
                "members left out no rows to learn deviations from: fit more rows, or without X_val"
            )
        return np.sqrt((self.scores**2).mean(axis=0))


def network_of_sizes(network: Network) -> Network:
    """Return the network of residuals' sizes beside an ensemble of networks: it takes the same
    inputs.
    """
    width = network.sizes[1]
    return Network(
        (network.n_inputs, width, width, network.n_outputs), "gelu", output="exp", loss="poisson"
    )


def gain_of_sizes(sizes: Array, expected: Array, weight: Array | None) -> float:
    """Return how much more likely sizes (n, n_outputs) are with the expected ones than with the
    mean size, which is 1.

    That is the difference of the logarithms of Poisson's likelihood, summed over rows.
    """
    by_row = (sizes * np.log(expected) - expected + 1).mean(axis=1)
    return len(sizes) * float(np.average(by_row, weights=weight))


def ensemble_factor(
    members: list[TrainingResult], inputs: Inputs, residuals: Array, counts: Array
) -> Array:
    """Return the root mean square error (n_outputs,) of all members, over that of the members that
    left a row out.

    `inputs` and `residuals` (n, n_outputs) are those of rows left out, each by as many members as
    `counts` (n,) says.
    """
    n_members = len(members)
    outputs = [member.predict(inputs, assume_finite=True).astype(np.float64) for member in members]
    variance = np.var(outputs, axis=0, ddof=min(1, n_members - 1)).mean(axis=0)
    square = (residuals**2).mean(axis=0)
    k = 1 / (1 / counts).mean()
    # of the square, that averaging lessens
    part = np.minimum(variance / k, square) / np.where(square > 0, square, 1.0)
    return np.sqrt(1 - part * (1 - k / n_members))


def learn_residuals(
    members: list[TrainingResult],
    sample: Sample,
    outputs: Array,
    counts: Array,
    sizes: Array,
    random_state: np.random.RandomState,
    n_jobs: int | None,
) -> Residuals:
    """Train networks of the sizes (n, n_outputs) of residuals, and take the scores.

    Outputs and sizes are NaN where no member left the row out; `counts` (n,) is how many did.
    """
    network = members[0].network
    known, _ = _known(sizes)
    sizes = sizes[known]
    if len(known) < N_NETWORKS:
        return Residuals([], np.zeros(network.n_outputs), sizes[:0])
    mean = sizes.mean(axis=0)
    mean = np.where(mean > 0, mean, 1.0)
    weight = None if sample.weight is None else sample.weight[known]
    targets = (sizes / mean).astype(np.float32)
    residuals = Sample(sample.inputs[known], targets, weight, None, sample.ramps)
    size_network = network_of_sizes(network)
    width = size_network.sizes[1]
    settings = ensemble.Settings(
        (width, width), N_NETWORKS, EPOCHS, ensemble.BATCH_SIZE, RATE / math.sqrt(width)
    )
    left_out = ensemble.parts(len(known), N_NETWORKS, 1 / N_NETWORKS, random_state)
    trainer = ensemble.Trainer(size_network, residuals, left_out, settings, random_state, n_jobs)
    many = trainer.train()
    if "interrupted" in many.stop_reason:
        how_far = (
            "fit was interrupted: the estimator predicts, but no intervals and standard deviations"
        )
        warn(InterruptWarning(how_far, many))
        return Residuals([], mean, sizes[:0])
    networks, _ = trainer.finish(many, list(range(N_NETWORKS)))
    learned = Residuals(networks, mean, sizes)
    inputs = residuals.with_ramps(slice(None))
    # which stays for the last one of an odd number of rows
    expected = learned.sizes(inputs)
    for network_of_others, rows in zip(networks, left_out, strict=True):
        expected[rows] = learned._replace(members=[network_of_others]).sizes(inputs[rows])
    if gain_of_sizes(sizes / mean, expected / mean, weight) < LEAST_GAIN:
        # exp(0) is 1
        constant = without_state(size_network, np.zeros(size_network.n_params, np.float32), "numba")
        learned = Residuals([constant] * N_NETWORKS, mean, sizes)
        expected = learned.sizes(inputs)
    factor = ensemble_factor(members, inputs, (sample.targets - outputs)[known], counts[known])
    return learned._replace(scores=np.sort(factor * sizes / expected, axis=0))
