"""Hostile input, generated: every public function works or raises a documented exception, in bounded time and memory.

2,200 cases in every run, 110,000 in a slow one. A case is a good call of which up to three arguments are replaced.
"""

import copy
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hostile import SCALARS, SCALES, any_array, run, scalars, spoiled

import fastnn
from fastnn import SGD, Adam, Network, Stop, loss_and_gradient, predict, train
from fastnn.losses import ACTIVATIONS, LOSSES
from fastnn.network import BIASES, INITS, REDUCTIONS
from fastnn.training import epochs as pace

N, SIZES = 7, (3, 4, 2)
GOOD_X = np.linspace(-1, 1, N * 3).reshape(N, 3)
GOOD_Y = np.full((N, 2), 0.5)
NETWORK = Network(SIZES, "tanh")
N_PARAMS = NETWORK.n_params

networks = st.builds(
    lambda activation, pair, options: Network(SIZES, activation, pair[1], pair[0], **options),
    st.sampled_from([name for name, row in ACTIVATIONS.items() if row.hidden]),
    st.sampled_from([(loss, output) for loss, row in LOSSES.items() for output in row.outputs]),
    st.fixed_dictionaries(
        {"bias": st.sampled_from(BIASES), "reduction": st.sampled_from(REDUCTIONS), "init": st.sampled_from(INITS)}
    ),
)
huge = st.sampled_from([Network((3, n, 2)) for n in (2000, 10**9, 10**12, 10**30)])
backends = st.sampled_from(["numpy", "numba"])


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """The kernels are compiled before the time of a call is bounded."""
    for dtype in (np.float32, np.float64):
        params = train(NETWORK, GOOD_X.astype(dtype), GOOD_Y, epochs=1).params
        predict(NETWORK, params, GOOD_X)
        loss_and_gradient(NETWORK, params, GOOD_X, GOOD_Y)


DATA = {
    "X": any_array((N, 3)),
    "Y": st.one_of(any_array((N, 2)), st.just(np.arange(N) % 2), any_array((N,))),
    "sample_weight": any_array((N,)),
}


def nothing_learned(rate):
    return SGD(lambda step: rate)


optimizers = st.one_of(
    st.sampled_from([SGD(0.1, 0.9), Adam(), fastnn.RPROP(), SGD(1e300), Adam(1e308), SGD(fastnn.cosine(1, 5))]),
    scalars.map(nothing_learned),
    st.sampled_from([type("Mine", (SGD,), {})(), SGD]),
    scalars,
)
stops = st.one_of(
    st.builds(
        Stop,
        tol=st.sampled_from([None, 0.0, 1e300]),
        validation=st.one_of(
            st.none(), st.floats(0.01, 0.99), st.tuples(DATA["X"], DATA["Y"]), st.tuples(*DATA.values())
        ),
        restore_best=st.booleans(),
        on_divergence=st.sampled_from(["raise", "stop"]),
        max_seconds=st.sampled_from([None, 1e-9]),
    ),
    scalars,
)
seeds = st.one_of(scalars, st.sampled_from([np.random.RandomState(3), np.random.default_rng(0)]))
callbacks = st.one_of(scalars, st.lists(st.one_of(scalars.map(lambda value: lambda progress: value), scalars)))
RESUME = {"network": NETWORK, "X": GOOD_X, "Y": GOOD_Y, "optimizer": Adam(), "batch_size": 3, "epochs": 1}
FRESH = {**RESUME, "seed": 0, "backend": "numpy"}


def _good_states():
    """States that trainings leave: at the beginning and later, within an epoch, with validation rows and counters."""
    results = []
    for stop in (None, Stop(tol=0.0, patience=50, validation=0.3, restore_best=True)):
        results += [train(**FRESH | {"epochs": epochs}, stop=stop) for epochs in (0, 2)]

    def observe(progress):
        results.append(progress.result())

    observe.per_chunk = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "FIRST_CHUNK_STEPS", 1)
        patch.setattr(pace, "CHUNK_SECONDS", 0)  # so that each step is a chunk
        train(**FRESH, callbacks=[observe])
    return [result.state for result in results]


GOOD_STATES = _good_states()

FIELDS = {
    "storage": any_array((3, N_PARAMS)),
    "best_params": any_array((N_PARAMS,)),
    "beta_products": any_array((2,)),
    "index": st.one_of(any_array((N,)), st.permutations(range(N)).map(np.array), st.just(np.zeros(N, np.int64))),
    "validation_rows": any_array((1,)),
    "n_params": scalars,
    "t": scalars,
    "batch": scalars,
    "optimizer": scalars,
    "random_state": scalars,
    "counters": scalars,
}


@st.composite
def states(draw):
    """The state of a real training; in half of all cases a field, an entry of the generator or a counter is spoiled."""
    state = copy.deepcopy(draw(st.sampled_from(GOOD_STATES)))
    spoil = draw(st.sampled_from(["nothing"] * 4 + ["field", "generator", "its state", "counter"]))
    if spoil == "field":
        name = draw(st.sampled_from(sorted(FIELDS)))
        setattr(state, name, draw(FIELDS[name]))
    elif spoil != "nothing":
        generator = state.random_state
        inner = {"generator": generator, "its state": generator["state"], "counter": state.counters}[spoil]
        inner[draw(st.sampled_from(sorted(inner)))] = draw(scalars)
    return state


TRAIN = {
    **DATA,
    "network": st.one_of(networks, networks, huge, scalars),
    "optimizer": optimizers,
    "epochs": st.one_of(st.integers(0, 5), scalars.filter(lambda value: not (isinstance(value, int) and value > 9))),
    "batch_size": st.one_of(st.integers(1, 9), scalars),
    "shuffle": st.one_of(st.booleans(), scalars),
    "seed": seeds,
    "alpha": st.one_of(scalars, st.floats()),
    "params": any_array((N_PARAMS,)),
    "resume": st.one_of(states(), states(), states(), scalars),
    "stop": stops,
    "callbacks": callbacks,
    "backend": st.one_of(backends, scalars),
    "assume_finite": st.one_of(st.booleans(), scalars),
}


@pytest.mark.parametrize("scale", SCALES)
def test_train(scale):
    good = {
        "network": st.just(NETWORK),
        "X": st.just(GOOD_X),
        "Y": st.just(GOOD_Y),
        "epochs": st.just(1),
        "backend": backends,
        "assume_finite": st.booleans(),
    }

    def body(**case):
        if case.get("resume") is not None:
            case.setdefault("optimizer", Adam())
        given = [case[name] for name in ("X", "Y", "sample_weight", "params") if isinstance(case.get(name), np.ndarray)]
        before = [np.asarray(array).tobytes() for array in given]
        try:
            result = train(**case)
            assert np.isfinite(result.params).all()
            assert result.predict(GOOD_X[:2], backend="numpy").shape == (2, 2)
            assert result.stop_reason in ("epochs", "tolerance", "validation", "callback", "time", "diverged")
        finally:
            assert [np.asarray(array).tobytes() for array in given] == before

    run(spoiled(good, TRAIN), body, 800 * scale)


@pytest.mark.parametrize("scale", SCALES)
def test_resume(scale):
    good = {"resume": states(), "backend": backends, "repeated": st.booleans(), "new_rows": st.booleans()}
    bad = {name: TRAIN[name] for name in ("X", "Y", "batch_size", "stop", "epochs")}

    def body(repeated, **case):
        kept = () if repeated else ("optimizer", "batch_size")
        train(**{name: value for name, value in RESUME.items() if name not in kept} | case)

    run(spoiled(good, bad), body, 200 * scale)


@pytest.mark.parametrize("function", [predict, loss_and_gradient])
@pytest.mark.parametrize("scale", SCALES)
def test_predict_and_loss_and_gradient(function, scale):
    good = {
        "network": networks,
        "params": st.just(np.linspace(-1, 1, N_PARAMS)),
        "X": st.just(GOOD_X),
        "backend": backends,
        "assume_finite": st.booleans(),
    }
    bad = {
        name: TRAIN[name]
        for name in (*good, *(("Y", "sample_weight", "alpha") if function is loss_and_gradient else ()))
    }
    if function is loss_and_gradient:
        good["Y"] = st.just(GOOD_Y)

    def body(**case):
        case["params"] = np.linspace(-1, 1, case["network"].n_params) if _short(case) else case["params"]
        value = function(**case)
        if function is predict:
            assert value.shape[1] == case["network"].n_outputs
        else:
            assert isinstance(value[0], float)
            assert value[1].shape == (case["network"].n_params,)

    run(spoiled(good, bad), body, 300 * scale)


def _short(case):
    """Parameters that do not fit would be all that is looked at."""
    network, params = case["network"], case["params"]
    return isinstance(network, Network) and network.n_params < 10**6 and getattr(params, "shape", None) == (N_PARAMS,)


def test_what_is_hostile_is_what_it_should_be():
    assert sum(isinstance(value, float) and not math.isfinite(value) for value in SCALARS) >= 3
    assert 10**400 in [value for value in SCALARS if isinstance(value, int)]
