"""Trainings with rules, drawn, and the plain loop that says what they must give."""

import math
from collections import namedtuple
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from bits import bits

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
    r = np.random.RandomState(seed)
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


Plain = namedtuple(
    "Plain",
    "n_epochs reason state params loss validation_loss score learning_rate best_epoch called",
)
"""The results of the plain loop."""


def plain(case, backend):
    """Train by steps, one at a time, and all rules after each epoch."""
    network = case.network
    optimizer = case.optimizer
    rules = case.rules
    data = case.trained_on
    X, _, weight = data
    n_rows = len(X)
    dtype = X.dtype
    backend = get_backend(backend)
    random_state = np.random.RandomState(5)
    state = StepState.create(network.init_params(random_state, dtype), optimizer.n_slots)
    order = np.arange(n_rows)
    held_out = None
    if isinstance(case.validation, float):
        drawn = random_state.permutation(n_rows)
        cut = math.ceil(case.validation * n_rows)
        order = drawn[cut:].copy()
        held_out = Data(*(a[drawn[:cut]] for a in data))
    elif case.validation is not None:
        given = (*case.validation, np.ones(len(case.validation[0]), dtype))[:3]
        held_out = Data(*given)
    task = Task(network, optimizer, Data(*map(np.ascontiguousarray, data)), 0.01)
    on_loss = case.monitor == "loss"

    def loss_of(rows, alpha):
        return backend.loss_and_gradient(network, state.params, rows, alpha)[0]

    size = min(case.batch_size or n_rows, len(order))
    losses = []
    validation_losses = []
    scores = []
    rates = []
    called = []
    factor = 1.0
    best = math.inf
    stale = 0
    best_score = math.inf
    best_params = None
    best_epoch = 0
    reason = "epochs"

    for epoch in range(1, case.n_epochs + 1):
        if size < len(order):
            random_state.shuffle(order)
        total = rows = 0.0
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            base = optimizer.learning_rate
            base = base(state.t) if callable(base) else base
            rate = base if factor == 1 else max(base * factor, min(base, rules["reduce"].least))
            step = Steps(
                batch, np.array([0]), np.array([len(batch)]), np.array([rate]), np.zeros(1)
            )
            before = state.copy()
            if backend.train_steps(task, state, step) == 0:
                state = before
                reason = "diverged"
                break
            n = 1 if network.reduction == "sum" or size == len(order) else len(batch)
            if weight[batch].any():
                total = total + step.loss[0] * n
                rows = rows + n
        if reason == "diverged":
            break
        losses.append(total if network.reduction == "sum" or size == len(order) else total / rows)
        rates.append(rate)

        # The score, less is better: it is what the rules compare, but for the plain training loss.
        score = None
        if held_out is not None:
            score = loss_of(held_out, 0.0)
            validation_losses.append(score)
        elif on_loss and rules["restore_best"]:
            score = loss_of(data, 0.01)
        if not on_loss:
            rows = held_out if held_out is not None else Data(*(a[np.sort(order)] for a in data))
            used = rows.sample_weight > 0
            x, y, w = (a[used] for a in rows)
            score = -scorer(case.monitor, network, y, w)(
                fastnn.predict(network, state.params, x, backend=backend)
            )
        compared = losses[-1] if on_loss and held_out is None else score
        scores.append(abs(score) if score == 0 else score if score is not None else losses[-1])

        failed = not (math.isfinite(compared) and compared < best - (rules["tol"] or 0))
        stale = stale + 1 if failed else 0
        if math.isfinite(compared):
            best = min(best, compared)
        if rules["restore_best"] and score < best_score:
            best_score = score
            best_params = state.params.copy()
        if scores[-1] < min(scores[:-1], default=math.inf):
            best_epoch = epoch
        patience = rules["patience"]
        if patience is None and rules["tol"] is not None and rules["reduce"] is None:
            patience = 10
        if patience is not None and stale >= patience:
            reason = "tolerance" if held_out is None else "validation"
        elif rules["reduce"] is not None and stale and stale % rules["reduce"].patience == 0:
            factor *= rules["reduce"].factor
        if epoch % case.k == 0:
            called.append(epoch)
        if reason != "epochs":
            break
    params = best_params if rules["restore_best"] and best_params is not None else state.params
    scores = [s if on_loss else -s for s in scores]
    return Plain(
        len(losses),
        reason,
        state,
        params,
        losses,
        validation_losses,
        scores,
        rates,
        best_epoch,
        called,
    )


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
