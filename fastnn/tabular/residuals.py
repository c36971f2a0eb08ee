"""How far off the predictions of numbers are: networks of the sizes of the residuals of rows that members left out.

A residual over the size that the networks expect for its row is a score, which rows have in common. Its quantile times
the size for a new row is half the row's interval: split conformal prediction with normalized scores (Lei et al.,
JASA 2018). The networks have the loss of Poisson's distribution and the output exp, so their sizes are positive.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastnn.errors import warn
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.members import Sample, input_scales, mean_outputs, parts, train_members, unscaled
from fastnn.tabular.presets import BATCH_SIZE, Settings
from fastnn.training.exceptions import InterruptWarning, TrainingInterrupted
from fastnn.training.results import TrainingResult

N_NETWORKS, EPOCHS, RATE = 2, 24, 0.05
"""Each network leaves out a part of the residuals, to choose its best epoch by; the rate is as of `Preset`."""

LEAST = 0.02
"""What is added to the sizes, as a part of the mean size: no row is known exactly."""

MOST_ROWS = 10_000
"""Residuals that are learned from; of more they are evenly spaced ones."""


class Residuals(NamedTuple):
    """What residuals have taught."""

    members: list[TrainingResult]  # sizes over their mean, of a row's inputs; none where there were too few residuals
    mean: Array  # (n_outputs,): the mean size
    scores: Array  # (m, n_outputs): sizes over the expected ones, ascending

    def sizes(self, inputs: Array) -> Array:
        """Return the sizes (n, n_outputs) of residuals that are expected for rows."""
        return (mean_outputs(self.members, inputs) + LEAST) * self.mean

    def quantile(self, coverage: float) -> Array:
        """Return the score (n_outputs,) that a new row's does not exceed with this probability.

        Raises
        ------
        ValueError
            For too few residuals.
        """
        n, needed = len(self.scores), 1 / (1 - coverage)
        if n < needed:
            raise ValueError(
                f"there are {n} residuals of rows that members left out, and a coverage of {coverage:g} takes "
                f"{math.ceil(round(needed, 6))}: ask for less coverage, or fit more rows, a preset of more members, or "
                "without X_val"
            )
        return np.asarray(self.scores[min(math.ceil(coverage * (n + 1)), n) - 1])

    def deviation(self) -> Array:
        """Return the root of the mean square (n_outputs,) of the scores."""
        if not len(self.scores):
            raise ValueError("members left out no rows, whose residuals would say it: fit more rows, or without X_val")
        return np.asarray(np.sqrt((self.scores**2).mean(axis=0)))


def network_of_sizes(network: Network) -> Network:
    """Return the network of residuals' sizes beside an ensemble of networks: it takes the same inputs."""
    width = network.sizes[1]
    return Network((network.n_inputs, width, width, network.n_outputs), "gelu", output="exp", loss="poisson")


def learn_residuals(
    network: Network, sample: Sample, sizes: Array, random_state: np.random.RandomState, n_jobs: int | None
) -> Residuals:
    """Learn from the sizes (n, n_outputs) of the rows' residuals, NaN where there is none."""
    known = np.flatnonzero(~np.isnan(sizes[:, 0]))
    known = known[:: max(1, -(-len(known) // MOST_ROWS))]
    sizes = sizes[known]
    if len(known) < N_NETWORKS:
        return Residuals([], np.zeros(network.n_outputs), sizes[:0])
    mean = sizes.mean(axis=0)
    mean = np.where(mean > 0, mean, 1.0)
    weight = None if sample.weight is None else sample.weight[known]
    residuals = Sample(sample.inputs[known], (sizes / mean).astype(np.float32), weight, None)
    own = network_of_sizes(network)
    width = own.sizes[1]
    settings = Settings((width, width), N_NETWORKS, EPOCHS, BATCH_SIZE, RATE / math.sqrt(width))
    scales = input_scales(own, residuals)
    left_out = parts(len(known), N_NETWORKS, 1 / N_NETWORKS, None, random_state)
    try:
        many = train_members(own, residuals.scaled(scales), left_out, settings, random_state, None, n_jobs, False)
    except TrainingInterrupted as interrupt:
        how_far = "fit was interrupted: the estimator predicts, but no intervals and standard deviations"
        warn(InterruptWarning(how_far, interrupt.result), ("fastnn", "sklearn"))
        return Residuals([], mean, sizes[:0])
    learned = Residuals([unscaled(own, params, scales) for params in many.params], mean, sizes)
    return learned._replace(scores=np.sort(sizes / learned.sizes(residuals.inputs), axis=0))
