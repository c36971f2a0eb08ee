"""The NumPy back end: the specification. If the two back ends disagree, this one is right.

Read it top to bottom: activations, losses, forward pass, backward pass, optimizers,
Levenberg-Marquardt, and the loop that puts them together. Arrays have one row per example: X (n,
fan_in), a (n, fan_out), W (fan_in, fan_out), b (fan_out,). The functions accept complex parameters,
so that the gradient can be checked by complex steps; branches look at ``.real``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastnn import optimizers
from fastnn.formulas import LEAST_DELTA, evaluate
from fastnn.interface import Backend
from fastnn.losses import (
    ACTIVATIONS,
    LOSSES,
    Activation,
    CustomLoss,
    Loss,
    Value,
)
from fastnn.memory import ROW_BLOCK, Array
from fastnn.network import Layer, Network
from fastnn.optimizers import AT_ALPHA, AT_COUNT, AT_DAMPING, AT_GROWTH
from fastnn.optimizers import BayesianRegularization as Bayesian
from fastnn.state import Data, Steps, StepState, Task

# -------------------------------------------------------------------------------------- activations
# name -> (a = f(z), delta = d * f'(z)), with d = dL/da. Their formulas are recorded from the
# functions in `definitions.py`, softmax excepted; parameters come after the arrays.


class ActivationFunctions(NamedTuple):
    """One activation: its value, and delta from d, a and z."""

    value: Callable[..., Array]
    delta: Callable[..., Array]


def flush(x: Array, weight: Any = 1) -> Array:
    """x, but 0 where it is below `LEAST_DELTA`, of a delta times its row's weight: products may be
    subnormal then

    Some processors take a hundred cycles for such a product, and a network that knows its rows by
    heart has many.
    """
    return np.where(abs(x.real) < weight * LEAST_DELTA[x.real.dtype.name], 0, x)


def named(value: Value | None, numbers: tuple[Any, ...]) -> dict[str, Any]:
    """The numbers by their names; where there are none, those of the value"""
    if value is None:
        return {}
    usual = value._numbers(1)
    return dict(zip(usual, numbers, strict=True)) if numbers else usual


def by_formulas(line: Activation) -> ActivationFunctions:
    """The functions of an activation, by its formulas"""

    def value(z: Array, *numbers: Any) -> Array:
        return evaluate(line.forward, z=z, **named(line.value, numbers))[0]

    def delta(d: Array, a: Array, z: Array, *numbers: Any) -> Array:
        if line.needs_z:
            return d * evaluate(line.forward, z=z, **named(line.value, numbers))[1]
        return evaluate(line.backward, d=d, a=a, **named(line.value, numbers))[0]

    return ActivationFunctions(value, delta)


def softmax(z: Array) -> Array:
    """``exp(z) / sum(exp(z))`` over the outputs of a row"""
    e = np.exp(z - z.real.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_delta(d: Array, a: Array, z: Array) -> Array:
    """``a (d - sum(d a))``"""
    return a * (d - (d * a).sum(axis=1, keepdims=True))


ACTIVATION_FUNCTIONS: dict[str, ActivationFunctions] = {
    name: by_formulas(line) if line.function else ActivationFunctions(softmax, softmax_delta)
    for name, line in ACTIVATIONS.items()
}


def activation_of(layer: Layer) -> ActivationFunctions:
    """The functions of a layer's activation, with its parameters"""
    if layer.formula is not None:
        return by_formulas(Activation("", layer.formula))
    functions = ACTIVATION_FUNCTIONS[layer.activation]
    if not layer.numbers:
        return functions
    return ActivationFunctions(
        *(lambda *arrays, f=f: f(*arrays, *layer.numbers) for f in functions)
    )


# ------------------------------------------------------------------------------------------- losses
# name -> (l, d = dl/da), elementwise; a row's loss is the sum over its outputs. Their formulas are
# those of `definitions.py`, too; parameters, (n_outputs,) each, come after the arrays.


class LossFunctions(NamedTuple):
    """One loss: its value for each output, and its derivative by the output; that of a loss which
    is always matched with its output is delta itself.
    """

    value: Callable[..., Array]
    d: Callable[..., Array]


def loss_by_formula(line: Loss) -> LossFunctions:
    """The functions of a loss, by its formula"""

    def result(k: int, a: Array, y: Array, *numbers: Any) -> Array:
        return evaluate(line.recording, a=a, y=y, **named(line.value, numbers))[k]

    return LossFunctions(partial(result, 0), partial(result, 1))


LOSS_FUNCTIONS = {name: loss_by_formula(line) for name, line in LOSSES.items()}


def loss_of(network: Network) -> LossFunctions:
    """The functions of a network's loss, with its parameters in the dtype of the outputs or
    targets
    """
    if isinstance(network.loss, CustomLoss):
        return loss_by_formula(network.loss_line)
    functions = LOSS_FUNCTIONS[network.loss_name]
    numbers = network.loss_numbers
    if not numbers:
        return functions
    return LossFunctions(
        *(
            lambda x, *y, f=f: f(x, *y, *(n.astype(x.real.dtype) for n in numbers))
            for f in functions
        )
    )


# -------------------------------------------------------------------------------- forward, backward


class Batch(NamedTuple):
    """The rows of one step without those of weight 0, and the divisor of the loss."""

    X: Array  # (n, n_inputs)
    Y: Array  # (n, n_outputs)
    weight: Array  # (n, 1)
    divisor: float


class Views(NamedTuple):
    """The weights W (fan_in, fan_out) and biases b (n_bias,) of the layers, as views of a flat
    vector.
    """

    W: list[Array]
    b: list[Array]


def views(network: Network, flat: Array) -> Views:
    """The layers' views of `flat` (n_params,)."""
    return Views(network.weights(flat), network.biases(flat))


def take(network: Network, data: Data, rows: Array | slice) -> Batch:
    """The batch of some rows of the data."""
    X = data.X[rows]
    Y = data.Y[rows]
    weight = data.sample_weight[rows]
    if not weight.all():
        used = weight > 0
        X = X[used]
        Y = Y[used]
        weight = weight[used]
    divisor = float(weight.sum()) if network.reduction == "mean" else 1.0
    return Batch(X, Y, weight[:, None], divisor)


def forward(network: Network, params: Views, X: Array) -> tuple[list[Array], list[Array]]:
    """Pre-activations z[l] (n, fan_out) of the layers, and activations a[l]: a[0] is X, a[l + 1]
    layer l's output.
    """
    zs = []
    activations = [X]
    for layer, W, b in zip(network.layers, params.W, params.b, strict=True):
        z = activations[-1] @ W
        if layer.n_bias:
            z = z + b
        zs.append(z)
        activations.append(activation_of(layer).value(z))
    return zs, activations


def loss_value(network: Network, params: Views, batch: Batch, output: Array, alpha: float) -> Any:
    """``L = (1/s) [ sum_i w_i l_i + (alpha/2) sum W^2 ]``, l_i summed over the outputs."""
    loss = (batch.weight * loss_of(network).value(output, batch.Y)).sum()
    if alpha:
        loss = loss + alpha / 2 * sum((W * W).sum() for W in params.W)
    return loss / batch.divisor


def output_delta(network: Network, z: Array, a: Array, batch: Batch) -> Array:
    """delta of the last layer (n, n_outputs), times the rows' weights."""
    loss = loss_of(network)
    if network.matched:
        is_delta = network.loss_line.is_always_matched
        delta = loss.d(a, batch.Y) if is_delta else a - batch.Y
    else:
        delta = activation_of(network.layers[-1]).delta(loss.d(a, batch.Y), a, z)
    return flush(batch.weight * delta, batch.weight)


def backward(
    network: Network,
    params: Views,
    gradient: Views,
    batch: Batch,
    passed: tuple[list[Array], list[Array]],
    alpha: float,
    after_layer: Callable[[int], None] | None = None,
) -> None:
    """Write the gradient of L into the views `gradient`, from the output to the input.

    `after_layer`, if given, is called with a layer's number when its gradient is there and before
    delta is carried below it: an optimizer with ``sequential=True`` updates the layer then.
    """
    zs, activations = passed
    delta = output_delta(network, zs[-1], activations[-1], batch)
    for l in reversed(range(network.n_layers)):
        layer = network.layers[l]
        W = params.W[l]
        b = params.b[l]
        dW = gradient.W[l]
        db = gradient.b[l]
        np.matmul(activations[l].T, delta, out=dW)
        if alpha:
            dW += alpha * W
        if layer.n_bias:
            db[...] = delta.sum(axis=0) if layer.n_bias == layer.fan_out else delta.sum()
            if network.bias_gradient == "times_bias":
                db *= b
        if batch.divisor != 1:
            dW /= batch.divisor
            db /= batch.divisor
        if after_layer is not None:
            after_layer(l)
        if l > 0:
            below = activation_of(network.layers[l - 1])
            delta = below.delta(delta @ W.T, activations[l], zs[l - 1])
            delta = flush(delta, batch.weight)


# --------------------------------------------------------------------------------------- optimizers
# Each changes the parameters p and the optimizer's state in place, given the gradient g: all of one
# length.


def clip_norm(gradient: Array, most: float) -> None:
    """``g *= most / |g|`` where ``|g| > most``, |g| the root of the sum of all squares, in
    float64
    """
    length = float(np.linalg.norm(gradient.astype(np.float64)))
    if most < length < math.inf:
        gradient *= most / length


class Rates(NamedTuple):
    """The quantities besides the gradient that the update of a step depends on."""

    learning_rate: float
    beta_products: Array  # (2,): beta_1 ** t, beta_2 ** t, this step included
    is_weight: Array  # 1 for a weight, 0 for a bias


def sgd(optimizer: optimizers.SGD, p: Array, slots: Array, g: Array, rates: Rates) -> None:
    """``v = momentum v - lr g; p += v``; Nesterov: ``p += momentum v - lr g``"""
    step = rates.learning_rate * g
    if not optimizer.momentum:
        p -= step
        return
    v = slots[0]
    v *= optimizer.momentum
    v -= step
    p += optimizer.momentum * v - step if optimizer.nesterov else v


def adam(optimizer: optimizers.Adam, p: Array, slots: Array, g: Array, rates: Rates) -> None:
    """``m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr_t m / (sqrt v + eps)``"""
    m, v = slots
    m *= optimizer.beta_1
    m += (1 - optimizer.beta_1) * g
    v *= optimizer.beta_2
    v += (1 - optimizer.beta_2) * g * g
    product_1, product_2 = rates.beta_products
    lr_t = float(rates.learning_rate * math.sqrt(1 - product_2) / (1 - product_1))
    step = lr_t * m / (np.sqrt(v) + optimizer.epsilon)
    if isinstance(optimizer, optimizers.AdamW):
        step += rates.learning_rate * optimizer.weight_decay * rates.is_weight * p
    p -= step


def rmsprop(optimizer: optimizers.RMSprop, p: Array, slots: Array, g: Array, rates: Rates) -> None:
    """``v = rho v + (1-rho) g^2; p -= lr g / (sqrt v + eps)``"""
    v = slots[0]
    v *= optimizer.rho
    v += (1 - optimizer.rho) * g * g
    p -= rates.learning_rate * g / (np.sqrt(v) + optimizer.epsilon)


def rprop(optimizer: optimizers.RPROP, p: Array, slots: Array, g: Array, rates: Rates) -> None:
    """iRprop-; a step size of 0 means that the parameter has not been updated yet"""
    last, size = slots
    size[size == 0] = rates.learning_rate
    agreement = g * last
    factor = np.where(
        agreement > 0, optimizer.grow, np.where(agreement < 0, optimizer.shrink, 1)
    ).astype(p.dtype)
    size[...] = np.where(
        agreement == 0, size, np.clip(size * factor, optimizer.smallest, optimizer.largest)
    )
    last[...] = np.where(agreement < 0, 0, g)
    p -= np.sign(last) * size


UPDATES: dict[str, Callable[..., None]] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adam,
    "RMSprop": rmsprop,
    "RPROP": rprop,
}

# ----------------------------------------------------- Levenberg-Marquardt, Bayesian regularization


def jacobian(
    network: Network, params: Views, passed: tuple[list[Array], list[Array]], weight: Array
) -> Array:
    """The derivatives (n_outputs * n, n_params) of each output of each row, times the roots of the
    rows' weights.
    """
    zs, activations = passed
    n = len(zs[0])
    slopes = []
    for o in range(network.n_outputs):
        d = np.zeros_like(zs[-1])
        d[:, o] = np.sqrt(weight[:, 0])
        slope = np.empty((n, network.n_params))
        for l in reversed(range(network.n_layers)):
            layer = network.layers[l]
            delta = flush(activation_of(layer).delta(d, activations[l + 1], zs[l]), weight)
            slope[:, layer.weight] = (activations[l][:, :, None] * delta[:, None, :]).reshape(n, -1)
            slope[:, layer.bias] = (
                delta if layer.n_bias == layer.fan_out else delta.sum(axis=1, keepdims=True)
            )
            d = delta @ params.W[l].T
        slopes.append(slope)
    return np.concatenate(slopes)


def normal_equations(network: Network, p: Array, batch: Batch, alpha: float) -> tuple[Array, Array]:
    """``J'J + alpha I`` (n_params, n_params) and ``J'r + alpha p`` (n_params,), block by block;
    alpha for weights.
    """
    penalty = alpha * network.is_weight()
    params = views(network, p)
    products = np.diag(penalty)
    gradient = penalty * p
    for first in range(0, len(batch.X), ROW_BLOCK):
        X, Y, weight = (
            array[first : first + ROW_BLOCK] for array in (batch.X, batch.Y, batch.weight)
        )
        passed = forward(network, params, X)
        J = jacobian(network, params, passed, weight)
        products += J.T @ J
        gradient += J.T @ (np.sqrt(weight) * (passed[1][-1] - Y)).T.reshape(-1)
    return products, gradient


def solve(products: Array, damping: float, gradient: Array) -> Array:
    """The d of ``(products + damping I) d = gradient`` (n_params,); NaN where the matrix has no
    Cholesky factor.
    """
    matrix = products + damping * np.eye(len(gradient))
    try:
        np.linalg.cholesky(matrix)
        return np.linalg.solve(matrix, gradient)
    except np.linalg.LinAlgError:
        return np.full_like(gradient, math.nan)


def weigh(
    rule: Bayesian,
    heads: Array,
    p: Array,
    products: Array,
    gradient: Array,
    squares: float,
    n_errors: float,
) -> tuple[int, float]:
    """Write alpha, beta, gamma and how often to `heads`; return why that ends the training, or 0,
    and the strength.

    `squares` is the sum of the squared residuals, `n_errors` how many there are. Nothing changes
    where the matrix has no Cholesky factor.
    """
    n = len(p)
    gain = math.inf
    strength = 0.0
    alpha, beta, gamma, count = evidence = heads[AT_ALPHA : AT_COUNT + 1]
    is_first = count <= rule.first_steps
    if p @ p == 0:
        return rule.ends.index("collapsed") + 1, 0.0
    if is_first:
        gamma = n
    else:
        strength = alpha / beta
        try:
            root = np.linalg.inv(np.linalg.cholesky(products + strength * np.eye(n)))
        except np.linalg.LinAlgError:
            return 0, strength
        gamma = min(max(n - strength * (root * root).sum(), rule.least_gamma / 2), n)
        promised = root @ (gradient + strength * p)
        gain = beta * (promised @ promised)
    alpha = gamma / (2 * (p @ p))
    beta = (n_errors - gamma if n_errors > gamma else n_errors) / (2 * squares)
    least = rule.least_strength
    if alpha < least * products.diagonal().max() * beta:
        beta = alpha / (least * products.diagonal().max())
    if not is_first:
        gain += gamma * (alpha / beta / strength - 1) ** 2
    evidence[:] = alpha, beta, gamma, count + 1
    strength = alpha / beta * (rule.first_part if count < rule.first_steps else 1.0)
    if gamma < rule.least_gamma:
        return rule.ends.index("collapsed") + 1, strength
    return rule.ends.index("converged") + 1 if gain <= rule.least_gain else 0, strength


def damping_factor(method: optimizers.LevenbergMarquardt, gain: float) -> float:
    """The factor of the damping after a good step; `gain` is the decrease of the loss as a part of
    what the linear model promised.
    """
    return max(1 / 3, 1 - (2 * gain - 1) ** 3) if method.adapt == "gain" else 0.1


GOAL = 1
NO_GRADIENT = 2
NO_STEP = 3
"""Places in the `ends` of a method, from 1."""


def levenberg_marquardt(task: Task, state: StepState, steps: Steps) -> int:
    """Do steps, and return the number of those that were done; the state says why that is not all
    of them.

    It stands in one piece, as its twin in `fused/levenberg_marquardt.py` does: each part changes
    the loss, the damping or the reason to end, which the next one reads.
    """
    network = task.network
    method = task.optimizer
    heads = state.vectors[:, 0]
    assert isinstance(method, optimizers.LevenbergMarquardt)
    p = state.params
    strength = 0.0
    heads[-1] = 0

    def loss_at(p: Array) -> float:
        params = views(network, p)
        output = forward(network, params, batch.X)[1][-1]
        return float(loss_value(network, params, batch, output, task.penalty))

    if not len(steps.loss):
        return 0
    batch = take(network, task.data, steps.rows[steps.start[0] : steps.stop[0]])
    s = 0
    total = float(batch.weight.sum())
    spread = batch.weight * (batch.Y - np.average(batch.Y, axis=0, weights=batch.weight[:, 0])) ** 2
    least = method.min_grad * float(spread.sum())
    data_loss = loss_at(p)
    first_steps = method.first_steps if isinstance(method, Bayesian) else 0
    while s < len(steps.loss):
        is_early = first_steps > 0 and heads[AT_COUNT] < first_steps
        if not math.isfinite(data_loss):
            return s
        end = GOAL if data_loss <= method.goal else 0
        products, gradient = normal_equations(network, p, batch, task.alpha)
        if isinstance(method, Bayesian) and not end:
            squares = 2 * data_loss * batch.divisor
            n_errors = total * network.n_outputs
            end, strength = weigh(method, heads, p, products, gradient, squares, n_errors)
            products = products + strength * np.eye(len(p))
            gradient = gradient + strength * p
        if not end and math.sqrt(gradient @ gradient) <= least:
            end = NO_GRADIENT
        loss = data_loss + strength / 2 * (p @ p) / batch.divisor
        damping = method.damping
        growth = 2.0
        if heads[AT_DAMPING]:
            damping, growth = heads[AT_DAMPING : AT_GROWTH + 1]
        while not end:
            if not damping <= method.most_damping:
                end = NO_STEP
                break
            step = solve(products, damping * total, gradient)
            data_loss = loss_at(p - step)
            tried = data_loss + strength / 2 * ((p - step) @ (p - step)) / batch.divisor
            if tried < loss:
                break
            damping = damping * (growth if method.adapt == "gain" else 10)
            growth = growth * 2
        if end > GOAL and is_early:  # the whole penalty begins sooner
            heads[AT_DAMPING] = 0
            heads[AT_COUNT] = first_steps
            data_loss = loss_at(p)
            continue
        if end:
            heads[-1] = end
            return s
        p -= step
        promised = (damping * total * (step @ step) + step @ gradient) / 2
        factor = damping_factor(method, (loss - tried) * batch.divisor / promised)
        heads[AT_DAMPING] = max(damping * factor, method.least_damping)
        heads[AT_GROWTH] = 2
        steps.loss[s] = tried
        state.t += 1
        s += 1
    return s


METHODS = dict.fromkeys(("LevenbergMarquardt", "BayesianRegularization"), levenberg_marquardt)

# ----------------------------------------------------------------------------------------- the loop


class NumpyBackend(Backend):
    """The reference back end."""

    name = "numpy"
    whole_batches = True
    takes_options = True  # optimizers may have `clip_norm` and `rates`
    accepts_complex = True  # parameters: `fastnn.testing.check_gradient` takes complex steps

    def __repr__(self) -> str:
        return "NumpyBackend()"

    def supports(
        self,
        network: Network,
        optimizer: optimizers.Optimizer,
        alpha: float = 0.0,
        sample_weight: bool = False,
    ) -> bool:
        """Return whether the optimizer is a built-in one, or a method."""
        return optimizer.name in UPDATES or optimizer.name in METHODS

    def predict(
        self, network: Network, params: Array, X: Array, threads: int | None = None
    ) -> Array:
        """Outputs (n, n_outputs)."""
        with np.errstate(all="ignore"):
            _, activations = forward(network, views(network, params), X)
        return activations[-1]

    def input_jacobian(self, network: Network, params: Array, X: Array) -> Array:
        """The derivatives (n, n_outputs, n_inputs) of the outputs of each row by its inputs."""
        slopes = np.empty((len(X), network.n_outputs, network.n_inputs), X.dtype)
        v = views(network, params)
        with np.errstate(all="ignore"):
            zs, activations = forward(network, v, X)
            for o in range(network.n_outputs):
                d = np.zeros_like(zs[-1])
                d[:, o] = 1
                for l in reversed(range(network.n_layers)):
                    delta = activation_of(network.layers[l]).delta(d, activations[l + 1], zs[l])
                    d = flush(delta) @ v.W[l].T
                slopes[:, o] = d
        return slopes

    def loss_and_gradient(
        self, network: Network, params: Array, data: Data, alpha: float, threads: int | None = None
    ) -> tuple[Any, Array]:
        """The loss and its gradient (n_params,); complex if `params` are."""
        gradient = np.zeros_like(params)
        batch = take(network, data, slice(None))
        if not len(batch.X):
            return 0.0, gradient
        v = views(network, params)
        with np.errstate(all="ignore"):
            passed = forward(network, v, batch.X)
            loss = loss_value(network, v, batch, passed[1][-1], alpha).item()
            backward(network, v, views(network, gradient), batch, passed, alpha)
        return loss, gradient

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Do forward, backward and update for each step, and return the number of good ones."""
        if task.optimizer.name in METHODS:
            with np.errstate(all="ignore"):
                return METHODS[task.optimizer.name](task, state, steps)
        network = task.network
        optimizer = task.optimizer
        data = task.data
        p = state.params
        slots = state.vectors[1:]
        gradient = np.zeros_like(p)
        params = views(network, p)
        d = views(network, gradient)
        is_weight = network.is_weight(p.dtype)
        update = UPDATES[optimizer.name]
        zeros = np.zeros_like(p)
        seen = None

        def apply(where: slice, factor: float = 1.0) -> None:
            rates = Rates(learning_rate * factor, state.beta_products, is_weight[where])
            update(optimizer, p[where], slots[:, where], gradient[where], rates)

        def apply_to_layer(l: int) -> None:
            layer = network.layers[l]
            factors = optimizer.rates[l] if optimizer.rates else (1.0, 1.0)
            for where, factor in zip((layer.weight, layer.bias), factors, strict=True):
                if factor:
                    apply(where, factor)

        after_layer = apply_to_layer if optimizer.sequential else None
        with np.errstate(all="ignore"):
            for s in range(len(steps.loss)):
                if seen != (seen := (int(steps.start[s]), int(steps.stop[s]))):
                    batch = take(network, data, steps.rows[slice(*seen)])
                state.t += 1
                steps.loss[s] = 0.0
                if not len(batch.X):
                    continue
                learning_rate = float(steps.learning_rate[s])
                state.beta_products *= optimizer.betas
                passed = forward(network, params, batch.X)
                steps.loss[s] = loss_value(network, params, batch, passed[1][-1], task.penalty)
                backward(network, params, d, batch, passed, task.alpha, after_layer)
                if optimizer.clip_norm:
                    clip_norm(gradient, optimizer.clip_norm)
                if optimizer.rates and not optimizer.sequential:
                    for l in range(network.n_layers):
                        apply_to_layer(l)
                elif not optimizer.sequential:
                    apply(slice(None))
                # 0 times infinity is NaN, and so is 0 times NaN: one inner product tests all
                # parameters
                if not (math.isfinite(steps.loss[s]) and math.isfinite(zeros @ p)):
                    return s
        return len(steps.loss)
