"""The fuzzer of public objects: `python tests/support/fuzz.py FIRST N [DOOR]` does the cases FIRST
to FIRST + N - 1.

A case makes a public object, puts other values into some of its attributes or arguments, drawn from
a seed, the case's number, and calls its methods. What comes out is compared with a few lines of
NumPy, another back end, or the bits of the same done otherwise. A case fails if it ends the process
or does not end; by another number, or one where an error is due; and by an error that is not
documented, is long, or Python's own.

Prints a line for each case that failed, and a table of what the cases of each door came to. Cases
are done in forks.
"""

import copy
import dataclasses
import functools
import json
import sys
import tempfile
import warnings

import fuzz_around
import fuzz_doors
import fuzz_files
import fuzz_oracle as oracle
import fuzz_tables
import fuzz_ways
import numpy as np
from forks import in_forks
from fuzz_objects import (
    LABELS,
    NETWORK,
    OPTIONS,
    N,
    X,
    Y,
    fitted,
    other_network,
    result_of,
    rows_of,
    targets_of,
    weights_of,
)
from fuzz_oracle import UNKNOWN, Wrong, agree, attempt, done, judge, quietly, twin_of, unjudged
from fuzz_values import Draw, right_array

import fastnn
from fastnn import Network, ReduceRate, Stop, get_backend, train
from fastnn.measuring.starting import OF_A_DTYPE, OF_NONE, first_calls
from fastnn.optimizers import BUILT_IN, METHODS
from fastnn.state import Data, Steps, StepState, Task

COSTLY = ("max_iter", "hidden_layer_sizes", "max_fun", "n_iter_no_change", "max_time")
"""Parameters that would make a case long: they are set to JUNK alone."""
JUNK = 3, None, "x", {}, np.zeros((2, 2))


def estimator(draw):
    """An estimator whose attributes and parameters were set, in any way."""
    kind = draw.of(["regressor", "classifier"])
    dtype = draw.of([np.float64, np.float32])
    mlp = fitted(kind, dtype)
    for _ in range(draw.of([1, 1, 1, 2, 3])):
        others = sorted(vars(mlp).keys() - {"verbose", "random_state"} | {"_flat"})
        spoil_attribute(draw, mlp, draw.of(["coefs_", "intercepts_"] * 8 + others))
    if draw.chance(0.3):
        mlp = twin_of(mlp) or mlp
    outcome = predicted if draw.chance(0.7) else trained
    return outcome(draw, mlp, dtype, kind)


WORDS = ["identity", "relu", "tanh", "logistic", "softmax", "exp", "numpy", "no"]


def spoil_attribute(draw, mlp, name):
    """Set an attribute to another value, or change a part of it in place."""
    value = getattr(mlp, name)
    if name in COSTLY or draw.chance(0.1):
        value = draw.of(JUNK)
    elif isinstance(value, list) and value and draw.chance(0.8):
        i = draw.integer(len(value))
        part = draw.like(value[i])
        if not draw.chance(0.5):
            value[i] = part
            return
        value = [*value[:i], part, *value[i + 1 :]]
    elif isinstance(value, str) and draw.chance(0.7):
        value = draw.of(WORDS)
    else:
        value = draw.like(value)
    if isinstance(value, tuple) and draw.chance(0.5):
        value = list(value)
    setattr(mlp, name, value)


def predicted(draw, mlp, dtype, kind):
    """The outputs of an estimator, for rows that fit or not."""
    rows = X[: draw.of([1, 1, 2, N])].astype(dtype)
    rows = draw.like(rows) if draw.chance(0.3) else rows
    n_rows = quietly(lambda: len(rows))[0] or 1
    attempt(lambda: mlp.score(rows, Y[:n_rows] if kind == "regressor" else LABELS[:n_rows]))
    theirs, _ = attempt(mlp.to_sklearn)
    quietly(lambda: theirs.predict(rows))
    with tempfile.TemporaryDirectory() as folder:
        if draw.chance(0.5):
            attempt(lambda: mlp.save(f"{folder}/mlp.npz"))
        if draw.chance(0.5):
            attempt(lambda: mlp.export(f"{folder}/mlp.py"))
        if draw.chance(0.5):
            attempt(mlp.to_result)
    outputs = mlp.predict if kind == "regressor" else mlp.predict_proba
    has_backend = isinstance(mlp.backend, str) and mlp.backend in ("numba", "numpy")
    if not has_backend or right_array(rows, range(9)) is None:
        return unjudged(lambda: outputs(rows))  # scikit-learn converts some objects
    due = oracle.outputs_due(mlp, rows)
    if due is None and kind == "classifier":
        judge(lambda: mlp.predict(rows), None)
        judge(lambda: mlp.predict_log_proba(rows), None)
    if due is not None and due.shape[1] == 1:
        due = due.ravel() if kind == "regressor" else np.c_[1 - due, due]
    return judge(lambda: outputs(rows), due, 1e-3)


def trained(draw, mlp, dtype, kind):
    """The weights after training on, by both back ends."""
    given = X.astype(dtype), Y if kind == "regressor" else LABELS
    given = [draw.like(part) if draw.chance(0.2) else part for part in given]
    method = draw.of(["fit", "fit", "partial_fit"])
    mlp.warm_start = draw.chance(0.8)
    fit = oracle.weights_due(mlp) is not None or not (mlp.warm_start or method == "partial_fit")

    def weights(mlp, backend):
        return weights_of(getattr(mlp.set_params(backend=backend), method)(*given))

    return agree(weights, mlp) if fit else judge(lambda: weights(mlp, "numba"), None)


def result(draw):
    """A result of which some parts were exchanged: its outputs, and their derivatives by the
    inputs."""
    it = result_of(draw.of([np.float64, np.float32]))
    if draw.chance(0.3):
        network = draw.of([Network((4, 6, 1), "tanh"), Network((4, 6, 1)), Network((4, 2))])
        it = dataclasses.replace(it, network=network, params=np.resize(it.params, network.n_params))
    names = ["params", "params", "network", "state", "history", "stop_reason"]
    for name in sorted({draw.of(names) for _ in range(draw.of([0, 1, 1, 2]))}):
        if name == "network" and draw.chance(0.9):
            value = other_network(draw)
        else:
            value = draw.like(getattr(it, name))
        it = dataclasses.replace(it, **{name: value})
        quietly(functools.partial(setattr, it, name, value))
    rows = rows_of(draw)
    backend = draw.of(["numba", "numba", "numpy"])
    for twin in (it, copy.copy(it)):
        with np.errstate(all="ignore"):
            expected = oracle.network_outputs(it.network, it.params, rows)
        words = [
            judge(lambda twin=twin: twin.predict(rows, backend=backend), expected, 1e-3)
            for _ in range(2)
        ]
    quietly(lambda: it.history.loss + it.history.validation_loss)
    if draw.chance(0.6):
        return words[0]
    name = draw.of(["jacobian", "input_gradient"])
    if expected is None or (name == "input_gradient" and it.network.n_outputs > 1):
        return judge(lambda: getattr(it, name)(rows, backend=backend), None)
    return agree(lambda rows, by: getattr(it, name)(rows, backend=by), rows)


def state(draw):
    """A state of which some fields were set, gone on with by both back ends."""
    dtype = draw.of([np.float64, np.float32])
    it = result_of(dtype).state
    for _ in range(draw.of([0, 1, 1, 2])):
        name = draw.of([field.name for field in dataclasses.fields(it)])
        value = getattr(it, name)
        if isinstance(value, dict) and value and draw.chance(0.8):
            part = draw.of(sorted(value))
            value[part] = draw.like(value[part])
        else:
            setattr(it, name, draw.like(value))
    attempt(it.check)
    if draw.chance(0.2):
        quietly(it.copy)
        quietly(lambda: (it.params, it.vectors))
    if draw.chance(0.2):
        quietly(lambda: it.restore(result_of(dtype).state))
    network = NETWORK if draw.chance(0.8) else other_network(draw)
    network = NETWORK if network.n_params > 10**4 else network
    targets = targets_of(network)
    options = {**OPTIONS, "new_rows": draw.of([False, False, True])}
    draw.spoil(options, [0, 0, 0, 0, 1])

    def goes_on(state, backend):
        return train(
            network, X.astype(dtype), targets, resume=state, backend=backend, **options
        ).params

    return agree(goes_on, it, 0.1)


ROUNDING = {"SGD": 1e-3, "RPROP": np.inf}
"""What rounding may grow to in a few steps: where a gradient is nearly 0, its sign decides on a
whole step."""


LARGE = 1e8
"""Numbers whose squares, in the normal equations of second-order methods, leave nothing of 1 in
float64: the losses agree, though not the parameters that they hardly depend on."""


def training(draw):
    """A training whose arguments, optimizer, schedule, stop rule or generator hold other values."""
    kind = draw.of(sorted(BUILT_IN))
    is_method = kind in METHODS
    dtypes = [np.float64] if is_method and draw.chance(0.9) else [np.float64, np.float32]
    options = drawn_options(draw, is_method, kind == "RPROP", draw.of(dtypes))
    options["optimizer"] = drawn_optimizer(draw, kind)
    options["stop"] = drawn_stop(draw)
    for name in ("rows", "validation_rows"):
        chosen = draw.like(np.arange(N)) if draw.chance(0.1) else None
        if getattr(chosen, "size", 0) <= 10 * N:  # rounding grows with the steps
            options[name] = chosen
    if options["seed"] is None or draw.chance(0.2):
        options["seed"] = Shuffles(draw.seed)

    arrays = [value for value in options.values() if isinstance(value, np.ndarray)]
    before = [array.tobytes() for array in arrays]
    compares_losses = is_method and any(is_large(array) for array in arrays)

    def outcome(options, by):
        result = train(**options, backend=by)
        return result.history.loss if compares_losses else result.params

    word = agree(outcome, options, ROUNDING.get(kind, 0.1))
    if before != [array.tobytes() for array in arrays]:
        raise Wrong("the caller's arrays were written to")
    return word


def drawn_options(draw, is_method, is_full_batch, dtype):
    """Arguments of a training, some of which hold other values."""
    data = {"X": X.astype(dtype), "Y": Y, "sample_weight": np.ones(N)}
    data |= {"params": result_of(dtype).params, "seed": 3}
    settings = {"network": NETWORK, "epochs": 2, "assume_finite": False, "callbacks": [do_nothing]}
    if not is_method:
        batch_size = None if is_full_batch else draw.of([1, 5, N])
        settings |= {"batch_size": batch_size, "alpha": 0.1, "shuffle": True}
        if draw.chance(0.3):
            settings["clip_norm"] = draw.of([0.1, 1.0])
            settings["rates"] = draw.of([(1.0, 0.5), (0, 1.0), ((1.0, 0.5), 0.1)])
    draw.spoil(data, [0, 0, 0, 1, 1, 2])
    draw.spoil(settings, [0, 0, 1])
    return data | settings


def drawn_optimizer(draw, kind):
    """An optimizer of which one field holds another value, if it takes it."""
    optimizer = BUILT_IN[kind]() if kind in METHODS else BUILT_IN[kind](0.01)
    name = draw.of([field.name for field in dataclasses.fields(optimizer) if field.init])
    rates = [0.01, fastnn.step_decay(0.1, 3), fastnn.cosine(0.1, 4), fastnn.exponential(0.1)]
    rate = draw.of([*rates, Rates(0.1, draw.seed)])
    value = rate if name == "learning_rate" else draw.like(getattr(optimizer, name))
    changed, error = attempt(lambda: dataclasses.replace(optimizer, **{name: value}))
    return optimizer if error else changed


def drawn_stop(draw):
    """A stop rule, or anything in its place."""
    rules = [
        None,
        Stop(tol=0.0, patience=3, reduce=ReduceRate(0.5, 1)),
        Stop(validation=0.3, monitor="r2", restore_best=True),
        Stop(validation=(draw.like(X), draw.like(Y))),
    ]
    return draw.of(rules) if draw.chance(0.9) else draw.like(3)


def do_nothing(progress):
    """A callback that does nothing."""


def is_large(array):
    """Whether some numbers of an array are `LARGE`."""
    return array.dtype.kind in "iuf" and (abs(array) > LARGE).any()


@dataclasses.dataclass(frozen=True)
class Rates(fastnn.constant):
    """A schedule whose rates are of any shape and dtype."""

    seed: int = 0

    def rates(self, steps):
        return Draw(self.seed).like(np.full(steps.shape, self.learning_rate))


class Shuffles(np.random.RandomState):
    """A generator that may put wrong rows among the right ones."""

    def __init__(self, seed):
        super().__init__(seed)
        self.seed = seed
        self.wrong = Draw(seed).of([None, None, -1, N, 2**62, -(10**6)])

    def __reduce__(self):  # before it is used: as new
        return type(self), (self.seed,)

    def shuffle(self, x):
        super().shuffle(x)
        if self.wrong is not None:
            x[len(x) // 2] = self.wrong


FLOATS = np.dtype(np.float64), np.dtype(np.float32)
SHARED = {"params", "X", "Y", "sample_weight", "storage"}  # they share the working dtype


def backend(draw):
    """A method of the Numba back end, called with arrays that nobody has checked."""
    given = arrays_of(draw.of([np.float64, np.float32]))
    method = draw.of(list(USED))
    dtypes = {name: array.dtype for name, array in given.items()}
    draw.spoil(given, [0, 1, 1, 2], USED[method])
    network = NETWORK if draw.chance(0.8) else other_network(draw)

    def call(arrays, by):
        return of_backend(get_backend(by), method, network, arrays)

    twin = twin_of(given)
    value = done(lambda: call(given, "numba"))
    # all may have been made another one
    working = given["X"].dtype if isinstance(given["X"], np.ndarray) else None
    for name in USED[method]:
        array = given[name]
        right = working if name in SHARED and working in FLOATS else dtypes[name]
        if not (isinstance(array, np.ndarray) and array.dtype == right and array.flags.carray):
            raise Wrong(f"number where an error is due: {name} is {array!r:.100}")
    products = given["beta_products"]
    if (given["sample_weight"] >= 0).all() and ((products >= 0) & (products <= 1)).all():
        return agree(lambda arrays, by: value if by == "numba" else call(arrays, by), twin)
    return UNKNOWN


def arrays_of(dtype):
    """The arrays of a task, of a state and of steps: what a back end computes with."""
    params = np.array(result_of(dtype).params)
    data = {"X": X.astype(dtype), "Y": Y.astype(dtype), "sample_weight": np.ones(N, dtype)}
    state = {"storage": StepState.create(params, 2).storage, "beta_products": np.ones(2)}
    steps = {"rows": np.arange(N), "start": np.array([0, 5]), "stop": np.array([5, N])}
    steps |= {"learning_rate": np.full(2, 0.1), "loss": np.zeros(2)}
    return {"params": params} | data | state | steps


USED = {
    "predict": ["params", "X"],
    "loss_and_gradient": ["params", "X", "Y", "sample_weight"],
    "train_steps": ["X", "Y", "sample_weight", "storage", "beta_products", *Steps._fields],
}
"""{a method of a back end: the arrays that it takes}"""


def of_backend(backend, method, network, arrays):
    """What a method makes of these arrays: outputs, a gradient, or parameters."""
    data = Data(arrays["X"], arrays["Y"], arrays["sample_weight"])
    if method == "predict":
        return backend.predict(network, arrays["params"], arrays["X"])
    if method == "loss_and_gradient":
        return backend.loss_and_gradient(network, arrays["params"], data, 0.1)[1]
    steps = Steps(*(arrays[name] for name in Steps._fields))
    products = arrays["beta_products"]
    state = StepState(arrays["storage"], network.n_params, beta_products=products)
    backend.train_steps(Task(network, fastnn.Adam(0.01), data, 0.1), state, steps)
    return np.array(state.params)


KINDS = [estimator] * 8 + [result] * 7 + [state] * 3 + [training] * 6 + [backend] * 4
KINDS += (
    fuzz_doors.DOORS + fuzz_files.DOORS + fuzz_around.DOORS + fuzz_tables.DOORS + fuzz_ways.DOORS
)


def case(seed, only=None):
    """The door of a case, and what it came to."""
    draw = Draw(seed)
    door = draw.of([kind for kind in KINDS if only in (None, kind.__name__)])
    try:
        return door.__name__, door(draw)
    except oracle.Refused:
        return door.__name__, oracle.REFUSED
    except oracle.Failure as failure:
        return door.__name__, str(failure)


def warm():
    """Compile or load each kernel, and fit what the cases copy."""
    warnings.simplefilter("ignore")
    for dtype in (np.float64, np.float32):
        list(first_calls(dtype, (*OF_A_DTYPE, *OF_NONE)))
        fitted("regressor", dtype), fitted("classifier", dtype), result_of(dtype)
    fuzz_files.files()
    fuzz_around.classes()
    fuzz_around.population()


WELL = oracle.FINE, oracle.DIVERGED, oracle.REFUSED, UNKNOWN
"""What cases come to that are as they should be: the columns of the table, before that of those
that failed."""


def main(first, n, only=None):
    """Do the cases, print the table; return the number of those that failed."""
    warm()
    table = {
        kind.__name__: dict.fromkeys((*WELL, "failed"), 0)
        for kind in KINDS
        if only in (None, kind.__name__)
    }
    for seed, outcome in in_forks(lambda seed: case(seed, only), range(first, first + n)).items():
        # A case that ended its process has not said its door, which is drawn first.
        door, word = (
            (only or Draw(seed).of(KINDS).__name__, outcome)
            if isinstance(outcome, str)
            else outcome
        )
        table[door][word if word in WELL else "failed"] += 1
        if word not in WELL:
            print(f"case {seed}: {door}: {word}")  # noqa: T201
    for door, counts in table.items():
        print(f"{door:12}", *(f"{word} {count:<5}" for word, count in counts.items()))  # noqa: T201
    print(json.dumps(table))  # noqa: T201
    return sum(counts["failed"] for counts in table.values())


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4])))
