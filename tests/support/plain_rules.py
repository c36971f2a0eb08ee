"""Trainings with rules, drawn, and the plain loop that says what they must give."""

import math
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from bits import bits
from numpy.random import RandomState

import fastnn
from fastnn import SGD, Adam, Network, ReduceRate, Stop, train
from fastnn.backends import Data, Steps, StepState, Task, get_backend
from fastnn.training.stopping import scorer  # its scores: tests/training/test_stopping.py

N = 23
NETWORKS = {  # and the monitors that go with each
    "classes": (
        Network((3, 4, 3), "tanh", "softmax"),
        ("loss", "loss", "accuracy", "r2", "function"),
    ),
    "labels": (
        Network((3, 4, 2), "tanh", "sigmoid", "log_loss"),
        ("loss", "loss", "accuracy", "function"),
    ),
    "regression": (Network((3, 4, 2), "tanh", reduction="sum"), ("loss", "loss", "r2", "function")),
}
RATES = {
    "number": 0.5,
    "warm_up": fastnn.warm_up(0.5, steps=12, start=0.1),
    "one_cycle": fastnn.one_cycle(0.5, steps=20, final=0.05),
    "function": lambda step: 0.5 / (1 + 0.1 * step),
}


def closeness(Y, outputs):
    """A score with many ties: to one digit."""
    return -round(float(abs(Y - outputs).mean()), 1)


def draw_data(kind, dtype, n, seed):
    r = RandomState(seed)
    X = r.uniform(-1, 1, (n, 3))
    Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
    Y = {
        "regression": Y,
        "labels": Y > 0,
        "classes": np.eye(3)[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)],
    }[kind]
    weight = np.where(r.uniform(size=n) < 0.2, 0.0, r.uniform(0.5, 2, n))
    weight[0] = 1.0
    return Data(X.astype(dtype), Y.astype(dtype), weight.astype(dtype))


class Case(NamedTuple):
    """A training with rules."""

    kind: str
    monitor: Any
    data: Data
    rows: Any
    optimizer: Any
    batch_size: int | None
    rules: dict[str, Any]
    validation: Any
    n_epochs: int
    k: int

    def __repr__(self):  # instead of arrays
        skipped = int((self.data.sample_weight == 0).sum())
        about = (
            f"{self.kind}, {self.data.X.dtype}, {skipped} rows of weight 0, batches of "
            f"{self.batch_size}"
        )
        about += "" if self.rows is None else f", rows {self.rows.tolist()}"
        return f"<{about}, {self.optimizer}, {self.stop}, {self.n_epochs} epochs, every {self.k}>"

    @property
    def network(self):
        return NETWORKS[self.kind][0]

    @property
    def stop(self):
        return Stop(
            monitor=self.monitor, validation=self.validation, on_divergence="stop", **self.rules
        )

    @property
    def trained_on(self):
        return self.data if self.rows is None else Data(*(array[self.rows] for array in self.data))

    def train(self, backend, **options):
        X, Y, weight = self.data
        kept = {"optimizer": self.optimizer, "batch_size": self.batch_size, "alpha": 0.01}
        kept["seed"] = None if "resume" in options else 5
        kept |= {
            "stop": self.stop,
            "sample_weight": weight,
            "backend": backend,
            "epochs": self.n_epochs,
        }
        kept["rows"] = self.rows
        return train(self.network, X, Y, **kept | options)


@st.composite
def cases(draw):
    def pick(*options):
        return draw(st.sampled_from(options))

    kind = pick(*NETWORKS)
    monitor = pick(*NETWORKS[kind][1])
    seed = draw(st.integers(0, 99))
    dtype = pick(np.float64, np.float32)
    data = draw_data(kind, dtype, N, seed)
    if pick(True, False):
        data = data._replace(sample_weight=np.ones(N, dtype))
    held_out = draw_data(kind, dtype, 9, seed + 1)
    rate = RATES[pick(*RATES)]
    optimizer = pick(SGD(rate, momentum=0.9), Adam(rate))
    batch_size = pick(None, 5)
    rules = {
        "tol": pick(None, 0.0, 0.1, 10.0),
        "patience": pick(None, 1, 4, 9),
        "restore_best": pick(True, False),
    }
    above_some = ReduceRate(0.3, 3, least=0.2)  # the least rate is above some schedules' rates
    rules["reduce"] = pick(None, ReduceRate(0.5, 1, 0.02), ReduceRate(0.1, 2), above_some)
    validation = pick(None, None, None, 0.3, held_out[:2], tuple(held_out))
    monitor = closeness if monitor == "function" else monitor
    n_epochs = draw(st.integers(0, 14))
    k = draw(st.integers(1, 4))
    rows = draw(st.none() | st.lists(st.integers(0, N - 1), min_size=5, max_size=40).map(np.array))
    # if those to train on, or to validate on, all weigh nothing, they are refused
    if rows is not None:
        some = rows if validation == 0.3 else rows[0]
        data.sample_weight[some] = np.maximum(data.sample_weight[some], 0.5)
    return Case(kind, monitor, data, rows, optimizer, batch_size, rules, validation, n_epochs, k)


class Plain:
    """A training by steps, one at a time, and all rules after each epoch: what it came to."""

    def __init__(self, case, backend):
        data = case.trained_on
        self.case = case
        self.backend = get_backend(backend)
        self.random_state = RandomState(5)
        params = case.network.init_params(self.random_state, data.X.dtype)
        self.state = StepState.create(params, case.optimizer.n_slots)
        self.split(data)
        self.task = Task(case.network, case.optimizer, Data(*map(np.ascontiguousarray, data)), 0.01)
        self.size = min(case.batch_size or len(data.X), len(self.order))
        self.reason = "epochs"
        self.loss = []
        self.validation_loss = []
        self.score = []  # the less, the better, until the end
        self.learning_rate = []
        self.called = []
        self.factor = 1.0
        self.best = math.inf
        self.stale = 0
        self.best_score = math.inf
        self.best_params = None
        self.best_epoch = 0

    def split(self, data):
        """Set the rows to train on, in their order, and those that are held out."""
        validation = self.case.validation
        self.order = np.arange(len(data.X))
        self.held_out = None
        if isinstance(validation, float):
            drawn = self.random_state.permutation(self.order)
            cut = math.ceil(validation * len(drawn))
            self.order = drawn[cut:].copy()
            self.held_out = Data(*(array[drawn[:cut]] for array in data))
        elif validation is not None:
            ones = np.ones(len(validation[0]), data.X.dtype)
            self.held_out = Data(*(*validation, ones)[:3])

    def do_epoch(self):
        """Do the steps of an epoch, until one diverges; note its loss and learning rate."""
        is_whole = self.size == len(self.order)
        if not is_whole:
            self.random_state.shuffle(self.order)
        is_sum = self.case.network.reduction == "sum"
        total = rows = 0.0
        for start in range(0, len(self.order), self.size):
            batch = self.order[start : start + self.size]
            rate = self.rate()
            loss = self.step(batch, rate)
            if loss is None:
                self.reason = "diverged"
                return
            n = 1 if is_sum or is_whole else len(batch)
            if self.task.data.sample_weight[batch].any():
                total = total + loss * n
                rows = rows + n
        self.loss.append(total if is_sum or is_whole else total / rows)
        self.learning_rate.append(rate)

    def rate(self):
        """The learning rate of the next step."""
        base = self.case.optimizer.learning_rate
        base = base(self.state.t) if callable(base) else base
        if self.factor == 1:
            return base
        return max(base * self.factor, min(base, self.case.rules["reduce"].least))

    def step(self, batch, rate):
        """Do a step; return its loss, or None where it diverges: then the state stays."""
        places = np.array([0]), np.array([len(batch)])
        step = Steps(batch, *places, np.array([rate]), np.zeros(1))
        before = self.state.copy()
        if self.backend.train_steps(self.task, self.state, step):
            return step.loss[0]
        self.state = before
        return None

    def loss_of(self, rows, alpha):
        network = self.case.network
        return self.backend.loss_and_gradient(network, self.state.params, rows, alpha)[0]

    def monitored(self):
        """The score, the less, the better; None for a training loss that nobody asks for."""
        case = self.case
        score = None
        if self.held_out is not None:
            score = self.loss_of(self.held_out, 0.0)
            self.validation_loss.append(score)
        if case.monitor == "loss":
            if score is None and case.rules["restore_best"]:
                score = self.loss_of(case.trained_on, 0.01)
            return score
        rows = self.held_out
        if rows is None:
            rows = Data(*(array[np.sort(self.order)] for array in case.trained_on))
        x, y, weight = (array[rows.sample_weight > 0] for array in rows)
        outputs = fastnn.predict(case.network, self.state.params, x, backend=self.backend)
        return -scorer(case.monitor, case.network, y, weight)(outputs)

    def follow_rules(self, epoch):
        """Do after an epoch what the rules say."""
        rules = self.case.rules
        score = self.monitored()
        # the score is what they compare, but for the plain training loss
        is_plain = self.case.monitor == "loss" and self.held_out is None
        compared = self.loss[-1] if is_plain else score
        noted = self.loss[-1] if score is None else score
        if noted < min(self.score, default=math.inf):
            self.best_epoch = epoch
        self.score.append(noted + 0.0)  # -0.0 is 0.0
        is_better = math.isfinite(compared) and compared < self.best - (rules["tol"] or 0)
        self.stale = 0 if is_better else self.stale + 1
        if math.isfinite(compared):
            self.best = min(self.best, compared)
        if rules["restore_best"] and score < self.best_score:
            self.best_score = score
            self.best_params = self.state.params.copy()
        patience = rules["patience"]
        if patience is None and rules["tol"] is not None and rules["reduce"] is None:
            patience = 10
        if patience is not None and self.stale >= patience:
            self.reason = "tolerance" if self.held_out is None else "validation"
        elif rules["reduce"] and self.stale and self.stale % rules["reduce"].patience == 0:
            self.factor *= rules["reduce"].factor
        if epoch % self.case.k == 0:
            self.called.append(epoch)


def plain(case, backend):
    """Train by a plain loop, and return what it came to."""
    training = Plain(case, backend)
    for epoch in range(1, case.n_epochs + 1):
        training.do_epoch()
        if training.reason == "diverged":
            break
        training.follow_rules(epoch)
        if training.reason != "epochs":
            break
    training.n_epochs = len(training.loss)
    training.params = training.state.params
    if training.best_params is not None:
        training.params = training.best_params
    if case.monitor != "loss":
        training.score = [-score for score in training.score]
    return training


def matches(result, expected, *earlier):
    """Whether the last of some results, that went on one from the other, gives what the plain loop
    does."""
    results = [*earlier, result]
    assert sum(r.n_epochs for r in results) == expected.n_epochs
    assert result.stop_reason == expected.reason
    assert bits(result.params) == bits(expected.params)
    assert bits(result.state.vectors) == bits(expected.state.vectors)
    histories = [r.history for r in results]
    for name in ("loss", "validation_loss", "learning_rate", "score"):
        found = np.concatenate([getattr(h, name) for h in histories])
        assert found.tolist() == pytest.approx(getattr(expected, name), rel=0, abs=0), name
    if not earlier:
        assert result.history.best_epoch == expected.best_epoch
