"""Random settings for both libraries' MLPs, and what must be equal when both were fitted with
them."""

import dataclasses
import math
import warnings

import numpy as np
import sklearn.neural_network as theirs
from hypothesis import strategies as st

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
        rng = np.random.RandomState(self.seed)
        X = rng.standard_normal((self.n, self.n_features))
        z = np.tanh(X @ rng.standard_normal((self.n_features, 3))) + 0.3 * rng.standard_normal(
            (self.n, 3)
        )
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
            X = np.nextafter(X, np.random.RandomState(moved).choice([-np.inf, np.inf], X.shape))
        kind = module.MLPClassifier if self.is_classifier else module.MLPRegressor
        random_state = np.random.RandomState(self.seed) if self.own_generator else self.seed
        estimator = kind(**self.parameters, random_state=random_state, **more)
        classes = {}
        if self.is_classifier:
            classes = {
                "classes": np.arange(y.shape[1]) if self.target == "multilabel" else np.unique(y)
            }
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            try:
                for call in self.calls:
                    getattr(estimator, call)(
                        X, y, sample_weight=weight, **classes if call == "partial_fit" else {}
                    )
            except (ValueError, ZeroDivisionError) as error:
                return error
        return estimator


@st.composite
def cases(draw, solvers=("sgd", "adam")):
    """Any setting for which scikit-learn's result does not hang on rounding."""
    target = draw(st.sampled_from(TARGETS))
    solver = draw(st.sampled_from(solvers))
    n = draw(st.integers(12, 90))
    calls = draw(
        st.sampled_from(
            [("fit",)] * 6 + [("fit", "fit"), ("partial_fit",) * 3, ("fit", "partial_fit")]
        )
    )
    parameters = {
        "solver": solver,
        "hidden_layer_sizes": draw(st.sampled_from([(5,), (8,), 3, (), (7, 4), (17, 3, 2), (1,)])),
        "activation": draw(st.sampled_from(["relu", "tanh", "logistic", "identity"])),
        "alpha": draw(st.sampled_from([1e-4, 0, 0.1, 1.0])),
        "max_iter": draw(st.integers(1, 40)),
        "tol": draw(st.sampled_from([1e-4, 1e-2, 0.3])),
        "n_iter_no_change": draw(st.sampled_from([10, 1, 3, math.inf])),
        "batch_size": draw(st.sampled_from(["auto", 1, 8, 13, 32, 1000])),
        "shuffle": draw(st.sampled_from([True, True, False])),
        "warm_start": calls == ("fit", "fit") or draw(st.booleans()),
        "learning_rate_init": draw(st.sampled_from([0.001, 0.01, 0.05])),
        "early_stopping": "partial_fit" not in calls
        and draw(st.sampled_from([False, False, True])),
        "validation_fraction": draw(st.sampled_from([0.1, 0.3])),
    }
    if solver == "sgd":
        parameters |= {
            "learning_rate": draw(st.sampled_from(["constant", "invscaling", "adaptive"])),
            "power_t": draw(st.sampled_from([0.5, 0.25, 0])),
            "momentum": draw(st.sampled_from([0.9, 0.5, 0])),
            "nesterovs_momentum": draw(st.booleans()),
        }
    else:
        parameters |= {
            "beta_1": draw(st.sampled_from([0.9, 0.5, 0])),
            "beta_2": draw(st.sampled_from([0.999, 0.99])),
        }
        parameters["learning_rate_init"] = draw(st.sampled_from([0.001, 0.005, 0.01]))
    if target == "counts":
        parameters["loss"] = "poisson"
    weighted = draw(st.sampled_from(["no", "no", "yes", "some zero"]))
    seed = draw(st.integers(0, 2**32 - 1))
    return Case(
        target, n, draw(st.integers(1, 9)), seed, calls, weighted, draw(st.booleans()), parameters
    )


def deviation(a, b):
    """The distance of two lists of arrays, relative to the norm of the second."""
    a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in (a, b))
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


TOLERANCE = 1e-10  # normwise, of the weights


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
    apart = deviation(mine.coefs_ + mine.intercepts_, reference.coefs_ + reference.intercepts_)
    # some settings amplify rounding without end: scikit-learn's too, of X moved by an ULP
    if apart >= TOLERANCE:
        moved = [case.fit(theirs, moved=seed) for seed in range(3)]
        right = reference.coefs_ + reference.intercepts_
        assert apart < 10 * max(deviation(mlp.coefs_ + mlp.intercepts_, right) for mlp in moved)
        return
    assert [W.shape for W in mine.coefs_] == [W.shape for W in reference.coefs_]
    for name in ATTRIBUTES:
        assert getattr(mine, name, None) == getattr(reference, name, None), name
    for name in CURVES:
        of_mine = getattr(mine, name, None)
        of_theirs = getattr(reference, name, None)
        assert (of_mine is None) == (of_theirs is None), name
        if of_theirs is not None:
            np.testing.assert_allclose(
                of_mine, of_theirs, rtol=max(1e-9, 100 * apart), atol=1e-12, err_msg=name
            )
    X = case.data()[0]
    for method in ("predict_proba",) * case.is_classifier + ("predict",):
        a = getattr(mine, method)(X)
        b = getattr(reference, method)(X)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if method == "predict" and case.is_classifier:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=max(1e-8, 1e3 * apart), atol=1e-10)
    draws = [m._random_state.randint(1 << 30) for m in (mine, reference)]
    if case.own_generator:
        assert draws[0] == draws[1], "the generator stands elsewhere"
