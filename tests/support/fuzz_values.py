"""Values for the fuzzer: drawn from a seed, near what stands there, and what they are worth."""

import decimal
import fractions
import math

import numpy as np


class Wordy:
    def __repr__(self):
        return "x" * 10_000

    def __lt__(self, other):  # so that they are sorted
        return False


def nested(depth):
    """Lists in lists, with very long text in all."""
    return [nested(depth - 1)] * 6 if depth else "y" * 50


def long_function(*args):
    return "x"


LONG_NAME = "x" * 10_000
long_function.__name__ = long_function.__qualname__ = long_function.__module__ = LONG_NAME
LONG = [
    LONG_NAME,
    LONG_NAME.encode(),
    "x\n" * 10_000,
    [LONG_NAME] * 3,
    ["x"] * 10_000,
    [0] * 10_000,
    (-1,) * 10_000,
    nested(6),
    10**4200,
    -(10**4200),
    fractions.Fraction(10**4200, 3),
    np.array(["x" * 2000] * 3),
    Wordy(),
    np.zeros(3, [(f"field{i}", "f8") for i in range(900)]),
    np.array([Wordy()] * 3, object),
    np.zeros(10_000),
    type(LONG_NAME, (), {})(),
    type(LONG_NAME, (), {}),
    np.zeros(3).view(type(LONG_NAME, (np.ndarray,), {})),
    long_function,
    dict.fromkeys(map(str, range(10_000))),
    {LONG_NAME: LONG_NAME},
]
"""What must not stand in an error as a whole."""

SCALARS = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    2**31,
    2**63,
    2**64,
    -(2**70),
    10**400,
    -(10**400),
    0.5,
    -0.0,
    1e-320,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    "",
    "text",
    "relu",
    "ünï\0",
    "x" * 1000,
    b"",
    b"bytes",
    (),
    [],
    {},
    set(),
    np.float32(0.5),
    np.float64("nan"),
    np.int64(3),
    np.uint8(255),
    np.bool_(True),
    np.array(3),
    np.array([1, 2]),
    np.datetime64("2020-01-01"),
    np.longdouble(1),
    np.complex64(1j),
    fractions.Fraction(10**400),
    decimal.Decimal(1),
    object,
    type("Opaque", (), {"__repr__": lambda self: "opaque"})(),
    len,
    Ellipsis,
    NotImplemented,
    slice(3),
    range(3),
    iter([1]),
    memoryview(b"abc"),
    int,
    [[]],
    [1, [2]],
    [None],
    [math.nan],
    ["a"],
    {"a": 1},
    {1, 2},
    (1, 2, 3),
    [10**400],
    [True, False],
    [[1, 2], [3]],
]
"""What no one should pass."""

RIGHT = {
    "a copy": lambda a, r: a.copy(),
    "other numbers": lambda a, r: (r.standard_normal(a.shape) * 2 + 1).astype(a.dtype),
    "strided": lambda a, r: np.repeat(a, 2, 0)[::2],
    "backwards twice": lambda a, r: a[::-1].copy()[::-1],
    "Fortran order": lambda a, r: np.asfortranarray(a),
    "other byte order": lambda a, r: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": lambda a, r: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "a list": lambda a, r: a.tolist(),
    "a tuple": lambda a, r: tuple(a.tolist()),
    **{dtype: lambda a, r, dtype=dtype: a.astype(dtype) for dtype in ("g", "f8", "f4", "f2", "i1")},
    "booleans": lambda a, r: a > 0,
    "a subclass": lambda a, r: a.view(np.memmap),
    "one number": lambda a, r: a.ravel()[:1].copy(),
    "a scalar": lambda a, r: a.ravel()[0],
}
"""The same numbers in another array, or others in one that fits; the last ones fit some places."""

WRONG = {
    "one too few": lambda a, r: a[:-1].copy(),
    "one too many": lambda a, r: np.concatenate([a, a[-1:]]),
    "a column too few": lambda a, r: a[..., :-1].copy(),
    "a column too many": lambda a, r: np.concatenate([a, a[..., -1:]], -1),
    "transposed": lambda a, r: a.T,
    "transposed copy": lambda a, r: a.T.copy(),
    "flat": lambda a, r: a.ravel(),
    "deeper": lambda a, r: a[None],
    "a column": lambda a, r: a.reshape(-1, 1),
    "empty": lambda a, r: a[:0],
    "nothing": lambda a, r: a[..., :0],
    "large": lambda a, r: np.zeros((*a.shape[:-1], 40_000), a.dtype),
    "larger": lambda a, r: np.zeros((200_000, *a.shape[1:]), a.dtype),
    "small": lambda a, r: np.full((1,) * a.ndim, 1e-310),
    "any shape": lambda a, r: r.standard_normal(tuple(r.randint(0, 8, r.randint(0, 4)))).astype(
        a.dtype
    ),
    "any integers": lambda a, r: r.choice([-(2**63), -1, 0, 1, 11, 12, 2**31, 2**62], a.shape),
    "complex": lambda a, r: a.astype(complex),
    "objects": lambda a, r: a.astype(object),
    "text": lambda a, r: a.astype(str),
    "not finite": lambda a, r: np.where(r.random_sample(a.shape) < 0.3, np.nan, a).astype(a.dtype),
    "huge": lambda a, r: (a * 1e30).astype(a.dtype),
}


COSTLY = (
    "epochs",
    "network",
    "networks",
    "budget",
    "n_members",
    "hidden_layer_sizes",
    "n_jobs",
    "preset",
    "max_time",
)
"""Arguments that may make a case long."""


class Draw:
    """Draws values by a seed."""

    def __init__(self, seed):
        self.seed = seed
        self._random_state = np.random.RandomState(seed)

    def integer(self, n):
        """From 0 to n - 1."""
        return int(self._random_state.randint(n))

    def of(self, values):
        """One of them."""
        return values[self.integer(len(values))]

    def chance(self, probability):
        """True so often."""
        return bool(self._random_state.random_sample() < probability)

    def like(self, value):
        """A value in the place of this one, which fits or not."""
        if self.chance(0.15):
            return self.of(LONG if self.chance(0.3) else SCALARS)
        if isinstance(value, (list, tuple)) and len(value):
            return self.of(
                [
                    value[:-1],
                    [*value, value[-1]],
                    value[::-1],
                    value[0],
                    [self.like(v) for v in value],
                ]
            )
        if not isinstance(value, np.ndarray) or not value.size or value.dtype.kind in "OUSMmVc":
            return self.of(
                [self.of(SCALARS), np.zeros(self.integer(5)), np.zeros((2, 2)), self.integer(10)]
            )
        if not value.ndim:
            value = value[None]
        changes = RIGHT if self.chance(0.35) else WRONG
        return changes[self.of(sorted(changes))](value, self._random_state)

    def spoil(self, given, counts=(0, 0, 1, 2), names=None):
        """Put other values in the place of some of those given, or of these names; return the names
        of the spoiled."""
        spoiled = sorted({self.of(sorted(names or given)) for _ in range(self.of(counts))})
        for name in spoiled:
            given[name] = self.other(name, given[name])
        return spoiled

    def other(self, name, value):
        """A value in the place of an argument's, none that makes a case of years, or prints."""
        value = self.like(value)
        parts = value if isinstance(value, (list, tuple)) else [value]
        is_costly = any(isinstance(n, (int, np.integer)) and n > 9 for n in parts)
        return self.other(name, value) if name in COSTLY and is_costly else value


def right_array(value, ndims):
    """The real numbers that a value stands for, in float64; None where it is no array of so many
    dimensions."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    if array.dtype.kind not in "fiub" or array.ndim not in ndims:
        return None
    return array.astype(np.float64)


def same(value, expected, tolerance):
    """Whether numbers are those that were expected; where these are not tame, anything is right."""
    expected = np.asarray(expected, np.float64)
    if not np.isfinite(expected).all() or abs(expected).max(initial=0) > 1e15:
        return True
    value = np.asarray(value, np.float64)
    bound = tolerance * (1 + abs(expected).max(initial=0))
    return value.shape == expected.shape and bool((abs(value - expected) <= bound).all())
