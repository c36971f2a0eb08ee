"""Functions of an output and its target, drawn by a seed, as a user may write them with NumPy."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from fastnn.derivatives import switches, with_derivative
from fastnn.formulas import TRIED, Formula, check_finite, evaluate
from fastnn.recording import recorded

OF_ONE = (  # these take complex numbers
    lambda x: np.tanh(x),
    lambda x: np.exp(-x * x),
    lambda x: np.sqrt(1 + x**2) - 1,
    lambda x: np.log1p(x * x),
    lambda x: np.log(1 + np.exp(x)),
    lambda x: 1 / (1 + x**2),
    lambda x: x / (1 + np.exp(-x)),
    lambda x: np.log(np.cosh(x)),
    lambda x: np.expm1(x / 4),
    lambda x: x**3 / 8,
)
OF_ONE_REAL = (
    abs,
    expit,
    lambda x: np.logaddexp(0, x),
    lambda x: np.sign(x) * np.sqrt(abs(x) + 0.5),
    lambda x: np.maximum(x, 0) ** 2,
    lambda x: np.clip(x, -1, 0.5),
    lambda x: np.where((x > -0.5) & ~(x > 0.75), x * x, abs(x)),
)
OF_TWO = (
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (2 + np.tanh(y)),
)
OF_TWO_REAL = (
    np.maximum,
    lambda x, y: np.where(x > y, 3.0 * (x - y), y - x),
    lambda x, y: (x <= y) * x + (x > y) * y**2,
    lambda x, y: np.hypot(x, 1 + abs(y)),
)


def draw_function(random, depth, complex_too):
    """Return a function of a and y."""
    if depth == 0:
        number = round(random.uniform(-2, 2), 2)
        leaves = (lambda a, y: a, lambda a, y: a - y, lambda a, y: y + number * a)
        return leaves[random.randint(3)]
    below = [draw_function(random, depth - 1, complex_too) for _ in range(2)]
    if random.uniform() < 0.5:
        choices = OF_ONE if complex_too else OF_ONE + 2 * OF_ONE_REAL
        one = choices[random.randint(len(choices))]
        return lambda a, y: one(below[0](a, y))
    choices = OF_TWO if complex_too else OF_TWO + OF_TWO_REAL
    two = choices[random.randint(len(choices))]
    return lambda a, y: two(below[0](a, y), below[1](a, y))


class Drawn(NamedTuple):
    """A function with its formula and derivative, and numbers at which it has no kink."""

    function: Callable
    takes_complex: bool
    formula: Formula
    a: np.ndarray  # (N_POINTS,)
    y: np.ndarray  # (N_POINTS,)


N_POINTS = 32


def draw_formula(seed):
    """Return a function that is finite everywhere within 10."""
    random = np.random.RandomState(seed)
    takes_complex = seed % 2 == 0
    while True:
        function = draw_function(random, random.randint(1, 5), takes_complex)
        try:
            formula = with_derivative(recorded("it", function, ("a", "y")), "a")
            check_finite("it", formula, a=TRIED, y=TRIED)
        except ValueError:  # it does not depend on a, or is too large
            continue
        a, y = random.uniform(-2, 2, (2, 16 * N_POINTS))
        away = away_from_kinks(formula, a, y)
        if np.count_nonzero(away) >= N_POINTS:
            return Drawn(function, takes_complex, formula, a[away][:N_POINTS], y[away][:N_POINTS])


def away_from_kinks(formula, a, y, margin=0.05):
    """Return at which numbers no kink is nearer than this."""
    away = np.ones(len(a), bool)
    for switch in switches(formula._replace(results=formula.results[:1]), "a"):
        distance, slope = evaluate(switch, a=a, y=y)
        away &= abs(distance) > margin * (1 + abs(slope))
    return away
