"""Changes of the presets that `trial` judges, made of fastnn's own parts, from outside.

- squash: a number s becomes ``s / (1 + (s / 3)^2)^(1/4)``, which grows with the root of s where the
  preset's ``s / (1 + (s / 3)^2)^(1/2)`` stays below 3. It takes sqrt alone, so its bits are the
  same on all machines.
- steps: half of the members take, beside the matrix, piecewise-linear features of each column of
  numbers (Gorishniy et al., NeurIPS 2022): how far a number is through each of some bins, which
  hold about as many rows. There are at most `MOST_STEPS` of them for all columns together, and a
  column that would have fewer than `FEWEST_BINS` has none, so that wide tables stay as they are.
- both: both.
"""

import contextlib
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from benchmarks.tables.methods import made
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular import base, members
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, TablePreparation

VARIANTS = ("base", "squash", "steps", "both")

MOST_STEPS = 64
FEWEST_BINS = 4
ROWS_OF_A_BIN = 100
BINS = {True: 8, False: 16}
"""{whether classes are predicted: the most bins of a column}"""
AMOUNT = {True: 0.7, False: 1.0}
"""{the same: the root of the mean square of a column's steps, times that of the column}"""


class RootPreparation(TablePreparation):
    """The preparation with the other squash."""

    def _scaled(self, numbers: Array) -> Array:
        scaled = (numbers - self.centers_) * self.factors_
        np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED, out=scaled)
        return scaled / np.sqrt(np.sqrt(1 + (scaled / LIMIT) ** 2))


class Steps(NamedTuple):
    """The piecewise-linear features of a matrix, which are put beside it."""

    edges: dict[int, Array]
    """{number of a column: the edges of its bins, ascending}"""

    @property
    def n_outputs(self) -> int:
        return sum(len(edges) - 1 for edges in self.edges.values())

    def beside(self, matrix: Array) -> Array:
        parts = [matrix]
        for column, edges in self.edges.items():
            places = (matrix[:, column, None] - edges[:-1]) / np.diff(edges)
            parts.append(np.clip(places, 0, 1) - 0.5)
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def scales(self, scales: Array, amount: float) -> Array:
        """Return the scales of the columns of `beside`, by those of the matrix."""
        parts = [scales]
        for column, edges in self.edges.items():
            n = len(edges) - 1
            parts.append(np.full(n, scales[column] * amount * math.sqrt(3 / n)))
        return np.concatenate(parts, dtype=np.float32)


def learn_steps(matrix: Array, most_bins: int) -> Steps:
    """Choose the bins of the columns that have three values or more: words and gaps have two."""
    values = {j: np.unique(column) for j, column in enumerate(matrix.T)}
    values = {j: of for j, of in values.items() if len(of) > 2}
    n_bins = min(most_bins, len(matrix) // ROWS_OF_A_BIN, MOST_STEPS // max(1, len(values)))
    if n_bins < FEWEST_BINS:
        return Steps({})
    edges = {}
    for j, of in values.items():
        parts = np.linspace(0, 1, n_bins + 1)
        few = len(of) <= n_bins + 1
        edges[j] = of if few else np.unique(np.quantile(matrix[:, j], parts).astype(np.float32))
    return Steps({j: of for j, of in edges.items() if len(of) > 2})


class WithSteps(NamedTuple):
    """A member that takes steps beside the matrix."""

    steps: Steps
    member: Any

    @property
    def network(self) -> Network:
        return self.member.network

    def predict(self, inputs: Array, **options: Any) -> Array:
        return self.member.predict(self.steps.beside(inputs), **options)


class TrainerWithSteps(members.Trainer):
    """A trainer whose inputs are a matrix with steps beside it."""

    def __init__(
        self, steps: Steps, network: Network, sample: members.Sample, *arguments: Any
    ) -> None:
        is_classifier = network.output == "softmax"
        scales = steps.scales(members.input_scales(network, sample), AMOUNT[is_classifier])
        sizes = (network.n_inputs + steps.n_outputs, *network.sizes[1:])
        options = {"output": network.output, "loss": network.loss}
        network = Network(sizes, "gelu", **options)
        sample = sample._replace(inputs=steps.beside(sample.inputs))
        with mock.patch.object(members, "input_scales", return_value=scales):
            super().__init__(network, sample, *arguments)


class Both(NamedTuple):
    """The trainings of both halves, one after the other."""

    halves: list[Any]

    def __len__(self) -> int:
        return sum(map(len, self.halves))

    def __getitem__(self, _: list[int]) -> "Both":
        return self

    @property
    def stop_reason(self) -> list[str]:
        return [reason for half in self.halves for reason in half.stop_reason]

    @property
    def n_epochs(self) -> Array:
        return np.concatenate([half.n_epochs for half in self.halves])

    @property
    def validation_loss(self) -> Array:
        return np.concatenate([half.history.validation_loss for half in self.halves])

    @property
    def history(self) -> "Both":
        return self


class HalfTrainer:
    """Trains half of the members on the matrix, and half with steps; all choose all epochs."""

    def __init__(
        self,
        network: Network,
        sample: members.Sample,
        left_out: list[members.Rows],
        settings: members.Settings,
        *arguments: Any,
    ) -> None:
        n, half = len(sample.targets), settings.n_members // 2
        is_classifier = network.output == "softmax"
        self._steps = learn_steps(sample.inputs[:n], BINS[is_classifier])
        halves = [settings._replace(n_members=half), settings._replace(n_members=half)]
        self._trainers = [
            members.Trainer(network, sample, left_out[:half], halves[0], *arguments),
            TrainerWithSteps(self._steps, network, sample, left_out[half:], halves[1], *arguments),
        ]
        self._choosers = members.choosers(left_out, n)
        self._n_rows = np.array([len(rows) for rows in left_out])
        self.judged_by = left_out

    def train(self, *arguments: Any) -> Both:
        return Both([trainer.train(*arguments) for trainer in self._trainers])

    def finish(self, many: Both, *_: Any) -> tuple[list[Any], Array]:
        weights = self._choosers * self._n_rows
        last = many.validation_loss.shape[1]
        epochs = members.choose_epochs(many.validation_loss, weights, weights.sum(axis=1))
        networks: list[Any] = []
        for trainer, trained in zip(self._trainers, many.halves, strict=True):
            chosen = epochs[len(networks) : len(networks) + len(trained)]
            params = [trained.params[i] for i in range(len(trained))]
            if again := np.flatnonzero(chosen < last).tolist():
                shorter = trainer._train(again, chosen[again].tolist(), None)
                for i, member in zip(again, shorter, strict=True):
                    params[i] = member.params
            networks += [trainer._unscaled(values) for values in params]
        half = len(networks) // 2
        return networks[:half] + [WithSteps(self._steps, one) for one in networks[half:]], epochs


@contextlib.contextmanager
def changed(variant: str) -> Iterator[None]:
    """Make fits those of a variant."""
    with contextlib.ExitStack() as stack:
        if variant in ("squash", "both"):
            stack.enter_context(mock.patch.object(base, "TablePreparation", RootPreparation))
        if variant in ("steps", "both"):
            with_steps = SimpleNamespace(**vars(members) | {"Trainer": HalfTrainer})
            stack.enter_context(mock.patch.object(base, "ensemble", with_steps))
        yield


def fitted(variant: str, preset: str, kind: str, X: Any, y: Array, seed: int) -> Any:
    """Return an estimator of a preset, changed by a variant."""
    with changed(variant):
        model = made("fastnn.Tabular", kind, preset, n_jobs=1, random_state=seed)
        return model.fit(X, y)
