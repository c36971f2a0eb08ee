"""The fuzzer's door of all ways to a table's predictions: row by row, copied, saved, exported."""

import copy
import os
import pathlib
import pickle
import re
import runpy
import shutil
import tempfile
from typing import NamedTuple

import numpy as np
import pandas as pd
from exported_tables import in_numbers, library_of, outputs_in_c, outputs_in_onnx
from fuzz_oracle import FINE, REFUSED, Refused, Wrong, attempt, done, is_there

from fastnn import TabularClassifier, TabularRegressor


def words(random, n, texts, gaps=0.0):
    """Words of these texts, of which a part is missing."""
    return np.where(random.rand(n) < gaps, None, random.choice(texts, n)).astype(object)


def numbers(random, n, gaps=0.0):
    """Normal numbers, of which a part is missing."""
    return np.where(random.rand(n) < gaps, np.nan, random.randn(n))


ODD_WORDS = ["é", "日本", "a b", '"', "'", "\\", "%d", "/*", "*/", "??/", "\n"]
ODD_NUMBERS = [0.5, 1.0, np.nan, np.inf, -np.inf]

LARGE = 1_700_000_000_000_000_000
"""A whole number whose neighbors float64 does not tell from it."""

COLUMNS = {
    "numbers": numbers,
    "small and large": lambda r, n: r.randn(n) * r.choice([1e-3, 1.0, 1e6]),
    "far from 0": lambda r, n: r.randn(n) + 10.0 ** r.randint(3, 9),
    "integers": lambda r, n: r.randint(-5, 6, n),
    "single": lambda r, n: r.randn(n).astype(np.float32),
    "constant": lambda r, n: np.full(n, r.choice([0.0, 1.0, 1e100])),
    "many gaps": lambda r, n: numbers(r, n, 0.3),
    "few gaps": lambda r, n: numbers(r, n, 0.02),
    "one gap": lambda r, n: np.append(np.nan, r.randn(n - 1)),
    "only gaps": lambda r, n: np.full(n, np.nan),
    "huge": lambda r, n: r.randn(n) * 10.0 ** r.choice([100, 149]),
    "tiny": lambda r, n: r.randn(n) * 10.0 ** -r.choice([50, 100, 200, 300, 308, 320]),
    "two numbers": lambda r, n: (r.rand(n) < 0.3) * 3.0,
    "outliers": lambda r, n: np.where(r.rand(n) < 0.05, 1e30, r.randn(n)),
    "mostly 0": lambda r, n: np.where(r.rand(n) < 0.8, 0, r.rand(n)),
    "objects": lambda r, n: words(r, n, np.array([0, 1, 2, 0.5, 0.25], object), 0.1),
    "nullable": lambda r, n: pd.array(words(r, n, [0, 1, 2, 3, 9], 0.2), dtype="Int64"),
    "words": lambda r, n: words(r, n, list("abcdefg")),
    "two words": lambda r, n: words(r, n, ["yes", "no"]),
    "words and gaps": lambda r, n: words(r, n, list("xyz"), 0.2),
    "one word": lambda r, n: words(r, n, ["same"]),
    "odd words": lambda r, n: words(r, n, ODD_WORDS, 0.1),
    "empty words": lambda r, n: words(r, n, ["", "u", "v"]),
    "many words": lambda r, n: words(r, n, [f"w{k}" for k in range(300)]),
    "strings": lambda r, n: pd.array(words(r, n, ["a", "b"], 0.1), dtype="string"),
    "categories": lambda r, n: pd.Categorical(r.choice(list("pqr"), n), categories=list("rqpz")),
    "integer categories": lambda r, n: pd.Categorical(r.randint(0, 4, n)),
    "large categories": lambda r, n: pd.Categorical(LARGE + r.randint(0, 4, n)),
    "number categories": lambda r, n: pd.Categorical(r.choice(ODD_NUMBERS, n)),
    "booleans": lambda r, n: r.rand(n) < 0.4,
    "nullable booleans": lambda r, n: pd.array(words(r, n, [True, False], 0.2), dtype="boolean"),
    "booleans and gaps": lambda r, n: words(r, n, [True, False], 0.1),
}
"""{a kind of column: a function (random, n) that draws one of n rows}."""

NAMES = ["a", "b b", 'c"', "d'", "e\\", "f*/", "/*g", "h\n", "%s", "${x}", "日本", "__class__", "0"]
NAMES += [
    "1",
    "lambda",
    "z" * 300,
    "x[0]",
    "variable",
    "fastnn/add/3",
    "NaN",
    "None",
    "what??/",
    "",
]
NAMES += [10, 20, ("x", "y"), 0.5, pd.Timestamp("2020-01-01")]

SCALES = [0, 0, 0, 0, 3, 100, 149, -100, -200, -310]
"""Powers of ten of targets."""


RIGHTLY_REFUSED = re.compile(
    "infinity|n_splits|sample_weight|[Ss]ample weights|weight 0|only one class"
    "|groups are all the same|is judged by others|diverged|unseen labels"
)
"""What a `fit` may refuse of what is drawn here, by words of the error."""


class Case(NamedTuple):
    """A fitted model, what it was fitted to, and what it predicts."""

    model: object
    frame: pd.DataFrame
    y: np.ndarray
    options: dict  # of fit
    right: np.ndarray
    new: pd.DataFrame  # the rows with more gaps, and with words that fit did not see
    right_of_new: np.ndarray | None  # None where they are refused

    @property
    def answer(self):
        """The name of the method, which is that of the exported function, too."""
        return "predict_proba" if hasattr(self.model, "classes_") else "predict"

    @property
    def tables(self):
        """Each table with what is predicted of it."""
        pairs = (self.frame, self.right), (self.new, self.right_of_new)
        return [pair for pair in pairs if pair[1] is not None]

    def predict(self, table, model=None):
        return getattr(model or self.model, self.answer)(table)


def drawn_frame(draw, random, n):
    """A frame of n rows, whose names may be any."""
    kinds = [draw.of(sorted(COLUMNS)) for _ in range(draw.of([1, 1, 2, 3, 5, 8]))]
    names = [f"c{j}" for j in range(len(kinds))]
    if draw.chance(0.5):
        names = [NAMES[j] for j in random.permutation(len(NAMES))[: len(kinds)]]
    columns = [pd.Series(COLUMNS[kind](random, n)) for kind in kinds]
    frame = pd.concat(columns, axis=1)
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    return frame


SETTINGS = {
    "max_categories": (0.3, [2, 3, 5]),
    "validation_fraction": (0.2, [0.01, 0.1, 0.34, 0.5]),
    "cv": (0.2, [2, 3]),
    "batch_size": (0.3, [7, 1000]),
    "learning_rate": (0.2, [1e-8, 0.5, 10.0]),
}
"""{a parameter: how probable it is that it is set, and values}"""


def drawn_model(draw):
    """An estimator that is not fitted, whose fit takes some ms."""
    given = {
        "preset": draw.of(["fast", "good"]),
        "n_members": draw.of([1, 1, 2, 3]),
        "epochs": draw.of([1, 1, 2]),
        "hidden_layer_sizes": draw.of([(4,), (8, 8), (5, 5, 5), 3]),
        "n_jobs": 1,
        "random_state": draw.integer(99),
    }
    for name, (probability, values) in SETTINGS.items():
        if draw.chance(probability):
            given[name] = draw.of(values)
    if draw.chance(0.5):
        return TabularRegressor(**given)
    if draw.chance(0.3):
        given |= {"label_smoothing": draw.of([0.0, 0.5, 0.99]), "class_weight": "balanced"}
    return TabularClassifier(**given)


def drawn_targets(draw, random, n, classifies):
    """Labels or numbers of n rows."""
    if classifies:
        y = random.randint(0, draw.of([2, 2, 3, 7]), n)
        return draw.of([y, np.array([f"label {k}" for k in y]), y > 0])
    y = random.randn(n) * 10.0 ** draw.of(SCALES) + draw.of([0, 0, 1e6, 1e12])
    constant = np.full(n, draw.of([0.0, 0.1, 1e10]))
    return draw.of([y, y, y, y[:, None] * [1.0, 2.0], constant, random.randint(0, 2, n)])


def changed_rows(draw, random, frame):
    """The rows with more gaps, in columns too without any, and words that `fit` did not see."""
    columns = []
    for _, column in frame.items():
        if draw.chance(0.5):
            values = column.astype(object).to_numpy().copy()
            if any(isinstance(value, str) for value in values):
                values[random.rand(len(values)) < 0.2] = "unseen"
            values[random.rand(len(values)) < 0.4] = None
            column = pd.Series(values.astype(float) if column.dtype.kind == "f" else values)
        columns.append(column)
    return pd.concat(columns, axis=1).set_axis(frame.columns, axis=1)


def ways(draw):
    """A fitted table predicts the same by all ways: to the bit, by NumPy and ONNX to rounding."""
    random = np.random.RandomState(draw.seed)
    n = draw.of([2, 3, 4, 5, 9, 17, 40, 40, 120])
    frame = drawn_frame(draw, random, n)
    model = drawn_model(draw)
    y = drawn_targets(draw, random, n, isinstance(model, TabularClassifier))
    options = {}
    if draw.chance(0.25):
        scale = 10.0 ** draw.of([3, -150])
        options["sample_weight"] = draw.of([random.choice([0, 1, 2.5], n), random.rand(n) * scale])
    if draw.chance(0.15) and model.cv is None:
        options["groups"] = random.randint(0, 4, n)
    elif draw.chance(0.15) and model.cv is None and n > 5:
        options |= {"X_val": frame[:3], "y_val": y[:3]}
    before = frame.copy(deep=True)
    targets = y.copy()
    settings = repr(model.get_params())
    _, error = attempt(lambda: model.fit(frame, y, **options))
    if error is not None and not RIGHTLY_REFUSED.search(str(error)):
        raise Wrong(f"fit is refused: {error}")
    if error is not None:
        return REFUSED
    if not (frame.equals(before) and np.array_equal(y, targets)):
        raise Wrong("fit changed its arguments")
    if repr(model.get_params()) != settings:
        raise Wrong("fit changed the parameters")
    case = Case(model, frame, y, options, np.zeros(0), changed_rows(draw, random, frame), None)
    case = case._replace(right=done(lambda: case.predict(frame), may_be_refused=False))
    case = case._replace(right_of_new=attempt(lambda: case.predict(case.new))[0])
    if not all(np.isfinite(right).all() for _, right in case.tables):
        raise Wrong(f"{case.right[:3]}")
    for way, probability in WAYS.items():
        if draw.chance(probability):
            try:
                way(case, draw, random)
            except Refused:
                raise Wrong(f"{way.__name__} is refused") from None
            except Wrong as wrong:
                raise Wrong(f"{way.__name__}: {wrong}") from None
    return FINE


def hold(outputs, right, what=""):
    """Raise Wrong unless these outputs have the bits of those."""
    if outputs.shape != right.shape or outputs.tobytes() != right.tobytes():
        raise Wrong(f"{what} {np.ravel(outputs)[:3]}, not {np.ravel(right)[:3]} to the bit")


# --------------------------------------------------------------------------------------- to the bit


def one_by_one(case, draw, random):
    """A row by itself, with its bits among others."""
    for i in {0, len(case.frame) // 2, len(case.frame) - 1}:
        hold(case.predict(case.frame[i : i + 1]), case.right[i : i + 1], f"row {i}")


def in_another_order(case, draw, random):
    """Columns and rows in other orders."""
    names = case.frame.columns
    turned = case.frame.iloc[:, random.permutation(len(names))]
    hold(case.predict(turned), case.right, "columns")
    rows = random.permutation(len(case.frame))
    hold(case.predict(case.frame.iloc[rows]), case.right[rows], "rows")


def fitted_again(case, draw, random):
    """Fitted again by two workers."""
    model = type(case.model)(**case.model.get_params() | {"n_jobs": 2})
    hold(case.predict(case.frame, model.fit(case.frame, case.y, **case.options)), case.right)


def copied(case, draw, random):
    """A deep copy and a pickle; the card has no error."""
    case.model._repr_html_()
    for model in copy.deepcopy(case.model), pickle.loads(pickle.dumps(case.model)):
        hold(case.predict(case.frame, model), case.right)


def filed(case, draw, random):
    """Saved and loaded, with the intervals."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.npz")
        done(lambda: case.model.save(path))
        model = type(case.model).load(path)
    for table, right in case.tables:
        hold(case.predict(table, model), right)
    if case.answer == "predict":
        intervals_of(case.model, case.frame, model)


def intervals_of(model, table, loaded):
    """Intervals and deviations: finite, wider of more coverage, the same of the loaded model."""
    narrower = 0.0
    for coverage in 0.5, 0.9:
        interval, error = attempt(lambda coverage=coverage: model.predict_interval(table, coverage))
        if error is not None:  # too few rows
            return
        widths = interval[..., 1] - interval[..., 0]
        if not (np.isfinite(interval).all() and (widths >= narrower).all()):
            raise Wrong(f"interval of {coverage}: {interval[:2]}")
        hold(loaded.predict_interval(table, coverage), interval, f"interval of {coverage}")
        narrower = widths
    deviations = model.predict(table, return_std=True)[1]
    if not (np.isfinite(deviations).all() and (deviations >= 0).all()):
        raise Wrong(f"deviations {deviations[:3]}")
    hold(loaded.predict(table, return_std=True)[1], deviations, "deviations")


def by_c(case, draw, random):
    """Exported to C, which compiles without a warning, and stops at undefined behavior."""
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    with tempfile.TemporaryDirectory() as folder:
        library = library_of(case.model, pathlib.Path(folder), *flags, estimates=True)
    for table, right in case.tables:
        out = outputs_in_c(library, in_numbers(case.model, table), right.shape)
        hold(out, right)


def by_function(case, draw, random):
    """As a function of one row, of a table without words."""
    if case.model.preparation_.levels_:
        return
    f = case.model.function(estimates=True)
    for table, right in case.tables:
        out = np.full((len(table), f.n_outputs), 7.0)
        for row, to in zip(in_numbers(case.model, table), out, strict=True):
            f(row, to)
        hold(out.reshape(right.shape), right)


# -------------------------------------------------------------------------------------- to rounding


def near(outputs, right, case):
    """Raise Wrong unless outputs are those up to the rounding of float32."""
    scale = 1.0 if case.answer == "predict_proba" else abs(np.asarray(case.y, float)).max()
    if outputs.shape != right.shape or not (abs(outputs - right) <= 2e-4 * scale).all():
        raise Wrong(f"{np.ravel(outputs)[:3]}, not {np.ravel(right)[:3]}, of a scale of {scale}")


def by_numpy(case, draw, random):
    """Exported to a module of Python, which takes the tables as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.py")
        done(lambda: case.model.export(path, estimates=True))
        function = runpy.run_path(path)[case.answer]
    for table, right in case.tables:
        near(function(table), right, case)


def by_onnx(case, draw, random):
    """Exported to ONNX, where a gap among words is an empty text, or any unknown one."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.onnx")
        _, error = attempt(lambda: case.model.export(path, estimates=True))
        if error is not None:  # of a name that no input has, or an empty text beside a rest
            return
        for table, right in case.tables:
            outputs = outputs_in_onnx(path, case.model, table)[-1]
            near(outputs.reshape(right.shape), right, case)


WAYS = {
    one_by_one: 1.0,
    in_another_order: 1.0,
    by_numpy: 0.6,
    filed: 0.4,
    copied: 0.3,
    by_function: 0.3,
    fitted_again: 0.05,
}
if shutil.which("cc"):
    WAYS[by_c] = 0.1
if is_there("onnx") and is_there("onnxruntime"):
    WAYS[by_onnx] = 0.1
"""{a way: how probable it is in a case}."""

DOORS = [ways] * 4
