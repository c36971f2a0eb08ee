"""The conformance suite proves something about an ordinary kernel of somebody else's, or says that
it does not."""

import pathlib
from collections import Counter

import pytest
from ordinary import BROKEN, Ordinary, only, tutorial

from fastnn import SGD, Network
from fastnn.reference import NumpyBackend
from fastnn.state import Data
from fastnn.testing import Declined, check_backend, check_functions, conformance_checks
from fastnn.testing.cases import choose

DTYPES = ("float32", "float64")
NUMERIC = ("gradient", "derivative", "update", "training")


def passed_by_kind(report):
    return Counter(outcome.check.kind for outcome in report.outcomes if outcome.verdict == "passed")


NARROW = [
    {"sizes": 2, "loss": "log_loss"},
    {"sizes": 4, "activation": "silu", "bias": "none", "reduction": "sum"},
    {"outputs": 1, "loss": "absolute_error", "by": "RPROP"},
    {"loss": "poisson", "activation": "elu", "by": "Adam", "constant": True},
    {"bias": "scalar", "output": "softmax", "loss": "huber", "alpha": 0.0},
]
CASES = [*((None, dtype) for dtype in DTYPES), *((wanted, "float64") for wanted in NARROW)]


@pytest.mark.parametrize(("wanted", "dtype"), CASES, ids=str)
def test_each_kind_of_check_runs_on_an_ordinary_kernel(wanted, dtype):
    """And on a back end that supports little."""
    report = check_backend(only(**wanted) if wanted else Ordinary(), dtypes=[dtype])
    counts = passed_by_kind(report)
    assert all(counts[kind] >= 3 for kind in NUMERIC), counts
    assert (
        f"passed: {counts['property']} property, {counts['gradient']} gradient" in report.summary()
    )


IN_ONE = [(bug, [DTYPES[i % 2]]) for i, bug in enumerate(BROKEN)]
IN_BOTH = [pytest.param(bug, DTYPES, marks=pytest.mark.slow) for bug in BROKEN]


@pytest.mark.parametrize(("bug", "dtypes"), [*IN_ONE, *IN_BOTH], ids=str)
def test_a_broken_ordinary_kernel_fails_by_the_name_of_its_kind(bug, dtypes):
    make, kinds = BROKEN[bug]
    report = check_backend(make(), dtypes=dtypes, raises=False)
    failed = {outcome.check.kind for outcome in report.failed}
    assert failed - {"property"} == set(kinds.split())
    assert all("\nin Network((" in o.message for o in report.failed if o.check.kind in kinds)
    assert set(passed_by_kind(report)) >= set(NUMERIC) - failed
    for kind in kinds.split():
        assert f"\n{kind}: " in report.summary()


def test_a_kind_of_which_nothing_runs_fails_loudly():
    report = check_backend(tutorial(), dtypes=["float64"], raises=False)
    assert "no derivative check runs, so nothing was compared" in report.summary()
    assert {outcome.check.what for outcome in report.failed} == {
        "at least one derivative check runs"
    }
    assert {
        outcome.verdict for outcome in report.outcomes if outcome.check.kind == "derivative"
    } == {"skipped"}


def test_a_case_has_what_is_wanted_if_the_back_end_supports_it():
    about = {"activation": "relu", "loss": "huber", "output": "tanh"}
    wanted = {"sizes": (7, 4, 4, 5), "bias": "none", "alpha": 0.3, "weighted": True}
    case = choose(NumpyBackend(), about, wanted=wanted)
    right = Network((7, 4, 4, 5), "relu", "tanh", "huber", bias="none")
    assert case[:1] + case[2:] == (right, 0.3, True)
    narrow = choose(only(sizes=3), about, wanted=wanted)
    right = Network((4, 6, 3), "relu", "tanh", "huber")
    assert narrow[:1] + narrow[2:] == (right, 0.3, True)
    assert choose(only(sizes=3, alpha=0.0), about, wanted=wanted)[2:] == (0.0, False)


def test_what_a_check_is_about_is_not_changed():
    assert choose(only(sizes=3), {"bias": "scalar"}).network.bias == "scalar"
    with pytest.raises(Declined, match=r"only does not support .*'bias': 'scalar'"):
        choose(only(bias="vector"), {"bias": "scalar"})
    with pytest.raises(Declined):
        choose(Ordinary(), {"alpha": 0.1})
    with pytest.raises(Declined):
        choose(Ordinary(), optimizers=[SGD(momentum=0.9)])


def test_a_back_end_need_not_be_hashable():
    class Unhashable(Ordinary):
        __hash__ = None

    assert check_backend(Unhashable(), dtypes=["float64"]).count("passed") > 30


def test_the_back_end_of_the_example_passes_what_it_supports(monkeypatch):
    """One on PyTorch, which declines the rest."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "examples")
    from torch_backend import ACTIVATIONS, LOSSES, TorchBackend

    report = check_backend(TorchBackend())
    passed = [outcome.check for outcome in report.outcomes if outcome.verdict == "passed"]
    updates = [check for check in passed if check.kind == "update" and check.optimizer]
    assert {check.optimizer.split()[0] for check in updates} == {"SGD", "Adam"}
    gradients = [
        check for check in conformance_checks() if check.kind == "gradient" and check.loss in LOSSES
    ]
    known = {
        check.name for check in gradients if {check.activation, check.output} <= set(ACTIVATIONS)
    }
    assert set() < known <= {check.name for check in passed}
    declined = " ".join(
        outcome.check.what for outcome in report.outcomes if outcome.verdict == "skipped"
    )
    assert "sequential" in declined
    assert "RPROP" in declined


NETWORK = Network((3, 5, 2), "tanh", reduction="sum")


def gradient(params, X, Y, slope=lambda h: 1 - h * h):
    """Those of the ordinary kernel, for a sum of squared errors."""
    kernel = Ordinary(slope, divisor=lambda n: 1)
    loss, by_params = kernel.loss_and_gradient(NETWORK, params, Data(X, Y, None), 0.0)
    return loss * len(X), by_params


def step(params, X, Y, learning_rate):
    return params - params.dtype.type(learning_rate) * gradient(params, X, Y)[1]


def step_in_place(params, X, Y, learning_rate):
    params[...] = step(params, X, Y, learning_rate)


@pytest.mark.parametrize(
    "functions", [{"step": step}, {"step": step_in_place}, {}], ids=["step", "in place", "none"]
)
def test_right_functions_pass(functions):
    report = check_functions(NETWORK, loss_and_gradient=gradient, **functions, dtypes=DTYPES)
    kinds = NUMERIC if functions else NUMERIC[:2]
    assert passed_by_kind(report) == dict.fromkeys(kinds, 6)


WRONG_GRADIENTS = {
    "slope": lambda params, X, Y: gradient(params, X, Y, slope=lambda h: 1 - 0.9 * h * h),
    "loss": lambda params, X, Y: (2 * gradient(params, X, Y)[0], gradient(params, X, Y)[1]),
    "shape": lambda params, X, Y: (1.0, [1.0, 2.0]),
}
WRONG_SHAPE = {"loss_and_gradient": WRONG_GRADIENTS["shape"]}
WRONG_STEPS = {
    "sign": lambda params, X, Y, rate: 2 * params - step(params, X, Y, rate),
    "last row left out": lambda params, X, Y, rate: step(params, X[:-1], Y[:-1], rate),
}


@pytest.mark.parametrize("bug", [*WRONG_GRADIENTS, *WRONG_STEPS])
def test_wrong_functions_fail_by_the_name_of_their_kind(bug):
    functions = {
        "loss_and_gradient": WRONG_GRADIENTS.get(bug, gradient),
        "step": WRONG_STEPS.get(bug, step),
    }
    report = check_functions(NETWORK, **functions, raises=False)
    failed = {outcome.check.kind for outcome in report.failed}
    assert failed == set(NUMERIC[:2] if bug in WRONG_GRADIENTS else NUMERIC[2:])
    with pytest.raises(AssertionError, match=r"'mine' fails \d+ of \d+ checks"):
        check_functions(NETWORK, **functions)


def test_options_that_a_function_takes_are_checked():
    def with_options(params, X, Y, *, alpha, sample_weight):
        return NumpyBackend().loss_and_gradient(NETWORK, params, Data(X, Y, sample_weight), alpha)

    def without_penalty(params, X, Y, *, alpha, sample_weight):
        return with_options(params, X, Y, alpha=0.0, sample_weight=sample_weight)

    passed = passed_by_kind(check_functions(NETWORK, loss_and_gradient=with_options))
    assert passed == {"gradient": 12, "derivative": 12}
    report = check_functions(NETWORK, loss_and_gradient=without_penalty, raises=False)
    assert len(report.failed) == 6  # its gradient is the derivative of its own loss
    assert all(
        outcome.check.kind == "gradient" and "alpha 0.3" in outcome.check.what
        for outcome in report.failed
    )


@pytest.mark.parametrize(
    ("network", "options", "error", "words"),
    [
        (
            NETWORK,
            WRONG_SHAPE,
            AssertionError,
            r"gradient has the shape \(2,\) .*; right is \(32,\) and float64",
        ),
        (NETWORK, {}, TypeError, "takes a function as loss_and_gradient, one as step, or both"),
        (NETWORK, {"step": step, "dtypes": ["float16"]}, ValueError, "dtype"),
        ((3, 5, 2), {"step": step}, TypeError, "network must be a fastnn Network"),
    ],
)
def test_wrong_usage_of_check_functions(network, options, error, words):
    with pytest.raises(error, match=words):
        check_functions(network, **options)
