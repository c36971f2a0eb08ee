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
from fastnn.compiler.lanes import each_lane, each_padded, each_vector, horizontal_sum
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
    at_least,
    at_most,
    blend_prefix,
    double_of,
    fma,
    is_double,
    like,
    maximum,
    sqrt,
    where_gt,
    where_positive,
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
    return at_least(x, GATE_BEGINS[dtype_of(x)])


def probability(p):
    """Return a probability clipped to [eps, 1 - eps] of its dtype; NaN passes."""
    # scikit-learn's bounds: log(0) would make the loss of one sure and wrong output infinite
    eps = 2.0**-52 if is_double(p) else 2.0**-23
    return at_least(at_most(p, 1.0 - eps), eps)


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
        others = _parameter(Z, number, formula, "z")
        for o in each(n):  # row by row of the panel: the weights are those of its columns
            for b in each_vector(Z, width):
                i = o * width + b
                z = load(Z, i)
                w = load(weight, b)
                a, *slope = calculate(formula, partial(like, z), z=z, **others)
                for derivative in slope:  # none where delta does not need it
                    store(slopes, i, where_positive(w, derivative))
                store(Z, i, where_positive(w, a))

    return activate


def _backward(formula):
    """Make the backward function of an activation, see `activation_delta`, from the formula of
    delta, of d and a or d and f'(z).
    """

    @traced
    def derive(D, A, slopes, weight, number, n, width):
        by_slope = "slope" in formula.inputs and "a" not in formula.inputs
        name = "slope" if by_slope else "a"
        others = _parameter(D, number, formula, "d", name)
        # In padding d, a and f'(z) are 0, and so is delta.
        for b in each_vector(D, width):
            w = load(weight, b)
            for o in each(n):
                i = o * width + b
                d = load(D, i)
                inputs = {"d": d, name: load(slopes if by_slope else A, i)}
                (delta,) = calculate(formula, partial(like, d), **inputs, **others)
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
    for b in each_vector(Z, width):
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
    top = [splat(z, 0)]
    sum_of_e = [zero(z)]
    for o in each(n, top):
        top[0] = maximum(splat(z, o), top[0])
    # the lanes behind the n-th become any number, which no sum takes in
    for i in each_padded(z, n):
        store(z, i, exp(load(z, i) - top[0]))
    for o in each(n, sum_of_e):
        sum_of_e[0] = sum_of_e[0] + splat(z, o)
    # a division, as on panels: a product with the inverse would round twice
    for i in each_padded(z, n):
        store(z, i, load(z, i) / sum_of_e[0])


@traced
def _softmax_delta(D, A, slopes, weight, number, n, width):
    """Overwrite D (n, width) by the full Jacobian's product: ``delta = a * (d - sum(d a))``, column
    by column.
    """
    for b in each_vector(D, width):
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
    w = load(weight, 0)
    inner = [zero(d)]
    for o in each(n, inner):
        inner[0] = fma(splat(d, o), splat(a, o), inner[0])
    for i in each_padded(d, n):
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
        numbers = [like(zero(A), double_of(get(block, 1 + k))) for k in range(n_numbers)]
        for o in each(n):
            for b in each_vector(A, width):
                i = o * width + b
                w = load(weight, b)
                inputs = {"a": load(A, i), "y": load(Y, i)} if is_loss else {"z": load(A, i)}
                value, slope = calculate(formula, numbers.__getitem__, **inputs)
                results = (value, w * slope) if is_loss else (slope, value)
                for target, result in zip((second, out), results, strict=True):
                    store(target, i, where_positive(w, result))

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
    sum_terms(scratch, n, width)


def _custom_row_loss(formula, scratch, a, n):
    """Do what `row_loss` says by the formula of a user."""
    L = lanes_of(a)
    _custom_terms(formula, scratch, a, ceil_div(n, L), L)  # the row's weight is in every lane
    _sum_of_row(scratch, load(scratch.weight, 0), n)


def _cases(functions, k, *arguments):
    """Return the cases of a `switch`: {code: the k-th of its functions, with these arguments}."""
    return {code: partial(each_of[k], *arguments) for code, each_of in functions.items()}


_ACTIVATIONS = {
    ACTIVATION_CODES[name]: (_forward(line.forward), _backward(line.backward))
    if line.function
    else (_softmax, _softmax_delta)
    for name, line in ACTIVATIONS.items()
}
"""{code: the functions of `activate` and of `activation_delta`}"""
_by_slope = _backward(ACTIVATIONS["silu"].backward)
_ACTIVATIONS[ACTIVATION_CODES[CustomActivation.name]] = _activate_custom, _by_slope


@outlined
def activate(Z, slopes, weight, number, n, width, code):
    """Overwrite z by a = f(z) on the panel Z (n, width), and `slopes` (n, width) by f'(z) where the
    derivative needs z.

    Where the row weight is 0, a is 0, whatever z is; not for softmax, an output. `number` points to
    the bits of the activation's parameter.
    """
    switch(code, _cases(_ACTIVATIONS, 0, Z, slopes, weight, number, n, width))


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
            parameters = dict(zip(names_of(line.value), (like(x, y) for y in numbers), strict=True))
            (a,) = calculate(formula, partial(like, x), z=x, **parameters)
            store(z, o, a)

    return each_number


@outlined
def activation_delta(D, A, slopes, weight, number, n, width, code):
    """Overwrite d = dL/da by delta = d f'(z) on the panel D (n, width); A and `slopes` (n, width)
    are `activate`'s.
    """
    switch(code, _cases(_ACTIVATIONS, 1, D, A, slopes, weight, number, n, width))


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
    adds nothing and gets a derivative of 0, whatever it holds. Their first argument, the block of a
    user's formula, is that of `_custom_loss` and its kin.
    """

    def numbers_at(scratch, read, n, o):
        """Read the numbers from output o on, of n outputs."""
        L = lanes_of(scratch.loss_numbers)
        return [read(scratch.loss_numbers, k * (ceil_div(n, L) * L) + o) for k in range(len(names))]

    def loss_of(scratch, A, i, w, numbers):
        """Write ``w dl/da`` of the vector at i to `scratch.delta`, and return its l."""
        a = load(A, i)
        y = load(scratch.targets, i)
        parameters = dict(zip(names, numbers, strict=True))
        value, derivative = calculate(formula, partial(like, a), a=a, y=y, **parameters)
        # what a row of weight 0 holds may be NaN
        store(scratch.delta, i, where_positive(w, w * derivative))
        return where_positive(w, value)

    @traced
    def panel(_, scratch, A, n, width):
        s = [zero(A)]
        for o in each(n, s):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each_vector(A, width, s):
                w = load(scratch.weight, b)
                s[0] = fma(w, loss_of(scratch, A, o * width + b, w, numbers), s[0])
        put(scratch.sum_of_l, 0, horizontal_sum(s[0]))  # one row a lane, so this adds up the rows

    @traced
    def terms(_, scratch, A, n, width):
        for o in each(n):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each_vector(A, width):
                i = o * width + b
                w = load(scratch.weight, b)
                store(scratch.delta_below, i, loss_of(scratch, A, i, w, numbers))

    @traced
    def single(_, scratch, a, n):
        w = load(scratch.weight, 0)
        # Its outputs lie side by side: each l is written to memory before they are added up one by
        # one.
        terms = scratch.delta_below  # free until backward, and as long as the outputs
        for i in each_padded(a, n):
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
"""{code: the functions of `output_loss`, of `output_terms` and of `row_loss`}"""
_LOSSES[MATCHED_POISSON] = _loss(formula_of(("a", "y"), LOSSES["poisson"].function, operator.sub))
for name, code in SMOOTHED.items():
    _LOSSES[code] = _loss(LOSSES[name].recording, names_of(LOSSES[name].value))
_LOSSES[CUSTOM_LOSS] = _custom_loss, _custom_terms, _custom_row_loss


squared_error = partial(_LOSSES[LOSS_CODES["squared_error"]][0], None)
"""The function of panels of the squared error, for those who know no other."""


@outlined
def output_loss(loss, formula, scratch, A, n, width):
    """Write a block's loss to `scratch.sum_of_l`, and dL/da to `scratch.delta`: of the outputs A
    (n, width).

    Where loss and output are matched, it is delta itself. `formula` is `Model.loss_formula`.
    """
    switch(loss, _cases(_LOSSES, 0, formula, scratch, A, n, width))


@outlined
def output_terms(loss, formula, scratch, A, n, width):
    """Write each l of a thread's columns to `scratch.delta_below`, and dL/da, as `output_loss`
    does: A (n, width).
    """
    switch(loss, _cases(_LOSSES, 1, formula, scratch, A, n, width))


@traced
def sum_terms(scratch, n, width, columns=None):
    """Write a block's loss to `scratch.sum_of_l`: the sum of the l of all its columns, in the order
    of `output_loss`.

    `columns(*kept)` iterates over the threads' columns: (the first of them, how many), in all
    `width`. Without it, all are one panel's.
    """
    s = [zero(scratch.weight)]
    for lane in each_lane(scratch.weight, width, s):
        for o in each(n, s):
            # The threads' columns in a row are those of one panel, in this order; so the lanes add
            # up the same terms.
            for first, count in columns(s) if columns else [(0, width)]:
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
    switch(loss, _cases(_LOSSES, 2, formula, scratch, a, n))
