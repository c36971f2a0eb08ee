"""Activations, losses and their derivatives, on panels and on single rows.

Their formulas are those of the registries, recorded from the functions of `fastnn/definitions.py`,
and those of users; `calculate` traces a formula. Softmax alone, whose outputs depend on each other,
has functions of its own.

Of an activation one formula makes a from z, another delta from d = dL/da and a. Where the
derivative needs z, the first one leaves f'(z) in the panel `slopes`, and delta is d times that. Of
a loss one formula makes the value and the derivative; `loss_value` and `output_delta` of the
reference are the twins of `output_loss`.
"""

import inspect
import operator
from functools import partial

from fastnn.compiler.calls import call_block
from fastnn.compiler.control import choose, constant_of, each, switch
from fastnn.compiler.elementary import exp, expm1, log, log1p, sigmoid, softplus, tanh
from fastnn.compiler.lanes import each_lane, horizontal_sum
from fastnn.compiler.memory_ops import (
    get,
    has_many,
    lanes_of,
    load,
    offset,
    put,
    row_lanes_of,
    splat,
    store,
    zero,
)
from fastnn.compiler.tracing import Traced, exported, outlined, traced
from fastnn.compiler.vectors import (
    absolute,
    blend_prefix,
    double_of,
    fma,
    is_double,
    like,
    maximum,
    sqrt,
    where_gt,
)
from fastnn.formulas import GATE_BEGINS, LEAST_DELTA, pruned
from fastnn.fused.custom import FORMULAS, Source, block_words, decoded, name_of, source_of
from fastnn.fused.layout import (
    ACTIVATION_CODES,
    CUSTOM_LOSS,
    LOSS_CODES,
    MATCHED_POISSON,
    SMOOTHED,
)
from fastnn.losses import ACTIVATIONS, LOSSES, CustomActivation, line_of, names_of
from fastnn.memory import ceil_div
from fastnn.recording import formula_of

IDENTITY = ACTIVATION_CODES["identity"]
SOFTMAX = ACTIVATION_CODES["softmax"]


def flush(x, w):
    """Return 0 where |x| is below LEAST_DELTA times the row weight w, else x: `flush` in the
    reference.
    """
    least = w * LEAST_DELTA[dtype_of(w)]
    return where_gt(least, absolute(x), like(x, 0.0), x)


def dtype_of(x):
    """Return the name of a vector's dtype."""
    return "float64" if is_double(x) else "float32"


def flushed(x):
    """Return x, but 0 where it is below LEAST_DELTA."""
    return where_gt(like(x, LEAST_DELTA[dtype_of(x)]), x, like(x, 0.0), x)


def bounded(x):
    """Return x, or what leads to something that is flushed where it is smaller."""
    return maximum(like(x, GATE_BEGINS[dtype_of(x)]), x)


def probability(p):
    """Return a probability clipped to [eps, 1 - eps] of its dtype; NaN passes."""
    # scikit-learn's bounds: log(0) would make the loss of one sure and wrong output infinite
    low = like(p, 2.0**-52 if is_double(p) else 2.0**-23)
    high = 1.0 - low
    return where_gt(low, p, low, where_gt(p, high, high, p))


_OPERATIONS = {
    "add": operator.add,
    "sub": operator.sub,
    "fma": fma,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": absolute,
    "sqrt": sqrt,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "where_gt": where_gt,
    "flush": flushed,
    "bounded": bounded,
    "probability": probability,
}
"""{operation of `fastnn/formulas.py`: its function of vectors}."""


def calculate(formula, number, **inputs):
    """Return the vectors of a formula's results; `number` makes the vector of a number node."""
    values = []
    for name, *rest in formula.nodes:
        if name == "input":
            values.append(inputs[rest[0]])
        elif name == "number":
            values.append(number(rest[0]))
        else:
            values.append(_OPERATIONS[name](*(values[place] for place in rest)))
    return [values[place] for place in formula.results]


def _parameter(a, number, formula, *inputs):
    """Return the inputs of a formula besides these: one at most, whose bits are at `number`."""
    names = formula.inputs.difference(inputs)
    return {name: like(zero(a), double_of(get(number, 0))) for name in names}


def _forward(formula):
    """Make the forward function of an activation, see `activate`, from the formula of a and, where
    delta needs it, of f'(z).
    """

    @traced
    def activate(Z, slopes, weight, number, n, width):
        L = lanes_of(Z)
        own = _parameter(Z, number, formula, "z")
        for o in each(n):  # row by row of the panel: the weights are those of its columns
            for b in each(width // L, step=L):
                i = o * width + b
                z = load(Z, i)
                used = load(weight, b)
                nothing = zero(Z)
                a, *slope = calculate(formula, partial(like, z), z=z, **own)
                # by selection, not by a product: f(z), f'(z) of padding may be infinite, and 0
                # times infinity is NaN
                for derivative in slope:
                    store(slopes, i, where_gt(used, nothing, derivative, nothing))
                store(Z, i, where_gt(used, nothing, a, nothing))

    return activate


def _backward(formula):
    """Make the backward function of an activation, see `activation_delta`, from the formula of
    delta, of d and a or d and f'(z).
    """

    @traced
    def derive(D, A, slopes, weight, number, n, width):
        L = lanes_of(D)
        by_slope = "slope" in formula.inputs and "a" not in formula.inputs
        name = "slope" if by_slope else "a"
        own = _parameter(D, number, formula, "d", name)
        # In padding d, a and f'(z) are 0, and so is delta.
        for b in each(width // L, step=L):
            w = load(weight, b)
            for o in each(n):
                i = o * width + b
                d = load(D, i)
                inputs = {"d": d, name: load(slopes if by_slope else A, i)}
                (delta,) = calculate(formula, partial(like, d), **inputs, **own)
                store(D, i, flush(delta, w))

    return derive


# Softmax, twice each: on panels one column is one row of the batch, so sums go from vector to
# vector; on a single row they go from number to number, in the same order. `softmax` in the
# reference.


@traced
def _softmax(Z, slopes, weight, number, n, width):
    """Overwrite each column of Z (n, width) by exp(z - max z) over its sum, which is added up in
    ascending order.
    """
    L = lanes_of(Z)
    for b in each(width // L, step=L):
        top = [load(Z, b)]
        sum_of_e = [zero(Z)]
        for o in each(n, top):  # the largest z is subtracted, so that no exponential overflows
            top[0] = maximum(load(Z, o * width + b), top[0])
        for o in each(n, sum_of_e):
            e = exp(load(Z, o * width + b) - top[0])
            store(Z, o * width + b, e)
            sum_of_e[0] = sum_of_e[0] + e
        for o in each(n):
            store(Z, o * width + b, load(Z, o * width + b) / sum_of_e[0])


@outlined
def _row_softmax(z, n):
    """Overwrite a single row z (n to the end of its vector,) like `_softmax`, by whole vectors but
    for the sums.
    """
    L = lanes_of(z)
    n_vectors = ceil_div(n, L)
    top = [splat(z, 0)]
    sum_of_e = [zero(z)]
    for o in each(n, top):
        top[0] = maximum(splat(z, o), top[0])
    # the lanes behind the n-th become any number, which no sum takes in
    for i in each(n_vectors, step=L):
        store(z, i, exp(load(z, i) - top[0]))
    for o in each(n, sum_of_e):
        sum_of_e[0] = sum_of_e[0] + splat(z, o)
    # a division, as on panels: a product with the inverse would round twice
    for i in each(n_vectors, step=L):
        store(z, i, load(z, i) / sum_of_e[0])


@traced
def _softmax_delta(D, A, slopes, weight, number, n, width):
    """Overwrite D (n, width) by the full Jacobian's product: ``delta = a * (d - sum(d a))``, column
    by column.
    """
    L = lanes_of(D)
    for b in each(width // L, step=L):
        w = load(weight, b)
        # the inner product of d and a: each output depends on each z, so delta of one takes in
        # all d
        inner = [zero(D)]
        for o in each(n, inner):
            inner[0] = fma(load(D, o * width + b), load(A, o * width + b), inner[0])
        for o in each(n):
            i = o * width + b
            store(D, i, flush(load(A, i) * (load(D, i) - inner[0]), w))


@outlined
def _row_softmax_delta(d, a, weight, n):
    """Overwrite a single row d (n to the end of its vector,) like `_softmax_delta`."""
    L = lanes_of(d)
    w = load(weight, 0)
    inner = [zero(d)]
    for o in each(n, inner):
        inner[0] = fma(splat(d, o), splat(a, o), inner[0])
    for i in each(ceil_div(n, L), step=L):
        store(d, i, flush(load(a, i) * (load(d, i) - inner[0]), w))


# ------------------------------------------------------------------------------ formulas of users


def custom_panel(formula):
    """Return the function that kernels call by a block, of the formula of a value and a derivative
    whose numbers are places in the block, see `custom.py`.

    Of the panel A (n, width) of an activation's z it writes f'(z) to `second` and then f(z) to
    `out`, which may be A; of outputs A with targets Y, the l of each to `second`, and ``w dl/da``
    to `out`. Where the row weight w is 0, it writes zeros.
    """
    is_loss = "z" not in formula.inputs
    n_numbers = sum(name == "number" for name, *_ in formula.nodes)

    def panel(out, second, A, Y, weight, block, n, width):
        L = lanes_of(A)
        nothing = zero(A)
        numbers = [like(nothing, double_of(get(block, 1 + k))) for k in range(n_numbers)]
        for o in each(n):
            for b in each(width // L, step=L):
                i = o * width + b
                w = load(weight, b)
                inputs = {"a": load(A, i), "y": load(Y, i)} if is_loss else {"z": load(A, i)}
                value, slope = calculate(formula, numbers.__getitem__, **inputs)
                first = w * slope if is_loss else value
                store(second, i, where_gt(w, nothing, value if is_loss else slope, nothing))
                store(out, i, where_gt(w, nothing, first, nothing))

    return panel


@traced
def custom_code(z, block, n, source):
    """Trace the function of a formula as one for C; what it is called with here does not matter."""
    text = source.text.constant
    panel = custom_panel(decoded(text))
    panel.__name__ = name_of(Source(text))
    exported(panel)(z, z, z, z, z, block, n, n)


def _call(place, out, second, A, Y, weight, n, width):
    """Call the function of the block at the address `place`; in C, its code stands here."""
    if isinstance(A, Traced) and not A.outlines:
        source, numbers = source_of(FORMULAS[constant_of(place)])
        block = block_words(0, numbers)
        custom_panel(decoded(source.text))(out, second, A, Y, weight, block, n, width)
        return
    # Numbers of many networks are whole vectors, one behind the other.
    width = width * row_lanes_of(A) if has_many(A) else width
    call_block(place, out, second, A, Y, weight, n, width)


@traced
def _activate_custom(Z, slopes, weight, number, n, width):
    _call(get(number, 0), Z, slopes, Z, Z, weight, n, width)


def _custom_terms(formula, scratch, A, n, width):
    """Write each l to `scratch.delta_below`, and ``w dl/da`` to `scratch.delta`."""
    panels = scratch.delta, scratch.delta_below, A, scratch.targets
    _call(formula, *panels, scratch.weight, n, width)


def _custom_loss(formula, scratch, A, n, width):
    """Do what `output_loss` says by the formula of a user."""
    _custom_terms(formula, scratch, A, n, width)
    L = lanes_of(A)
    s = [zero(A)]
    for o in each(n, s):
        for b in each(width // L, s, step=L):
            s[0] = fma(load(scratch.weight, b), load(scratch.delta_below, o * width + b), s[0])
    put(scratch.sum_of_l, 0, horizontal_sum(s[0]))


def _custom_row_loss(formula, scratch, a, n):
    """Do what `row_loss` says by the formula of a user."""
    L = lanes_of(a)
    _custom_terms(formula, scratch, a, ceil_div(n, L), L)  # the row's weight is in every lane
    _sum_of_row(scratch, load(scratch.weight, 0), n)


_by_slope = _backward(ACTIVATIONS["silu"].backward)
_ACTIVATIONS = {
    name: (_forward(line.forward), _backward(line.backward))
    if line.function
    else (_softmax, _softmax_delta)
    for name, line in ACTIVATIONS.items()
}
_ACTIVATIONS[CustomActivation.name] = _activate_custom, _by_slope


@outlined
def activate(Z, slopes, weight, number, n, width, code):
    """Overwrite z by a = f(z) on the panel Z (n, width), and `slopes` (n, width) by f'(z) where the
    derivative needs z.

    Where the row weight is 0, a is 0, whatever z is; not for softmax, an output. `number` points to
    the bits of the activation's parameter.
    """
    panels = Z, slopes, weight, number, n, width
    switch(
        code,
        {
            ACTIVATION_CODES[name]: partial(forward, *panels)
            for name, (forward, _) in _ACTIVATIONS.items()
        },
    )


@traced
def row_activate(z, slopes, weight, number, n, code):
    """Overwrite a single row z (n to the end of its vector,) like `activate`."""
    # Number by number, a row is as good as a panel of one vector: its weight is in every lane.
    # Softmax alone sums.
    L = lanes_of(z)
    panels = slopes, weight, number, ceil_div(n, L), L, code
    choose(code == SOFTMAX, lambda: _row_softmax(z, n), lambda: activate(z, *panels))


def numbers_of_row(activation):
    """Return the function (z, n) that applies an activation to z (n,) where a vector is one number,
    as in C code.

    Behind them it takes the activation's parameter, if there is one.
    """
    if activation == "softmax":
        return inspect.unwrap(_row_softmax)
    line = line_of(activation, ACTIVATIONS)
    formula = pruned(line.forward.nodes, line.forward.results[:1])

    def each_number(z, n, *numbers):
        for o in each(n):
            x = load(z, o)
            own = dict(zip(names_of(line.value), (like(x, y) for y in numbers), strict=True))
            (a,) = calculate(formula, partial(like, x), z=x, **own)
            store(z, o, a)

    return each_number


@outlined
def activation_delta(D, A, slopes, weight, number, n, width, code):
    """Overwrite d = dL/da by delta = d f'(z) on the panel D (n, width); A and `slopes` (n, width)
    are `activate`'s.
    """
    panels = D, A, slopes, weight, number, n, width
    switch(
        code,
        {
            ACTIVATION_CODES[name]: partial(back, *panels)
            for name, (_, back) in _ACTIVATIONS.items()
        },
    )


@traced
def row_activation_delta(d, a, slopes, weight, number, n, code):
    """Overwrite a single row d (n to the end of its vector,) like `activation_delta`."""
    L = lanes_of(d)  # as in `row_activate`
    panels = slopes, weight, number, ceil_div(n, L), L, code
    choose(
        code == SOFTMAX,
        lambda: _row_softmax_delta(d, a, weight, n),
        lambda: activation_delta(d, a, *panels),
    )


# ------------------------------------------------------------------------------------------- losses


def _loss(formula, names=()):
    """Make the three functions of a loss, from the formula of l(a, y) and dl/da: for panels, for
    threads, for a row.

    The formula takes the numbers of these names besides. The first and the last function add up
    ``w l`` in one chain of fma per row of the batch, in the order of the outputs. A row of weight 0
    adds nothing and gets a derivative of 0, whatever it holds.
    """

    def numbers_at(scratch, read, n, o):
        """Read the numbers from output o on, of n outputs."""
        L = lanes_of(scratch.loss_numbers)
        return [read(scratch.loss_numbers, k * (ceil_div(n, L) * L) + o) for k in range(len(names))]

    def loss_of(scratch, A, i, w, numbers):
        """Write ``w dl/da`` of the vector at i to `scratch.delta`, and return its l."""
        # Both by selection: what a row of weight 0 holds may be NaN, and 0 times NaN is NaN.
        a = load(A, i)
        y = load(scratch.targets, i)
        nothing = zero(scratch.delta)
        own = dict(zip(names, numbers, strict=True))
        value, derivative = calculate(formula, partial(like, a), a=a, y=y, **own)
        store(scratch.delta, i, where_gt(w, nothing, w * derivative, nothing))
        return where_gt(w, nothing, value, nothing)

    @traced
    def panel(scratch, A, n, width):
        L = lanes_of(A)
        s = [zero(A)]
        for o in each(n, s):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each(width // L, s, step=L):
                w = load(scratch.weight, b)
                s[0] = fma(w, loss_of(scratch, A, o * width + b, w, numbers), s[0])
        put(scratch.sum_of_l, 0, horizontal_sum(s[0]))  # one row a lane, so this adds up the rows

    @traced
    def terms(scratch, A, n, width):
        L = lanes_of(A)
        for o in each(n):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each(width // L, step=L):
                i = o * width + b
                store(
                    scratch.delta_below, i, loss_of(scratch, A, i, load(scratch.weight, b), numbers)
                )

    @traced
    def single(scratch, a, n):
        L = lanes_of(a)
        w = load(scratch.weight, 0)
        # Its outputs lie side by side: each l is written to memory before they are added up one by
        # one.
        terms = scratch.delta_below  # free until backward, and as long as the outputs
        for i in each(ceil_div(n, L), step=L):
            store(terms, i, loss_of(scratch, a, i, w, numbers_at(scratch, load, n, i)))
        _sum_of_row(scratch, w, n)

    return panel, terms, single


def _sum_of_row(scratch, w, n):
    """Write the sum of the l of a single row of weight w."""
    nothing = zero(scratch.delta_below)
    s = [nothing]
    for o in each(n, s):
        s[0] = fma(w, splat(scratch.delta_below, o), s[0])
    # The one row in the first lane, and 0 in those of a panel's padding: the same tree, the
    # same bits.
    put(scratch.sum_of_l, 0, horizontal_sum(blend_prefix(1, s[0], nothing)))


def _without_smoothing(line):
    """Return the formula of a loss of labels that are not smoothed."""
    return formula_of(
        ("a", "y"),
        lambda a, y: line.function(a, y, 1.0, 0.0),
        lambda a, y: line.derivative(a, y, 1.0, 0.0),
    )


_LOSSES = {
    LOSS_CODES[name]: _loss(_without_smoothing(line))
    if name in SMOOTHED
    else _loss(line.recording, names_of(line.value))
    for name, line in LOSSES.items()
}
_LOSSES[MATCHED_POISSON] = _loss(formula_of(("a", "y"), LOSSES["poisson"].function, operator.sub))
for name, code in SMOOTHED.items():
    _LOSSES[code] = _loss(LOSSES[name].recording, names_of(LOSSES[name].value))


squared_error, *_ = _LOSSES[LOSS_CODES["squared_error"]]
"""The function of panels of the squared error, for those who know no other."""


@outlined
def output_loss(loss, formula, scratch, A, n, width):
    """Write a block's loss to `scratch.sum_of_l`, and dL/da to `scratch.delta`: of the outputs A
    (n, width).

    Where loss and output are matched, it is delta itself. `formula` is `Model.loss_formula`.
    """
    cases = {code: partial(panel, scratch, A, n, width) for code, (panel, *_) in _LOSSES.items()}
    switch(loss, cases | {CUSTOM_LOSS: partial(_custom_loss, formula, scratch, A, n, width)})


@outlined
def output_terms(loss, formula, scratch, A, n, width):
    """Write each l of a thread's columns to `scratch.delta_below`, and dL/da, as `output_loss`
    does: A (n, width).
    """
    cases = {code: partial(terms, scratch, A, n, width) for code, (_, terms, _) in _LOSSES.items()}
    switch(loss, cases | {CUSTOM_LOSS: partial(_custom_terms, formula, scratch, A, n, width)})


@traced
def sum_terms(scratch, n, width, columns):
    """Write a block's loss to `scratch.sum_of_l`: the sum of the l of all its columns, in the order
    of `output_loss`.

    `columns(*kept)` iterates over the threads' columns: (the first of them, how many), in all
    `width`.
    """
    s = [zero(scratch.weight)]
    for lane in each_lane(scratch.weight, width, s):
        for o in each(n, s):
            # The threads' columns in a row are those of one panel, in this order; so the lanes add
            # up the same terms.
            for first, count in columns(s):
                weight = offset(scratch.weight, first)
                terms = offset(scratch.delta_below, first * n + o * count)
                for b in lane(count, s):
                    s[0] = fma(load(weight, b), load(terms, b), s[0])
    put(scratch.sum_of_l, 0, horizontal_sum(s[0]))


@outlined
def row_loss(loss, formula, scratch, a, n):
    """Write a single row's loss and dL/da, as `output_loss` does: of the outputs a (n to the end of
    its vector,).
    """
    cases = {code: partial(single, scratch, a, n) for code, (*_, single) in _LOSSES.items()}
    switch(loss, cases | {CUSTOM_LOSS: partial(_custom_row_loss, formula, scratch, a, n)})
