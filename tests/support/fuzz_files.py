"""The fuzzer's door of files: damaged bytes, forged parts, and what a file that loads can do."""

import functools
import io
import json
import pathlib
import pickle
import resource
import tempfile

import numpy as np
import pandas as pd
from fuzz_doors import can_write, parts_of
from fuzz_objects import LABELS, NETWORK, OPTIONS, X, Y, fitted, result_of, targets_of
from fuzz_oracle import FINE, REFUSED, Wrong, attempt, quietly, same_bits
from numpy.random import RandomState

import fastnn
from fastnn import (
    BayesianRegularization,
    LevenbergMarquardt,
    Stop,
    TabularClassifier,
    TabularRegressor,
    train_many,
)
from fastnn.losses import ACTIVATIONS, LOSSES

N = 40

SMALL = {
    "preset": "fast",
    "hidden_layer_sizes": (4, 4),
    "n_members": 2,
    "epochs": 2,
    "random_state": 0,
    "n_jobs": 1,
}


def frame():
    """A frame (40, 5) of numbers with gaps, words of few and of many levels, and booleans."""
    random = RandomState(0)
    columns = {
        "number": np.where(random.rand(N) < 0.1, np.nan, random.randn(N)),
        "word": random.choice(list("xyz"), N),
    }
    columns |= {"integer": random.randint(0, 9, N), "boolean": random.rand(N) < 0.5}
    return pd.DataFrame(columns | {"level": [f"k{i % 7}" for i in range(N)]})


NEW_ROWS = pd.DataFrame(
    {
        "number": [1.0, np.nan, 1e9],
        "word": ["x", "?", None],
        "integer": [0, 1, 2],
        "boolean": [True, False, True],
        "level": ["k1", "k2", "new"],
    }
)


def tables():
    """Fitted estimators of tables: of words, the rarest of them one level, and of numbers alone."""
    random = RandomState(1)
    words = frame()
    yield TabularRegressor(**SMALL).fit(words, random.randn(N))
    yield TabularClassifier(**SMALL, max_categories=5).fit(words, random.choice(["p", "q", "r"], N))
    yield TabularRegressor(**SMALL).fit(random.randn(N, 4), random.randn(N, 2))


@functools.cache
def files():
    """The functions that read a good file of each kind, and its bytes."""
    it = result_of(np.float64)
    mlps = [fitted("classifier", np.float64), fitted("regressor", np.float32)]
    several = train_many(NETWORK, X, Y, seed=range(3), **OPTIONS)
    stop = Stop(validation=0.3, restore_best=True)
    odd = train_many(NETWORK, X, Y, seed=range(2), epochs=[1, 2], stop=stop)
    small = fastnn.Network((4, 3, 2), fastnn.Elu(0.5))
    methods = [fastnn.train(small, X, Y, seed=0, epochs=2, optimizer=LevenbergMarquardt())]
    methods.append(fastnn.train(small, X, Y, seed=0, epochs=2, optimizer=BayesianRegularization()))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file")

        def saved(it, method="save", **options):
            getattr(it, method)(path, **options)
            return getattr(type(it), "load", fastnn.load), path.read_bytes()

        all_kinds = it, several, odd, *mlps, *methods, *tables(), *tables()
        whole = [saved(one) for one in all_kinds]
        whole += [saved(one, state=False) for one in (it, several)]
        if can_write("safetensors"):
            whole.append(saved(it, "export", format="safetensors"))
        return whole


# ------------------------------------------------------------------------------------------- damage


def mutated(draw, content):
    """The bytes of a file that was damaged, or of an archive of changed parts; and which it is."""
    if content[:2] != b"PK" or draw.chance(0.12):
        for _ in range(draw.of([1, 1, 2, 5, 50])):
            content = damaged(draw, content)
        return content, "damaged"
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    for _ in range(draw.of([1, 1, 1, 2, 3])):
        texts = [name for name in arrays if getattr(arrays[name], "dtype", None) == np.uint8]
        name = draw.of(sorted(texts if texts and draw.chance(0.6) else arrays))
        value = read_json(arrays[name]) if name in texts else None
        if isinstance(value, (dict, list)) and value and draw.chance(0.9):
            change_entry(draw, value)
            arrays[name] = np.frombuffer(json.dumps(value, default=repr).encode(), np.uint8)
        elif len(arrays) > 1 and draw.chance(0.05):
            del arrays[name]
        else:
            arrays[name] = changed_array(draw, arrays[name])
    arrays = {name: quietly(lambda name=name: np.asarray(arrays[name]))[0] for name in arrays}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    arrays = {name: array for name, array in arrays.items() if can_pickle(array)}
    file = io.BytesIO()
    write = draw.of([np.savez] * 19 + [np.savez_compressed])  # packed, which fastnn does not do
    write(file, **arrays)
    return file.getvalue(), "forged"


def damaged(draw, content):
    """Some bytes changed, left out or repeated, or the end cut off."""
    i = draw.integer(len(content))
    k = draw.of([1, 1, 8, 100])
    before = content[:i]
    here = content[i : i + k]
    after = content[i + k :]
    change = draw.of(["flip", "flip", "other", "cut", "repeat", "zero", "truncate"])
    changed = {
        "flip": bytes([here[0] ^ 1 << draw.integer(8)]) + here[1:],
        "other": bytes([draw.integer(256)]) + here[1:],
        "cut": b"",
        "repeat": here * 2,
        "zero": b"\0" * len(here),
        "truncate": here[:1],
    }
    return before + changed[change] + after * (change != "truncate") or b"\0"


def read_json(array):
    """The value of a text of JSON; None for other bytes."""
    return quietly(lambda: json.loads(array.tobytes()))[0]


def can_pickle(array):
    """Whether an array can be written to an archive."""
    return quietly(lambda: pickle.dumps(array))[1] is None


EXTREME = [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-320, 0, -1, 1, 2, 3, 1e150, 2**31, 2**62]


def changed_array(draw, array):
    """An array with other numbers, another shape or dtype, or anything in its place."""
    change = draw.of(["numbers", "numbers", "numbers", "all", "dtype", "shape", "none", "other"])
    if change == "other" or getattr(array, "size", 0) == 0 or array.dtype.kind not in "fiu":
        return draw.like(array) if draw.chance(0.9) else np.zeros(0)
    if change == "dtype":
        return array.astype(draw.of(["f4", "f8", "i8", "u1", "i1", "f2", ">f8", ">i4", "u8", "g"]))
    if change == "none":
        return np.atleast_1d(array)[:0]
    if change == "shape":
        shape = list(array.shape) or [1]
        shape[draw.integer(len(shape))] = draw.of([0, 1, 2, 3, 5, 100])
        return draw.of([array.reshape(-1), array[..., None], np.resize(array, shape)])
    array = np.array(array)
    with np.errstate(all="ignore"):
        if change == "all":
            array[...] = draw.integer(2)
        for _ in range(draw.of([1, 1, 3, 20])):
            array.flat[draw.integer(array.size)] = np.array(draw.of(EXTREME)).astype(array.dtype)
    return array


JSON = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    10**12,
    10**18,
    2**63,
    2**70,
    10**400,
    0.5,
    -0.5,
    1e300,
    1e-320,
]
JSON += [
    float("nan"),
    float("inf"),
    "",
    "x",
    "x" * 5000,
    "\ud800",
    "*/ evil",
    "${x}",
    '"',
    "float32",
    "epochs",
]
JSON += [[], {}, [1], [None], [[]], [1] * 100, {"a": 1}, {"tuple": []}, {"name": "x"}, {"dict": []}]
WORDS = [
    *ACTIVATIONS,
    *LOSSES,
    *fastnn.OPTIMIZERS,
    "vector",
    "scalar",
    "none",
    "sum",
    "mean",
    "diverged",
    "numpy",
]


def change_entry(draw, header):
    """Change an entry of a header or a table, at whatever depth."""
    here = header
    while True:
        key = draw.of(list(here) if isinstance(here, dict) else list(range(len(here))))
        if isinstance(here[key], (dict, list)) and here[key] and draw.chance(0.9):
            here = here[key]
            continue
        change = draw.of(["other", "other", "near", "near", "near", "gone", "more"])
        value = here[key]
        if change == "gone":
            del here[key]
        elif change == "near" and isinstance(value, bool):
            here[key] = not value
        elif change == "near" and isinstance(value, (int, float)):
            near = [value + 1, value - 1, -value, value * 2, value * 10**6, str(value)]
            here[key] = draw.of(near)
        elif change == "near" and isinstance(value, str):
            near = [value + "x", value[:-1], value.upper(), draw.of(WORDS), draw.of(WORDS)]
            here[key] = draw.of(near)
        elif change == "more" and isinstance(here, dict):
            here[draw.of(["unknown", "name", "tuple", "dict", ""])] = draw.of(JSON)
        elif change == "more":
            here.insert(key, draw.of([value, draw.of(JSON)]))
        else:
            here[key] = draw.of(JSON)
        return


# ---------------------------------------------------------------------------------------------- use


BASE = 20 << 20
FACTOR = 10
"""What loading takes at most: so many bytes, and so many times the size of the file."""


def file(draw):
    """A bad file: refused in little memory, or right; a forged one does what it can, or refuses."""
    load, content = draw.of(files())
    bad, how = mutated(draw, content)
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, name) for name in ("bad", "good")]
        for path, written in zip(paths, (bad, content), strict=True):
            path.write_bytes(written)
        before = most_memory()
        it, error = attempt(lambda: load(paths[0]))
        if isinstance(error, MemoryError) or most_memory() - before > BASE + FACTOR * len(bad):
            raise Wrong(f"loading {len(bad):,} bytes took {most_memory() - before:,}: {error!r}")
        if error is not None:
            return REFUSED
        if how == "damaged" and content[:2] == b"PK":
            return same_bits(lambda: numbers_of(it), lambda: numbers_of(load(paths[1])))
        for name, call in uses_of(it, folder).items():
            if draw.chance(0.1 if name == "onnx" else 0.5):
                _, error = attempt(call)
                if isinstance(error, MemoryError):
                    raise Wrong(f"{name}: {error!r}")
    return FINE


def most_memory():
    """The largest size that this process had in memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rows_for(it):
    """New rows for an estimator of tables."""
    return NEW_ROWS if hasattr(it, "feature_names_in_") else X[:3]


def numbers_of(it):
    """All weights of what a file holds; of tables what they predict."""
    if hasattr(it, "estimators_"):
        outputs = it.predict_proba if hasattr(it, "classes_") else it.predict
        return [outputs(rows_for(it)), it._out_of_bag]
    results = it if isinstance(it, fastnn.ManyResult) else [it]
    return [part for one in results for part in parts_of(one)]


def uses_of(it, folder):
    """By their names, the calls that an object has after loading."""
    path = pathlib.Path(folder, "again")
    uses = {"text": lambda: repr(it), "card": it._repr_html_, "save": lambda: it.save(path)}
    if isinstance(it, fastnn.ManyResult):
        uses |= {"predict": lambda: it.predict(X), "best": it.best, "scores": lambda: it.history}
        networks = [one.network for one in it]
        states = [one.state for one in it]
        return uses | {"resume": lambda: train_many(networks, X, Y, resume=states, epochs=1)}
    uses["c"] = lambda: it.export(path.with_suffix(".c"))
    uses["python"] = lambda: compiled(it, path.with_suffix(".py"))
    if can_write("onnx"):
        uses["onnx"] = lambda: it.export(path.with_suffix(".onnx"))
    if hasattr(it, "estimators_"):
        rows = rows_for(it)
        uses["predict"] = lambda: it.predict(rows)
        uses["function"] = it.function
        uses["scores"] = lambda: it.history_
        if isinstance(it, TabularClassifier):
            return uses | {"probabilities": lambda: it.predict_proba(rows)}
        uses["interval"] = lambda: it.predict_interval(rows, 0.5)
        uses["half"] = lambda: it.predict_interval(rows, 0.25)
        return uses | {"deviation": lambda: it.predict(rows, return_std=True)}
    uses["predict"] = lambda: it.predict(X)
    if hasattr(it, "coefs_"):
        targets = LABELS if hasattr(it, "classes_") else Y
        return uses | {"partial_fit": lambda: it.partial_fit(X, targets)}
    uses["function"] = it.function
    uses["scores"] = lambda: [it.history.loss, it.history.validation_loss]
    return uses | {"resume": lambda: it.resume(X, targets_of(it.network), epochs=1)}


def compiled(it, path):
    """Export a module of Python, and compile its text."""
    it.export(path)
    compile(path.read_text(), path, "exec")


DOORS = [file] * 10
