"""No error's text is long, whatever a caller gives: each argument of each public function is given long things."""

import copy
import dataclasses
import fractions
import inspect
import pickle
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import Network, Population, Stop, train, train_many
from fastnn.checking.arguments import amount, cut, decimal, shown
from fastnn.optimizers import OPTIMIZERS
from fastnn.schedules import SCHEDULES

MOST = 1000
"""Characters of an error's text."""

N = 10_000
LONG_NAME = "x" * N


class Wordy:
    def __repr__(self):
        return LONG_NAME

    __str__ = __repr__


class Wordless:
    def __repr__(self):
        raise RuntimeError("no repr")


def nested(depth):
    return [nested(depth - 1)] * 6 if depth else "y" * 50


def long_function(*args):
    return LONG_NAME


long_function.__name__ = long_function.__qualname__ = long_function.__module__ = LONG_NAME
long_values = {
    "text": LONG_NAME,
    "bytes": b"x" * N,
    "a text in lines": "x\n" * N,
    "texts": [LONG_NAME] * 3,
    "many texts": ["x"] * N,
    "numbers": [0] * N,
    "a tuple": (-1,) * N,
    "nested": nested(6),
    "an integer": 10**5000,
    "a negative integer": -(10**5000),
    "a fraction": fractions.Fraction(10**5000, 3),
    "an array of texts": np.array(["x" * 2000] * 3),
    "an array of many fields": np.zeros(3, [(f"field{i}", "f8") for i in range(900)]),
    "an array of wordy objects": np.array([Wordy()] * 3, object),
    "an array": np.zeros(N),
    "a wordy object": Wordy(),
    "a wordless object": Wordless(),
    "of a class with a long name": type(LONG_NAME, (), {})(),
    "a class with a long name": type(LONG_NAME, (), {}),
    "an array of a class with a long name": np.zeros(3).view(type(LONG_NAME, (np.ndarray,), {})),
    "a function with a long name": long_function,
    "a dictionary": dict.fromkeys(map(str, range(N))),
    "a long key": {LONG_NAME: LONG_NAME},
}

ENDLESS = ("epochs", "max_iter", "max_fun", "n_iter_no_change", "patience", "max_seconds", "max_time")

X = np.random.RandomState(0).standard_normal((12, 3))
Y, LABELS = X[:, :1], np.arange(12) % 2
NETWORK = Network((3, 2, 1))
RESULT = train(NETWORK, X, Y, epochs=1, seed=0)
PARAMS = RESULT.params
MANY = train_many(NETWORK, X, Y, epochs=1, seed=range(2))


def population():
    return Population(NETWORK, X, Y, seed=range(2))


DOORS = {
    "Network": (Network, {"sizes": (3, 2, 1)}),
    "Network.from_dict": (Network.from_dict, {"values": NETWORK.to_dict()}),
    **{f"from_dict, {name}": (lambda name=name, **o: Network.from_dict({**NETWORK.to_dict(), **o}), {name: value})
       for name, value in NETWORK.to_dict().items()},
    "Network.pack": (NETWORK.pack, {"weights": NETWORK.weights(PARAMS), "biases": NETWORK.biases(PARAMS)}),
    "Network.init_params": (NETWORK.init_params, {}),
    **{name: (kind, {}) for name, kind in OPTIMIZERS.items()},
    **{name: (kind, {"learning_rate": 0.1, **({"steps": 3} if name in ("cosine", "warm_up", "one_cycle") else {}),
                     **({"every": 2} if name == "step_decay" else {})}) for name, kind in SCHEDULES.items()},
    "Stop": (Stop, {}),
    "ReduceRate": (fastnn.ReduceRate, {}),
    "every": (fastnn.every, {"k": 2, "callback": print}),
    "train": (train, {"network": NETWORK, "X": X, "Y": Y, "epochs": 1}),
    "train labels": (train, {"network": Network((3, 2), output="softmax"), "X": X, "Y": LABELS, "epochs": 1}),
    "train_many": (train_many, {"networks": NETWORK, "X": X, "Y": Y, "seed": range(2), "epochs": 1}),
    "Population": (Population, {"networks": NETWORK, "X": X, "Y": Y, "seed": range(2)}),
    "Population.advance": (lambda epochs: population().advance(epochs), {"epochs": 1}),
    "Population.drop": (lambda members: population().drop(members), {"members": 1}),
    "Population.replace": (lambda **options: population().replace(**options), {"member": 1, "by": 0, "alpha": 0.1}),
    "predict": (fastnn.predict, {"network": NETWORK, "params": PARAMS, "X": X}),
    "loss_and_gradient": (fastnn.loss_and_gradient, {"network": NETWORK, "params": PARAMS, "X": X, "Y": Y}),
    "result.predict": (RESULT.predict, {"X": X}),
    "result.resume": (RESULT.resume, {"X": X, "Y": Y, "epochs": 1}),
    "result.save": (RESULT.save, {"path": "result.npz"}),
    "result.export": (RESULT.export, {"path": "result.py"}),
    "many.predict": (MANY.predict, {"X": X}),
    "many.save": (MANY.save, {"path": "many.npz"}),
    "load": (fastnn.load, {"path": "nothing.npz"}),
    "from_torch": (fastnn.from_torch, {"module": None}),
    "from_keras": (fastnn.from_keras, {"model": None}),
    "get_backend": (fastnn.get_backend, {"backend": "numba"}),
    "get_backend options": (lambda **options: fastnn.get_backend("numba", **options), {"specialize": False}),
    "workloads.load": (fastnn.workloads.load, {"workload": "seed"}),
    **{f"a result's {name}": (lambda **options: dataclasses.replace(RESULT, **options).predict(X), {name: value})
       for name, value in (("network", NETWORK), ("params", PARAMS), ("backend", "numpy"))},
    "an attribute of fastnn": (lambda name: getattr(fastnn, name), {"name": "train"}),
    "an attribute of a network": (lambda name: getattr(NETWORK, name), {"name": "sizes"}),
    "an attribute of a result": (lambda name: getattr(RESULT, name), {"name": "params"}),
    "a keyword of train": (lambda name: train(NETWORK, X, Y, epochs=1, **{name: 1}), {"name": "seed"}),
    "a keyword of Stop": (lambda name: Stop(**{name: 1}), {"name": "patience"}),
    "a rate": (lambda rate: train(NETWORK, X, Y, epochs=1, optimizer=fastnn.SGD(lambda t: rate)), {"rate": 0.1}),
    "a score": (lambda score: train(NETWORK, X, Y, epochs=1, stop=Stop(monitor=lambda t, o: score)), {"score": 1.0}),
    **{f"a state's {field.name}": (lambda name=field.name, **o: resumed(**o), {field.name: None})
       for field in dataclasses.fields(RESULT.state) if field.init},
    **{f"a counter, {name}": (lambda name=name, **o: resumed(counters={**RESULT.state.counters, **o}), {name: None})
       for name in RESULT.state.counters},
}  # fmt: skip


def resumed(**fields):
    state = copy.deepcopy(RESULT.state)
    vars(state).update(fields)
    return train(NETWORK, X, Y, epochs=1, resume=state)


def estimator_doors():
    """Those of estimators: each parameter, and each argument of each method."""
    small = {"hidden_layer_sizes": (2,), "max_iter": 1, "random_state": 0}
    for kind in (fastnn.MLPClassifier, fastnn.MLPRegressor):
        name, fitted = kind.__name__, kind(**small).fit(X, LABELS)
        again = lambda fitted=fitted: pickle.loads(pickle.dumps(fitted))  # noqa: E731
        for parameter, value in kind().get_params().items():
            yield f"{name}({parameter})", (lambda kind=kind, **o: kind(**small | o).fit(X, LABELS), {parameter: value})
            later = lambda again=again, **o: again().set_params(**o).partial_fit(X, LABELS)  # noqa: E731
            yield f"{name}.{parameter} for partial_fit", (later, {parameter: value})
        data = {"X": X, "y": LABELS, "sample_weight": np.ones(12)}
        yield f"{name}.fit", (kind(**small).fit, data | {"validation_data": (X, LABELS)})
        yield f"{name}.fit, X_val", (kind(**small).fit, {"X": X, "y": LABELS, "X_val": X, "y_val": LABELS})
        yield f"{name}.partial_fit", (lambda again=again, **o: again().partial_fit(**o), data)
        for method in ("predict", "score", "predict_proba", "save", "export", "load"):
            if hasattr(fitted, method):
                good = {"X": X} if method.startswith("predict") else {"path": "mlp.py" if method == "export" else "mlp"}
                good = {"X": X, "y": LABELS} if method == "score" else good
                yield f"{name}.{method}", (getattr(fitted, method), good)
        for attribute in sorted(vars(fitted)):
            if not hasattr(kind(), attribute):
                setting = lambda attribute=attribute, again=again, **o: with_attributes(again(), o)  # noqa: E731
                yield f"{name}.{attribute}", (setting, {attribute: None})
        yield f"{name}.from_sklearn", (kind.from_sklearn, {"estimator": None})
    first = (lambda classes: fastnn.MLPClassifier(**small).partial_fit(X, LABELS, classes=classes), {"classes": [0, 1]})
    yield "MLPClassifier.partial_fit, classes", first
    softmax = train(Network((3, 2), output="softmax"), X, LABELS, epochs=1)
    yield "MLPClassifier.from_result", (fastnn.MLPClassifier.from_result, {"result": softmax, "classes": [0, 1]})
    yield "MLPRegressor.from_result", (fastnn.MLPRegressor.from_result, {"result": RESULT, "alpha": 0.1})


def with_attributes(mlp, values):
    vars(mlp).update(values)
    mlp.partial_fit(X, LABELS)
    mlp.save("mlp.npz")


def arguments(function, good):
    """The names of the arguments of a function; of one that is made here, of those that have a right value."""
    if getattr(function, "__name__", "") == "<lambda>":
        return sorted(good)
    parameters = inspect.signature(function).parameters.values()
    return sorted({*good, *(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))})


@pytest.fixture(scope="module", autouse=True)
def _with_estimators():
    if "MLPClassifier" in dir(fastnn):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            DOORS.update(estimator_doors())


def too_long(door, every):
    """The arguments of a door and the long things, every so many of them, for which an error has a long text."""
    function, good = DOORS[door]
    for i, name in enumerate(arguments(function, good)):
        if door.endswith(".score") and name != "X":
            continue  # scikit-learn's own method, which writes y whole
        for what, value in list(long_values.items())[(i + len(door)) % every :: every]:
            if name in ENDLESS and what in ("an integer", "a fraction"):
                continue  # it may well be asked for
            try:
                function(**good | {name: value})
            except Exception as error:
                if what != "a wordless object" and len(text := str(error)) > MOST:
                    yield f"{door}: {name} is {what}: {type(error).__name__} of {len(text):,} characters: {text[:100]}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_no_error_has_a_long_text(every, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [line for door in DOORS for line in too_long(door, every)]
    assert not found, "\n".join(found)


def test_texts_are_cut():
    assert shown("x" * 10**6) == "'" + "x" * 47 + "..." + "x" * 48 + "'"
    assert len(shown(nested(6))) == len(cut("x" * N)) == 200
    assert cut("a\n b") == "a b"
    assert shown(10**5000) == "an object of type int"
    assert shown(Wordless()).startswith("<Wordless instance at")
    assert shown(np.zeros((2, 3))) == "ndarray of shape (2, 3)"
    assert (amount(1234), amount(10**30)) == ("1,234", "more than 10^24")


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.longdouble])
def test_a_decimal_is_the_number_whatever_the_print_options(kind):
    numbers = np.random.RandomState(0).standard_normal(300) * 10.0 ** np.random.RandomState(1).uniform(-6, 4, 300)
    for number in np.append(numbers, [0.0, -0.0, 1e-4, 60000.0, 1.0, 3.25]).astype(kind):
        text = decimal(number)
        assert kind(text) == number
        with np.printoptions(legacy="1.13", precision=1, suppress=True):
            assert decimal(number) == text
