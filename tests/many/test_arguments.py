"""The arguments of train_many: what is one for all, what is one each, and errors that say which
member's is wrong."""

import numpy as np
import pytest
from bits import assert_same_params
from watched import watch

from fastnn import RPROP, SGD, Adam, Network, Stop, every, train, train_many
from fastnn.many import members
from fastnn.reference import NumpyBackend

RANDOM = np.random.RandomState(1)
NETWORK = Network((3, 5, 1))
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
STATE = train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy").state


class Idle(NumpyBackend):
    def train_steps(self, *arguments):
        pytest.fail("it trains")


def refused(error, text, **options):
    """Assert that `train_many` refuses changed arguments before it trains."""
    given = {"networks": NETWORK, "X": X, "Y": Y, "epochs": 1, "backend": Idle()}
    with pytest.raises(error, match=text):
        train_many(**given | options)


ONE_EACH = {
    "a tuple of optimizers": {"optimizer": (SGD(), Adam(), SGD())},
    "a range of epochs": {"epochs": range(3)},
    "X of three dimensions": {"X": np.stack([X, X[::-1], X])},
    "Y of three dimensions": {"Y": np.stack([Y, Y[::-1], Y])},
    "a list of vectors": {"Y": [Y[:, 0]] * 3},
    "a matrix of weights": {"sample_weight": np.ones((3, 20))},
    "a list of weights and None": {"sample_weight": [None, np.ones(20), None]},
    "a matrix of rows": {"rows": np.arange(9).reshape(3, 3)},
    "a matrix of parameters": {"params": np.zeros((3, 26))},
}


@pytest.mark.parametrize("case", ONE_EACH)
def test_arguments_of_one_each(case):
    ((name, values),) = ONE_EACH[case].items()
    options = {"X": X, "Y": Y, "epochs": 1, "seed": 0, "backend": "numpy"}
    many = train_many(NETWORK, **options | {name: values})
    assert len(many) == 3
    for result, value in zip(many, values, strict=True):
        assert_same_params(result, train(NETWORK, **options | {name: value}))


FOR_ALL = {
    "rows of X": {"X": X.tolist()},
    "rows of Y": {"Y": Y.tolist()},
    "a list of weights": {"sample_weight": [1.0] * 20},
    "a list of rows": {"rows": [1, 2, 3]},
    "a vector of parameters": {"params": np.zeros(26)},
    "numbers": {"epochs": 3, "optimizer": SGD(), "seed": 4},
}


@pytest.mark.parametrize("case", FOR_ALL)
def test_arguments_for_all(case):
    given = {"X": X, "Y": Y, "epochs": 1, "seed": 0, "backend": "numpy"} | FOR_ALL[case]
    (member,) = train_many(NETWORK, n=1, **given)
    assert_same_params(member, train(NETWORK, **given))


def test_rates_of_one_each_and_a_rate_for_all():
    options = {"seed": 0, "epochs": 1, "backend": "numpy"}
    rates = np.array([0.1, 0.2, 0.3])
    many = train_many(NETWORK, X, Y, learning_rate=rates, **options)
    for result, rate in zip(many, rates, strict=True):
        assert_same_params(result, train(NETWORK, X, Y, optimizer=Adam(rate), **options))
    (member,) = train_many(NETWORK, X, Y, n=1, learning_rate=0.1, **options)
    assert_same_params(member, many[0])


def test_targets_of_two_dimensions_and_labels_are_for_all():
    """Not a vector for each member, though there are three."""
    network = Network((3, 3), output="softmax")
    for Y_of_all in (np.eye(3), [0, 1, 1]):
        options = {"seed": 0, "epochs": 1, "backend": "numpy"}
        (member,) = train_many(network, X[:3], Y_of_all, n=1, **options)
        assert_same_params(member, train(network, X[:3], Y_of_all, **options))


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    X_frame = pandas.DataFrame(X)
    Y_frame = pandas.Series(Y[:, 0])
    grid = pandas.DataFrame({"rate": [0.1, 0.2]})
    options = {"seed": 0, "epochs": 2, "batch_size": 7, "backend": "numpy"}
    expected = train_many(NETWORK, X, Y, learning_rate=[0.1, 0.2], **options)
    for frames in ((X_frame, Y_frame), ([X_frame, X_frame], [Y_frame, Y_frame])):
        found = train_many(NETWORK, *frames, learning_rate=grid["rate"], **options)
        assert_same_params(found, expected)


def test_what_a_sequence_makes_anew_is_each_members_own(backend):
    alphas = range(300, 340)
    options = {"seed": [0] * 40, "epochs": 1, "batch_size": 7, "backend": backend}
    of_range = train_many(NETWORK, X, Y, alpha=alphas, **options)
    assert_same_params(of_range, train_many(NETWORK, X, Y, alpha=[*alphas], **options))
    assert len(np.unique(of_range.params, axis=0)) == len(alphas)


OF_VALUES = [
    ({"networks": [NETWORK] * 3, "seed": range(4)}, "networks has 3 .*, seed has 4 "),
    ({"seed": range(4), "n": 3}, "n is 3, seed has 4 values"),
    ({"networks": []}, "^networks is empty"),
    ({"seed": range(0)}, "^seed is empty"),
    ({}, "their number is not known: give a list, such as seed="),
    ({"n": 0}, "n must be at least 1, not 0"),
    ({"n": 3, "seed": 3}, "all 3 members would be trained alike, by the same seed"),
    ({"n": 3, "resume": STATE}, "all 3 members would go on alike"),
    ({"n": 3, "seed": np.random.RandomState(0)}, "one RandomState for all members"),
    ({"seed": [0, *[np.random.RandomState(0)] * 2]}, "^member 2: .* of member 1 too"),
    ({"seed": [1, -1]}, "^member 1: seed must be from 0"),
    ({"networks": [NETWORK, Network((4, 1))]}, "^member 1: X has 3 columns, .* 4 inp"),
    ({"X": [X, X[:, :2]]}, "^member 1: X has 2 columns"),
    ({"X": np.stack([X, X * np.nan])}, r"^member 1: X must be finite; X\[0, 0\] is nan"),
    ({"X": [X, X[:9]]}, "^member 1: X has 9 rows, Y has 20"),
    ({"X": X * np.nan, "n": 2}, "^X must be finite"),
    ({"rows": [np.arange(3), np.array([1, 20])]}, r"^member 1: rows\[1\] is 20, the rows"),
    ({"rows": [[0, 1], [2, 3]]}, r"^rows is a nested list of depth 2.*=\[np\.array\(each\)"),
    ({"sample_weight": [[1.0] * 20] * 2}, "^sample_weight is a nested list of depth 2"),
    ({"sample_weight": np.eye(2, 20) - 0.5}, "^member 0: sample_weight must not be"),
    (
        {"sample_weight": [np.ones(20), np.eye(1, 20)[0]], "rows": range(3, 9)},
        "^member 1: sample_weight is 0 for all rows that are left",
    ),
    ({"learning_rate": [0.1, -1]}, "^member 1: learning_rate must be at least 0, not -1"),
    ({"optimizer": [SGD(), RPROP()], "batch_size": 5}, "^member 1: RPROP takes full"),
    ({"alpha": [0, -1]}, "^member 1: alpha must be at least 0, not -1"),
    ({"params": np.zeros((2, 25))}, "^member 0: params has 25 numbers, .* 26 parameters"),
    ({"networks": Network((3, 6, 1)), "resume": [STATE]}, "^member 0: resume does"),
    ({"resume": [STATE] * 2, "seed": [None, 1]}, "^member 1: resume brings its own"),
    ({"n_jobs": 0, "n": 2}, "n_jobs must be at least 1, not 0"),
]
OF_TYPES = [
    ({"seed": iter(range(3))}, r"^seed must be .*, or a list|seed must be .*; or a list"),
    ({"networks": (3, 5, 1), "n": 2}, r"say Network\(\(3, 5, 1\)\)"),
    ({"networks": [NETWORK, (3, 5, 1)]}, r"^member 1: .* say Network\(\(3, 5, 1\)\)"),
    ({"optimizer": [SGD(), Adam]}, r"^member 1: optimizer .*: say Adam\(\)"),
    ({"epochs": [2, 2.0]}, "^member 1: epochs must be an integer, not 2.0"),
    ({"stop": [Stop(), 5]}, "^member 1: stop must be a fastnn Stop, not 5"),
    ({"resume": train_many(NETWORK, X, Y, n=2, epochs=0, backend="numpy")}, "not of results: say"),
    ({"backend": ["numpy", "numba"], "n": 2}, "^backend is one for all members, not"),
    ({"dtype": ["float32", "float64"], "n": 2}, "^dtype is one for all members, not"),
    ({"n_jobs": np.ones(2), "n": 2}, "n_jobs must be an integer"),
    ({"callbacks": print, "n": 2}, "callbacks must be a list of functions"),
    ({"callbacks": [every(2, print)], "n": 2}, r"every.* and CsvLogger see a training's epochs"),
    ({"seeds": range(3)}, "did you mean 'seed'"),
]


@pytest.mark.parametrize(("options", "text"), OF_VALUES, ids=[text for _, text in OF_VALUES])
def test_values_that_do_not_fit_are_refused_before_anything_is_trained(options, text):
    refused(ValueError, text, **options)


@pytest.mark.parametrize(("options", "text"), OF_TYPES, ids=[text for _, text in OF_TYPES])
def test_what_is_of_another_type_is_refused_before_anything_is_trained(options, text):
    refused(TypeError, text, **options)


def test_a_member_whose_data_do_not_fit_into_memory_is_named():
    huge = np.broadcast_to(np.float32(0), (10**13, 3))
    refused(MemoryError, "^member 1: .*Unable to allocate", X=[X, huge])


def test_a_split_without_weight_is_refused_before_anything_is_trained():
    """Which rows are split off depends on the seed, as in `train`; a generator of the caller's is
    left as it is."""
    options = {
        "sample_weight": np.arange(20) < 2,
        "stop": Stop(validation=0.5),
        "epochs": 0,
        "backend": Idle(),
    }
    good = []
    bad = []
    for seed in range(20):
        try:
            train(NETWORK, X, Y, seed=seed, **options)
            good.append(seed)
        except ValueError:
            bad.append(seed)
    assert len(train_many(NETWORK, X, Y, seed=good, **options)) == len(good) > 0
    generator = np.random.RandomState(bad[0])
    text = f"^member {len(good)}: sample_weight is 0 for all rows"
    for seed in (bad[0], generator):
        refused(ValueError, text, seed=[*good, seed], **options | {"epochs": 1})
    assert generator.randint(2**30) == np.random.RandomState(bad[0]).randint(2**30)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 10**7}, "about"),
        ({"seed": range(10**12)}, "about"),
        ({"epochs": [10**9] * 99}, "more than"),
    ],
)
def test_too_many_members_are_refused_before_they_are_made(options, said, monkeypatch):
    made = watch(monkeypatch, members.MemberChecks, "member")
    monkeypatch.setattr(members, "memory", lambda: 10**10)
    text = rf"members take {said} [\d,]+ bytes, this machine has 10,000,000,000"
    refused(MemoryError, text, **{"epochs": 100} | options)
    assert len(made) <= 4


def test_epochs_that_stop_rules_may_leave_out_take_no_memory():
    stop = Stop(patience=1)
    many = train_many(
        NETWORK, X, Y, n=3, epochs=10**12, optimizer=SGD(0.0), stop=stop, backend="numpy"
    )
    assert many.stop_reason.tolist() == ["tolerance"] * 3
