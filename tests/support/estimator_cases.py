"""Random settings for both libraries' MLPs, and what must be equal when both were fitted with
them."""

import dataclasses
import math
import warnings

import numpy as np
import sklearn.neural_network as theirs
from hypothesis import strategies as st
from numpy.random import RandomState
from numpy.testing import assert_allclose, assert_array_equal

import fastnn

ATTRIBUTES = (
    "n_iter_",
    "t_",
    "n_layers_",
    "n_outputs_",
    "n_features_in_",
    "out_activation_",
    "_no_improvement_count",
)
CURVES = ("loss_curve_", "validation_scores_", "loss_", "best_loss_", "best_validation_score_")
# five of classes
TARGETS = ("binary", "text", "multiclass", "multilabel", "one label", "number", "numbers", "counts")


@dataclasses.dataclass
class Case:
    """One setting: data, parameters and what is called."""

    target: str
    n: int
    n_features: int
    seed: int
    calls: tuple  # of "fit" and "partial_fit"
    weighted: str  # "no", "yes", "some zero"
    own_generator: bool  # a RandomState rather than a number
    parameters: dict

    @property
    def is_classifier(self):
        return self.target in TARGETS[:5]

    def data(self):
        """X, y, sample_weight."""
        rng = RandomState(self.seed)
        X = rng.standard_normal((self.n, self.n_features))
        z = np.tanh(X @ rng.standard_normal((self.n_features, 3)))
        z += 0.3 * rng.standard_normal((self.n, 3))
        label = z.argmax(axis=1)
        label[:3] = 0, 1, 2
        y = {
            "binary": label % 2,
            "text": np.array(["ant", "bee"])[label % 2],
            "multiclass": label,
            "multilabel": (z > 0).astype(int),
            "one label": np.full(self.n, 7),
            "number": z[:, 0],
            "numbers": z,
            "counts": rng.poisson(np.exp(z[:, 0])).astype(float),
        }[self.target]
        weight = None if self.weighted == "no" else rng.uniform(0.2, 2, self.n)
        if self.weighted == "some zero":
            weight[rng.uniform(size=self.n) < 0.2] = 0
        return X, y, weight

    def fit(self, module, moved=None, **more):
        """An estimator of `module` after all calls, or its error; with a seed `moved`, of X moved
        by an ULP."""
        X, y, weight = self.data()
        if moved is not None:
            X = np.nextafter(X, RandomState(moved).choice([-np.inf, np.inf], X.shape))
        kind = module.MLPClassifier if self.is_classifier else module.MLPRegressor
        random_state = RandomState(self.seed) if self.own_generator else self.seed
        estimator = kind(**self.parameters, random_state=random_state, **more)
        options = {"fit": {}, "partial_fit": {}}
        if self.is_classifier:
            labels = np.arange(y.shape[1]) if self.target == "multilabel" else np.unique(y)
            options["partial_fit"]["classes"] = labels
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            try:
                for call in self.calls:
                    getattr(estimator, call)(X, y, sample_weight=weight, **options[call])
            except (ValueError, ZeroDivisionError) as error:
                return error
        return estimator


CALLS = [("fit",)] * 6 + [("fit", "fit"), ("partial_fit",) * 3, ("fit", "partial_fit")]


@st.composite
def cases(draw):
    """Any setting for which scikit-learn's result does not hang on rounding."""

    def pick(*options):
        return draw(st.sampled_from(options))

    target = pick(*TARGETS)
    solver = pick("sgd", "adam")
    calls = pick(*CALLS)
    parameters = {
        "solver": solver,
        "hidden_layer_sizes": pick((5,), (8,), 3, (), (7, 4), (17, 3, 2), (1,)),
        "activation": pick("relu", "tanh", "logistic", "identity"),
        "alpha": pick(1e-4, 0, 0.1, 1.0),
        "max_iter": draw(st.integers(1, 40)),
        "tol": pick(1e-4, 1e-2, 0.3),
        "n_iter_no_change": pick(10, 1, 3, math.inf),
        "batch_size": pick("auto", 1, 8, 13, 32, 1000),
        "shuffle": pick(True, True, False),
        "warm_start": calls == ("fit", "fit") or draw(st.booleans()),
        "early_stopping": "partial_fit" not in calls and pick(False, False, True),
        "validation_fraction": pick(0.1, 0.3),
    }
    if solver == "sgd":
        parameters |= {
            "learning_rate_init": pick(0.001, 0.01, 0.05),
            "learning_rate": pick("constant", "invscaling", "adaptive"),
            "power_t": pick(0.5, 0.25, 0),
            "momentum": pick(0.9, 0.5, 0),
            "nesterovs_momentum": draw(st.booleans()),
        }
    else:
        parameters |= {
            "learning_rate_init": pick(0.001, 0.005, 0.01),
            "beta_1": pick(0.9, 0.5, 0),
            "beta_2": pick(0.999, 0.99),
        }
    if target == "counts":
        parameters["loss"] = "poisson"
    return Case(
        target,
        n=draw(st.integers(12, 90)),
        n_features=draw(st.integers(1, 9)),
        seed=draw(st.integers(0, 2**32 - 1)),
        calls=calls,
        weighted=pick("no", "no", "yes", "some zero"),
        own_generator=draw(st.booleans()),
        parameters=parameters,
    )


def weights_of(mlp):
    """The weights of an estimator, layer by layer, and its biases."""
    return mlp.coefs_ + mlp.intercepts_


def deviation(a, b):
    """The distance of two lists of arrays, relative to the norm of the second."""
    a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in (a, b))
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


TOLERANCE = 1e-10  # normwise, of the weights


def moved_deviation(case, reference, values):
    """Return how far `values` of scikit-learn's fits of X moved by an ULP are from those of its
    fit of X, `reference`: the largest deviation of three."""
    moved = [case.fit(theirs, moved=seed) for seed in range(3)]
    return max(deviation(values(mlp), values(reference)) for mlp in moved)


def assert_same_curve(case, mine, reference, name, rtol):
    """Assert that two fits have equal values of attribute `name`: within `rtol`, or, where the
    training amplifies rounding on its way, within ten times what X moved by an ULP changes."""

    def curve(mlp):
        return [getattr(mlp, name)]

    try:
        assert_allclose(*curve(mine), *curve(reference), rtol=rtol, atol=1e-12, err_msg=name)
    except AssertionError:
        apart = deviation(curve(mine), curve(reference))
        if not apart < 10 * moved_deviation(case, reference, curve):
            raise


def compare(case, **more):
    """Fit both and hold one against the other."""
    reference = case.fit(theirs)
    mine = case.fit(fastnn, **more)
    # a batch of zero weights: scikit-learn crashes, fastnn skips it
    if isinstance(reference, ZeroDivisionError):
        assert not isinstance(mine, ZeroDivisionError)
        return
    if isinstance(reference, Exception) or isinstance(mine, Exception):
        assert (type(mine), str(mine)) == (type(reference), str(reference))
        return
    if case.target == "counts" and np.isnan(getattr(reference, "loss_curve_", 0.0)).any():
        # exp underflowed: scikit-learn's loss is 0/0 there, fastnn's is not
        # (docs/howto/scikit-learn.md)
        return
    right = weights_of(reference)
    apart = deviation(weights_of(mine), right)
    # some settings amplify rounding without end: scikit-learn's too, of X moved by an ULP
    if apart >= TOLERANCE:
        assert apart < 10 * moved_deviation(case, reference, weights_of)
        return
    assert [W.shape for W in mine.coefs_] == [W.shape for W in reference.coefs_]
    for name in ATTRIBUTES:
        assert getattr(mine, name, None) == getattr(reference, name, None), name
    for name in CURVES:
        of_mine = getattr(mine, name, None)
        of_theirs = getattr(reference, name, None)
        assert (of_mine is None) == (of_theirs is None), name
        if of_theirs is not None:
            assert_same_curve(case, mine, reference, name, rtol=max(1e-9, 100 * apart))
    X = case.data()[0]
    if case.is_classifier:
        assert_array_equal(mine.predict(X), reference.predict(X), strict=True)
    outputs = "predict_proba" if case.is_classifier else "predict"
    a, b = (getattr(mlp, outputs)(X) for mlp in (mine, reference))
    assert_allclose(a, b, rtol=max(1e-8, 1e3 * apart), atol=1e-10, strict=True)
    draws = [m._random_state.randint(1 << 30) for m in (mine, reference)]
    if case.own_generator:
        assert draws[0] == draws[1], "the generator stands elsewhere"
