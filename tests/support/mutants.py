"""Back ends with a bug each, and what the conformance suite says of them: `python
tests/support/mutants.py` prints it.

A back end with a bug is the reference with one of its functions replaced while it computes. `Part`
supports a few networks and optimizers, as a young back end does, so that the suite takes a second.
"""

import dataclasses
import functools
from collections import Counter
from typing import NamedTuple
from unittest import mock

import numpy as np

from fastnn import LevenbergMarquardt, reference
from fastnn.testing import conformance_checks
from fastnn.testing.conformance import run_checks


class Part(reference.NumpyBackend):
    """The reference for some activations and losses, with some of its functions replaced."""

    name = "broken"

    def __init__(self, replaced=None):
        for method in ("predict", "loss_and_gradient", "train_steps"):
            for name, replacement in (replaced or {}).items():
                setattr(
                    self,
                    method,
                    mock.patch.object(reference, name, replacement)(getattr(self, method)),
                )

    def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
        hidden = {layer.activation for layer in network.layers[:-1]} <= {"tanh", "relu"}
        losses = network.loss in ("squared_error", "absolute_error", "cross_entropy")
        return hidden and losses and network.output in ("identity", "softmax")


def after_backward(change):
    """`change(network, params, gradient, batch, alpha)` works on the gradient that backward
    wrote."""

    def backward(
        network, params, gradient, batch, passed, alpha, after_layer=None, right=reference.backward
    ):
        right(network, params, gradient, batch, passed, alpha, after_layer)
        change(network, params, gradient, batch, alpha)

    return functools.partial(Part, {"backward": backward})


no_bias_gradient = after_backward(
    lambda network, params, gradient, *others: [db.fill(0) for db in gradient.b]
)


def with_batch(change):
    def take(network, data, rows, right=reference.take):
        return change(network, data, right(network, data, rows))

    return functools.partial(Part, {"take": take})


mean_by_rows = with_batch(
    lambda n, d, b: b._replace(divisor=float(len(b.X))) if n.reduction == "mean" else b
)


def with_activation(name, **fields):
    functions = reference.ACTIVATION_FUNCTIONS
    return functools.partial(
        Part, {"ACTIVATION_FUNCTIONS": functions | {name: functions[name]._replace(**fields)}}
    )


def with_update(name, update):
    return functools.partial(Part, {"UPDATES": reference.UPDATES | {name: update}})


def with_rates(name, **fields):
    """The update takes other products of the betas, or other parameters for weights."""
    return with_update(
        name, lambda o, p, slots, g, rates: reference.adam(o, p, slots, g, rates._replace(**fields))
    )


def with_call(task=lambda task: task, steps=lambda steps: steps):
    """The steps are taken for others, or as those of another task."""

    class Changed(Part):
        def train_steps(self, its, state, given):
            return super().train_steps(task(its), state, steps(given))

    return Changed


def other_damping(task):
    if not isinstance(task.optimizer, LevenbergMarquardt):
        return task
    method = dataclasses.replace(task.optimizer, damping=task.optimizer.damping * (1 + 1e-8))
    return dataclasses.replace(task, optimizer=method)


def penalty_on_biases(network, params, gradient, batch, alpha):
    for b, db in zip(params.b, gradient.b, strict=True):
        db += alpha * b / batch.divisor


def short_batch():
    longest = []  # of these data: (data, number)

    def change(network, data, batch):
        if longest and longest[0] is data and network.reduction == "mean":
            batch = batch._replace(divisor=max(longest[1], batch.divisor))
        longest[:] = data, batch.divisor
        return batch

    return with_batch(change)()


def stale_activation():
    last = {}

    def forward(network, params, X, right=reference.forward):
        zs, activations = right(network, params, X)
        old = last.get(network, activations)
        last[network] = activations
        fits = all(a.shape == b.shape for a, b in zip(old, activations, strict=True))
        return zs, [*old[:-1], activations[-1]] if fits else activations

    return Part({"forward": forward})


def nesterov_ignored(optimizer, p, slots, g, rates):
    plain = type(optimizer)(
        optimizer.learning_rate, optimizer.momentum, sequential=optimizer.sequential
    )
    reference.sgd(plain, p, slots, g, rates)


class Eager(Part):
    """The products of the betas go on in skipped steps."""

    def train_steps(self, task, state, steps):
        n_good = super().train_steps(task, state, steps)
        weight = task.data.sample_weight[steps.rows]
        batches = zip(steps.start[:n_good], steps.stop[:n_good], strict=True)
        n_skipped = sum(not weight[a:b].any() for a, b in batches)
        state.beta_products *= [beta**n_skipped for beta in task.optimizer.betas]
        return n_good


class Blind(Part):
    """Only the loss is looked at."""

    def train_steps(self, task, state, steps):
        n_good = super().train_steps(task, state, steps)
        return n_good + int(np.isfinite(steps.loss[n_good : n_good + 1]).sum())


class Keeping(Part):
    """The rows gathered for some places are kept from call to call."""

    def train_steps(self, task, state, steps):
        rows = steps.rows.copy()
        kept = vars(self).setdefault("kept", {})
        for a, b in zip(steps.start, steps.stop, strict=True):
            rows[a:b] = kept.setdefault((id(task.data.X), a, b), rows[a:b].copy())
        return super().train_steps(task, state, steps._replace(rows=rows))


def not_sequential(
    network, params, gradient, batch, passed, alpha, after_layer=None, right=reference.backward
):
    right(network, params, gradient, batch, passed, alpha)
    for l in reversed(range(network.n_layers)):
        if after_layer:
            after_layer(l)


class Writing(Part):
    def predict(self, network, params, X, threads=None):
        params *= 2
        return super().predict(network, params, X)


class Late(Part):
    """The loss is that of an earlier call's parameters."""

    def loss(self, task, params, gradient=None):
        kept = task.kept.setdefault(
            self, self.loss_and_gradient(task.network, params, task.data, task.penalty)
        )
        if gradient is not None:
            gradient[...] = kept[1]
        return kept[0]


class Single(Part):
    """All is computed in float32."""

    accepts_complex = False

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        narrow = [array.astype(np.float32) for array in (params, *data)]
        loss, gradient = super().loss_and_gradient(
            network, narrow[0], type(data)(*narrow[1:]), alpha
        )
        return loss, gradient.astype(params.dtype)


class Wide(Part):
    """Rounds once a call."""

    def train_steps(self, task, state, steps):
        wide = state.copy()
        wide.storage = state.storage.astype(np.float64)
        data = type(task.data)(*(array.astype(np.float64) for array in task.data))
        n_good = super().train_steps(dataclasses.replace(task, data=data), wide, steps)
        with np.errstate(over="ignore"):
            state.storage[...] = wide.storage
        state.t = wide.t
        state.beta_products = wide.beta_products
        return n_good


class Reversed(Part):
    """Sums run over rows and inputs from the last to the first."""

    accepts_complex = False

    def __init__(self):
        super().__init__({"forward": self.forward, "take": self.take})

    def predict(self, network, params, X, threads=None):
        return reference.NumpyBackend.predict(self, network, params, X)

    @staticmethod
    def forward(network, params, X):
        zs = []
        activations = [X]
        for layer, W, b in zip(network.layers, params.W, params.b, strict=True):
            zs.append(activations[-1][:, ::-1].copy() @ W[::-1].copy() + (b if layer.n_bias else 0))
            activations.append(reference.ACTIVATION_FUNCTIONS[layer.activation].value(zs[-1]))
        return zs, activations

    @staticmethod
    def take(network, data, rows, right=reference.take):
        *arrays, divisor = right(network, data, rows)
        return reference.Batch(*(array[::-1].copy() for array in arrays), divisor)


RIGHT = {"the reference": Part, "sums in another order": Reversed}


class Bug(NamedTuple):
    """A bug, and the words by which the suite names it."""

    make: object
    words: str
    kind: str = "property"  # of the checks that name it
    # in which it is looked for; `main` and the slow tests take both dtypes, and all kinds
    dtype: str = "float64"


MUTANTS = {
    "no bias gradient": Bug(no_bias_gradient, r"b of layer 0"),
    "relu'(0) = 1": Bug(
        with_activation("relu", delta=lambda d, a, z: np.where(z.real >= 0, d, 0)),
        "relu: the slope where z is 0",
    ),
    "a short last batch divided by a full one's rows": Bug(
        short_batch, "a short last batch is divided by its own rows"
    ),
    "a mean is divided by the number of rows": Bug(
        mean_by_rows, "a mean is divided by the sum of the weights"
    ),
    "activations of the last step": Bug(
        stale_activation, "the same steps from the same state give the same bits"
    ),
    "Adam's moments swapped": Bug(
        with_update(
            "Adam", lambda o, p, slots, g, rates: reference.adam(o, p, slots[::-1], g, rates)
        ),
        "update: Adam",
        "update",
    ),
    "Adam without bias correction": Bug(
        with_rates("Adam", beta_products=np.zeros(2)), "update: Adam", "update"
    ),
    "AdamW decays biases": Bug(
        with_rates("AdamW", is_weight=1.0), "update: AdamW weight_decay=0.5", "update"
    ),
    "Nesterov's momentum is the plain one": Bug(
        with_update("SGD", nesterov_ignored), "update: SGD momentum=0.9 nesterov=True", "update"
    ),
    "penalty on biases": Bug(
        after_backward(penalty_on_biases), "the penalty is one on weights, not on biases"
    ),
    "weights ignored": Bug(
        with_batch(lambda n, d, b: b._replace(weight=b.weight * 0 + 1)), "sample weights count"
    ),
    "softmax' derivative without its other outputs": Bug(
        with_activation("softmax", delta=lambda d, a, z: d * a * (1 - a)),
        "squared_error of softmax",
        "gradient",
    ),
    "beta_products advance in skipped steps": Bug(
        Eager, "beta_products those that are not skipped"
    ),
    "parameters that overflow go unseen": Bug(
        Blind, "a step whose loss or parameters are not finite"
    ),
    "rows kept from an earlier call": Bug(Keeping, "steps in two calls give the bits of one call"),
    "the order of the rows ignored": Bug(
        with_call(steps=lambda steps: steps._replace(rows=np.sort(steps.rows))),
        "rows are taken in the order that the steps say",
    ),
    "the first learning rate for all steps": Bug(
        with_call(
            steps=lambda steps: steps._replace(
                learning_rate=steps.learning_rate[:1].repeat(len(steps.loss))
            )
        ),
        "each step has its own learning rate",
    ),
    "another damping": Bug(
        with_call(other_damping), "LevenbergMarquardt: a step solves the damped normal equations"
    ),
    "a loss that ignores its own penalty": Bug(
        with_call(lambda task: dataclasses.replace(task, value_alpha=None)),
        "loss, with a stronger penalty",
    ),
    "a back end that raises": Bug(
        functools.partial(Part, {"forward": lambda *given: 1 / 0}),
        "ZeroDivisionError: division by zero",
    ),
    "sequential ignored": Bug(
        functools.partial(Part, {"backward": not_sequential}),
        "sequential: a layer is updated before delta is carried below it",
    ),
    "predict writes into the parameters": Bug(
        Writing, "nothing is written but the state and the losses"
    ),
    "the loss of an earlier call's parameters": Bug(
        Late, "the loss has the same bits with its gradient and without"
    ),
    "float32 rounded once a call": Bug(
        Wide, "steps in two calls give the bits of one call, float32", dtype="float32"
    ),
    "float64 computed in float32": Bug(
        Single, "gradient: tanh, squared_error of identity, float64", "gradient"
    ),
}


@functools.cache
def report_on(name, dtypes=("float32", "float64"), kind=None):
    """The suite's report on a mutant, by the checks of a kind or by all."""
    checks = [check for check in conformance_checks(dtypes) if kind in (None, check.kind)]
    return run_checks(checks, MUTANTS[name].make(), raises=False)


def caught(name, *which):
    """The number of failed checks by kind, and the first one that names the bug: its name and
    message."""
    failed = report_on(name, *which).failed
    texts = [f"{outcome.check.name}: {outcome.message}" for outcome in failed]
    named = next((text for text in texts if MUTANTS[name].words in text), None)
    return Counter(outcome.check.kind for outcome in failed), named


def main():
    for name in MUTANTS:
        kinds, text = caught(name)
        counts = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items())
        print(f"{name}\n    caught by {counts or 'NOTHING'}\n    {text}\n")  # noqa: T201


if __name__ == "__main__":
    main()
