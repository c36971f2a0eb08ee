"""The arguments of train_many: what is one for all, what is one each, and errors that say which
member's is wrong."""

import numpy as np
import pytest

from fastnn import RPROP, SGD, Adam, Network, Stop, every, train, train_many
from fastnn.many import members
from fastnn.many.members import spread
from fastnn.reference import NumpyBackend

RANDOM = np.random.RandomState(1)
NETWORK = Network((3, 5, 1))
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
STATE = train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy").state

Idle = type("Idle", (NumpyBackend,), {"train_steps": lambda *given: pytest.fail("it trains")})


def spread_out(options, n=None):
    names = (
        "sample_weight",
        "rows",
        "validation_rows",
        "optimizer",
        "learning_rate",
        "seed",
        "params",
        "resume",
    )
    rest = {
        "new_rows": False,
        "backend": "numpy",
        "dtype": None,
        "assume_finite": False,
        "epochs": 1,
    }
    return spread(
        {"networks": NETWORK, "X": X, "Y": Y, **dict.fromkeys(names), **rest, **options}, n
    )


ONE_EACH = [
    {"optimizer": (SGD(), Adam(), SGD())},
    {"epochs": range(3)},
    {"learning_rate": np.array([0.1, 0.2, 0.3])},
    {"X": np.zeros((3, 20, 3))},
    {"Y": np.zeros((3, 20, 1))},
    {"Y": [Y[:, 0]] * 3},
    {"sample_weight": np.ones((3, 20))},
    {"sample_weight": [None, np.ones(20), None]},
    {"rows": np.arange(9).reshape(3, 3)},
    {"params": np.zeros((3, 26))},
]
FOR_ALL = [
    {"Y": np.zeros((3, 20))},
    {"X": X.tolist()},
    {"Y": Y.tolist()},
    {"Y": [0, 1, 1]},
    {"sample_weight": [1.0] * 20},
    {"rows": [1, 2, 3]},
    {"params": np.zeros(26)},
    {"learning_rate": 0.1, "epochs": 3, "optimizer": SGD(), "seed": 4},
]


def test_what_is_one_each_and_what_is_for_all():
    for options in ONE_EACH:
        n_members, _, own = spread_out(options)
        assert (n_members, set(own)) == (3, set(options)), options
    for options in FOR_ALL:
        n_members, shared, own = spread_out(options, 1)
        assert (n_members, own) == (1, {}), options
        assert all(shared[name] is value for name, value in options.items()), options


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    X_frame = pandas.DataFrame(X)
    Y_frame = pandas.Series(Y[:, 0])
    grid = pandas.DataFrame({"rate": [0.1, 0.2]})
    options = {"seed": 0, "epochs": 2, "batch_size": 7, "backend": "numpy"}
    wanted = train_many(NETWORK, X, Y, learning_rate=[0.1, 0.2], **options)
    for frames in ((X_frame, Y_frame), ([X_frame, X_frame], [Y_frame, Y_frame])):
        found = train_many(NETWORK, *frames, learning_rate=grid["rate"], **options)
        assert found.params.tobytes() == wanted.params.tobytes()


def test_what_a_sequence_makes_anew_is_each_members_own(backend):
    alphas = range(300, 340)
    options = {"seed": [0] * 40, "epochs": 1, "batch_size": 7, "backend": backend}
    found, wanted = (
        train_many(NETWORK, X, Y, alpha=each, **options) for each in (alphas, [*alphas])
    )
    assert found.params.tobytes() == wanted.params.tobytes()
    assert len(np.unique(found.params, axis=0)) == len(alphas)


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


@pytest.mark.parametrize(
    ("error", "options", "text"),
    [
        *((ValueError, *case) for case in OF_VALUES),
        *((TypeError, *case) for case in OF_TYPES),
        (
            MemoryError,
            {"X": [X, np.broadcast_to(np.float32(0), (10**13, 3))]},
            r"^member 1: .*Unable to allocate",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(error, options, text):
    with pytest.raises(error, match=text):
        train_many(
            **{"networks": NETWORK, "X": X, "Y": Y, "epochs": 1, "backend": Idle()} | options
        )


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
    own = np.random.RandomState(bad[0])
    for seed in bad[0], own:
        with pytest.raises(
            ValueError, match=f"^member {len(good)}: sample_weight is 0 for all rows"
        ):
            train_many(NETWORK, X, Y, seed=[*good, seed], **options | {"epochs": 1})
    assert own.randint(2**30) == np.random.RandomState(bad[0]).randint(2**30)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 10**7}, "about"),
        ({"seed": range(10**12)}, "about"),
        ({"epochs": [10**9] * 99}, "more than"),
    ],
)
def test_too_many_members_are_refused_before_they_are_made(options, said, monkeypatch):
    made = []
    right = members.MemberChecks.member
    monkeypatch.setattr(members, "memory", lambda: 10**10)
    monkeypatch.setattr(
        members.MemberChecks, "member", lambda *values: made.append(values) or right(*values)
    )
    with pytest.raises(
        MemoryError, match=rf"members take {said} [\d,]+ bytes, this machine has 10,000,000,000"
    ):
        train_many(
            **{"networks": NETWORK, "X": X, "Y": Y, "epochs": 100, "backend": Idle()} | options
        )
    assert len(made) <= 4


def test_epochs_that_stop_rules_may_leave_out_take_no_memory():
    stop = Stop(patience=1)
    many = train_many(
        NETWORK, X, Y, n=3, epochs=10**12, optimizer=SGD(0.0), stop=stop, backend="numpy"
    )
    assert many.stop_reason.tolist() == ["tolerance"] * 3
