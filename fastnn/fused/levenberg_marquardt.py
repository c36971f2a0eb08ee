"""The entry point levenberg_marquardt: epochs by it, and by Bayesian regularization, in the place
of `train_steps`.

Ordinary Numba code; `levenberg_marquardt` in `fastnn/reference.py` is its twin. `normal.py` has the
matrices.
"""

import math
from functools import partial

from fastnn import optimizers
from fastnn.compiler.calls import unpack
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, splat, store
from fastnn.compiler.tracing import entry, inlined
from fastnn.compiler.vectors import fma
from fastnn.fused import normal
from fastnn.fused.blocks import gather_block, padded, penalty, sum_weights
from fastnn.fused.epoch_ends import fires_at_end
from fastnn.fused.layout import TRAINING, EpochEnds, LeastSquares
from fastnn.optimizers import AT_ALPHA, AT_BETA, AT_COUNT, AT_DAMPING, AT_GAMMA, AT_GROWTH

# places in `ends`, counted from 1
GOAL = 1
NO_GRADIENT = 2
NO_STEP = 3
COLLAPSED = 4
# the vectors that say why it ended
LAST = optimizers.LevenbergMarquardt.n_slots
LAST_BAYESIAN = optimizers.BayesianRegularization.n_slots
ROWS = 64  # rows of the factor that one product makes at a time


@inlined
def loss_of(scratch, model, spec, data, rows, n_rows, params):
    """Return the loss of all rows, before it is divided; a single block is gathered already."""
    loss = penalty(scratch, model, params, spec.penalty)
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = padded(n, lanes_of(data.X))
        if n < n_rows:
            gather_block(scratch, model, data, offset(rows, begin), n, True)
        normal.loss_of_block(scratch, model, params, width)
        loss += get(scratch.sum_of_l, 0)
    return loss


@inlined
def spread_of(data, rows, n_rows, n_outputs, total):
    """Return the sum of the squares by which the targets differ from their mean; `total` is the sum
    of the weights.
    """
    spread = 0.0
    for o in range(n_outputs):
        mean = 0.0
        for b in range(n_rows):
            row = get(rows, b)
            w = get(data.sample_weight, row)
            if w > 0:  # what a row of weight 0 holds must not show
                mean += w * get(data.Y, row * n_outputs + o)
        mean /= total
        for b in range(n_rows):
            row = get(rows, b)
            w = get(data.sample_weight, row)
            if w > 0:
                e = get(data.Y, row * n_outputs + o) - mean
                spread += w * (e * e)
    return spread


@inlined
def normal_equations(scratch, model, spec, data, rows, n_rows, params):
    """Write J'J and J'r of all rows to `spec.products`, penalty included."""
    H = spec.products
    J = spec.jacobian
    n = spec.n
    L = lanes_of(spec.products)
    begun = 0
    for begin in range(0, n_rows, model.block):
        m = min(model.block, n_rows - begin)
        width = padded(m, lanes_of(data.X))
        if m < n_rows:  # else the panels still have what the loss was computed from
            gather_block(scratch, model, data, offset(rows, begin), m, True)
            normal.loss_of_block(scratch, model, params, width)
        for o in range(model.n_outputs):
            normal.output_slopes(scratch, model, params, spec.deltas, o, width)
            normal.transpose_jacobian(
                J, scratch.activations, spec.deltas, spec.factors, n + L, width
            )
            normal.add_products(H, J, scratch.zeros, n, width, begun)
            begun = 1
    last = n * n
    for k in range(model.n_params):
        strength = spec.alpha * get(spec.is_weight, k)
        at = place(n, k, L)
        put(H, at, get(H, at) + strength)
        put(H, last + k * L, get(H, last + k * L) + strength * get(params, k))
        put(spec.gradient, k, get(H, last + k * L))


@inlined
def place(n, k, L):
    """Return where the number (k, k) of a matrix in strips of `n` rows stands."""
    return k // L * n * L + k * L + k % L


@inlined
def factor_diagonal(D, inverse, L):
    """Make the rows of U within the strip D (L, L) of the diagonal, and its inverses; return
    whether they exist.
    """
    exist = True
    for i in range(L):
        s = load(D, i * L)
        for j in range(i):
            s = fma(splat(D, j * L + i), load(D, j * L), s)
        store(D, i * L, s)
        pivot = -get(D, i * L + i)
        exist = exist and pivot > 0
        put(inverse, i, 1 / math.sqrt(pivot))
        store(D, i * L, s * -splat(inverse, i))
    return exist


@inlined
def factorize(scratch, model, spec, damping):
    """Write the Cholesky factor of J'J with the damping to `spec.factor`, J'r behind it; return
    whether it exists.
    """
    U = spec.factor
    n = spec.n
    L = lanes_of(spec.factor)
    normal.negate(U, spec.products, n)
    for k in range(n):
        put(U, place(n, k, L), get(U, place(n, k, L)) - damping if k < model.n_params else -1)
    for first in range(0, n, ROWS):
        stop = min(first + ROWS, n)
        normal.take_off_rows(U, scratch.zeros, n, first, stop - first, 0, first)
        for k in range(first, stop, L):
            normal.take_off_rows(U, scratch.zeros, n, k, L, first, k - first)
            if not factor_diagonal(offset(U, k * n + k * L), offset(spec.inverse, k), L):
                return False
            normal.finish_rows(U, offset(spec.inverse, k), n, k)
    return True


@inlined
def substitute(spec):
    """Write the solution to `spec.step`, from the factor and what it has made of J'r."""
    U = spec.factor
    n = spec.n
    x = spec.step
    L = lanes_of(spec.factor)
    for k in range(n):
        put(x, k, get(U, n * n + k * L))
    for first in range(n - L, -1, -L):
        D = offset(U, first * n + first * L)
        for i in range(L - 1, -1, -1):
            known = get(x, first + i) * get(spec.inverse, first + i)
            put(x, first + i, known)
            for r in range(i):
                put(x, first + r, get(x, first + r) - get(D, r * L + i) * known)
        normal.subtract_columns(x, offset(U, first * n), offset(x, first), first)


@inlined
def inner(a, b, n):
    """Return the inner product of a and b (n,), added from left to right."""
    s = 0.0
    for k in range(n):
        s += get(a, k) * get(b, k)
    return s


@inlined
def add_penalty(spec, n_params, params, strength):
    """Write J'r with the gradient of a penalty on all parameters, where the factorization and the
    loop read it.
    """
    L = lanes_of(spec.products)
    last = spec.n * spec.n
    for k in range(n_params):
        slope = get(spec.slopes, k) + strength * get(params, k)
        put(spec.gradient, k, slope)
        put(spec.products, last + k * L, slope)


@inlined
def effective_number(scratch, spec, n, strength):
    """Return gamma, the effective number of parameters, by the factor of J'J with a penalty of this
    strength; and by how much the squares would fall.
    """
    U = spec.factor
    L = lanes_of(spec.products)
    normal.diagonal_of_inverse(
        spec.step, U, spec.inverse, spec.jacobian, spec.unit, scratch.zeros, spec.n
    )
    trace = 0.0
    gain = 0.0
    for k in range(n):
        promised = get(U, spec.n * spec.n + k * L)
        trace += get(spec.step, k)
        gain += promised * promised
    return min(max(n - strength * trace, spec.least_gamma / 2), float(n)), gain


@inlined
def weigh(scratch, model, spec, vectors, squares, n_errors):
    """Update alpha, beta and gamma; return the reason to end the training, or 0, and the strength
    of the penalty.

    `squares` is the sum of the squared residuals, `n_errors` how many there are.
    """
    n = model.n_params
    L = lanes_of(spec.products)
    count = get(vectors, AT_COUNT * spec.stride)
    is_first = count <= spec.first_steps
    size = inner(vectors, vectors, n)
    last_alpha = get(vectors, AT_ALPHA * spec.stride)
    last_beta = get(vectors, AT_BETA * spec.stride)
    if size == 0:
        return COLLAPSED, 0.0
    largest = 0.0
    for k in range(n):
        largest = max(largest, get(spec.products, place(spec.n, k, L)))
        put(spec.slopes, k, get(spec.gradient, k))
    gamma = float(n)
    gain = math.inf
    strength = 0.0
    if not is_first:
        strength = last_alpha / last_beta
        add_penalty(spec, n, vectors, strength)
        if not factorize(scratch, model, spec, strength):
            return 0, strength
        gamma, gain = effective_number(scratch, spec, n, strength)
        gain *= last_beta
    alpha = gamma / (2 * size)
    beta = (n_errors - gamma if n_errors > gamma else n_errors) / (2 * squares)
    if alpha < spec.least_strength * largest * beta:
        beta = alpha / (spec.least_strength * largest)
    if not is_first:
        change = alpha / beta / strength - 1
        gain += gamma * (change * change)
    put(vectors, AT_ALPHA * spec.stride, alpha)
    put(vectors, AT_BETA * spec.stride, beta)
    put(vectors, AT_GAMMA * spec.stride, gamma)
    put(vectors, AT_COUNT * spec.stride, count + 1)
    strength = alpha / beta * (spec.first_part if count < spec.first_steps else 1.0)
    add_penalty(spec, n, vectors, strength)
    if gamma < spec.least_gamma:
        return COLLAPSED, strength
    return NO_GRADIENT if gain <= spec.least_gain else 0, strength


@inlined
def penalty_of(spec, params, n, strength):
    """Return the penalty of Bayesian regularization on all parameters; that of others is in the
    loss already.
    """
    return strength / 2 * inner(params, params, n) if spec.bayesian else 0.0


@inlined
def lower(scratch, model, spec, batch, params, loss, damping, growth, strength):
    """Write parameters with a lower loss to `spec.tried`: those of the first damping that has them,
    from `damping` up.

    Return their loss with the penalty and without it, and that damping; it exceeds the most where
    none has them. `batch` is the data, their rows, how many these are, the sum of their weights,
    and the divisor of the loss.
    """
    data, rows, n_rows, total, divisor = batch
    while damping <= spec.most_damping:
        if factorize(scratch, model, spec, damping * total + strength):
            substitute(spec)
            for k in range(model.n_params):
                put(spec.tried, k, get(params, k) - get(spec.step, k))
            data_loss = loss_of(scratch, model, spec, data, rows, n_rows, spec.tried) / divisor
            tried = data_loss + penalty_of(spec, spec.tried, model.n_params, strength) / divisor
            if tried < loss:
                return tried, data_loss, damping
        damping *= 10.0 if spec.tenfold else growth
        growth *= 2
    return loss, loss, damping


@inlined
def take_step(vectors, spec, n, damping, total, fallen):
    """Go to `spec.tried`, by which the loss has `fallen`, and write the damping of the next
    step.
    """
    for k in range(n):
        put(vectors, k, get(spec.tried, k))
    factor = 0.1
    if not spec.tenfold:
        promised = (
            damping * total * inner(spec.step, spec.step, n) + inner(spec.step, spec.gradient, n)
        ) / 2
        overshoot = 2 * (fallen / promised) - 1
        factor = max(1 / 3, 1 - overshoot * overshoot * overshoot)
    put(vectors, AT_DAMPING * spec.stride, max(damping * factor, spec.least_damping))
    put(vectors, AT_GROWTH * spec.stride, 2.0)


@inlined
def first_damping(vectors, spec):
    """Return the damping that a step tries first, and its growth where that is too small."""
    damping = get(vectors, AT_DAMPING * spec.stride)
    if damping == 0:  # no step has been done
        return spec.damping, 2.0
    return damping, get(vectors, AT_GROWTH * spec.stride)


@inlined
def begin_penalty(vectors, spec):
    """Let the whole penalty begin with the next step, and the damping anew."""
    put(vectors, AT_DAMPING * spec.stride, 0.0)
    put(vectors, AT_COUNT * spec.stride, float(spec.first_steps))


@inlined
def linearize(scratch, model, spec, batch, vectors, data_loss, least):
    """Write the normal equations at the parameters of a loss; return the reason to end the
    training, or 0, and the strength of the penalty. `batch` is that of `lower`.
    """
    if data_loss <= spec.goal:
        return GOAL, 0.0
    data, rows, n_rows, total, divisor = batch
    end = 0
    strength = 0.0
    normal_equations(scratch, model, spec, data, rows, n_rows, vectors)
    if spec.bayesian:
        squares = 2 * data_loss * divisor
        end, strength = weigh(scratch, model, spec, vectors, squares, total * model.n_outputs)
    if end == 0 and math.sqrt(inner(spec.gradient, spec.gradient, model.n_params)) <= least:
        end = NO_GRADIENT
    return end, strength


@partial(entry, **TRAINING | {"spec": LeastSquares}, ends=EpochEnds)
def levenberg_marquardt(vectors, beta_products, n_steps, scratch, model, spec, data, steps, ends):
    """Train: change `vectors` (4 or 8, spec.stride) and `steps.loss`; return the good steps. See
    `train_steps`.

    All steps are on the rows of the first one. Where the method ends, its number goes to the last
    vector.
    """
    vectors = unpack(vectors)
    beta_products = unpack(beta_products)
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    steps = unpack(steps)
    ends = unpack(ends)
    n = model.n_params
    ended = (LAST_BAYESIAN if spec.bayesian else LAST) * spec.stride
    put(vectors, ended, 0.0)
    if n_steps == 0:
        return 0
    rows = offset(steps.rows, get(steps.start, 0))
    n_rows = get(steps.stop, 0) - get(steps.start, 0)
    total = sum_weights(data, rows, n_rows)
    least = spec.min_grad * spread_of(data, rows, n_rows, model.n_outputs, total)
    divisor = total if model.mean else 1.0
    batch = data, rows, n_rows, total, divisor
    if n_rows <= model.block:
        gather_block(scratch, model, data, rows, n_rows, True)
    data_loss = loss_of(scratch, model, spec, data, rows, n_rows, vectors) / divisor
    s = 0
    while s < n_steps:
        is_early = spec.bayesian > 0 and get(vectors, AT_COUNT * spec.stride) < spec.first_steps
        damping, growth = first_damping(vectors, spec)
        if not math.isfinite(data_loss):
            return s
        loss = data_loss
        tried = data_loss
        end, strength = linearize(scratch, model, spec, batch, vectors, data_loss, least)
        if end == 0:
            loss += penalty_of(spec, vectors, n, strength) / divisor
            tried, data_loss, damping = lower(
                scratch, model, spec, batch, vectors, loss, damping, growth, strength
            )
            end = 0 if damping <= spec.most_damping else NO_STEP
        if end > GOAL and is_early:  # the whole penalty begins sooner
            begin_penalty(vectors, spec)
            data_loss = loss_of(scratch, model, spec, data, rows, n_rows, vectors) / divisor
            continue
        if end > 0:
            put(vectors, ended, end)
            return s
        take_step(vectors, spec, n, damping, total, (loss - tried) * divisor)
        put(steps.loss, s, tried)
        s += 1
        if ends.per_epoch > 0 and fires_at_end(ends):
            return s
    return n_steps
