"""MLPClassifier and MLPRegressor: scikit-learn's contract, its other estimators, and fastnn's own additions."""

import copy
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn")

import joblib
import scipy.sparse
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastnn
import fastnn.estimators.adapter
from fastnn import MLPClassifier, MLPRegressor

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = (X_IRIS - X_IRIS.mean(axis=0)) / X_IRIS.std(axis=0)
X_DIABETES, Y_DIABETES = load_diabetes(return_X_y=True)
Y_DIABETES = (Y_DIABETES - Y_DIABETES.mean()) / Y_DIABETES.std()
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 20}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:overflow:RuntimeWarning"
)


def both(kind, X, y, *, sample_weight=None, **parameters):
    """Both libraries' estimators, fitted."""
    parameters = {**SMALL, **parameters}
    return [getattr(m, kind)(**parameters).fit(X, y, sample_weight=sample_weight) for m in (fastnn, theirs)]


def weights_of(estimator):
    return estimator.coefs_ + estimator.intercepts_


def assert_same(a, b, tolerance=1e-10):
    assert deviation(weights_of(a), weights_of(b)) < tolerance


# --------------------------------------------------------------------------------------------------------- the contract


CHECKED = {
    "classifier": MLPClassifier(max_iter=100),
    "regressor": MLPRegressor(max_iter=100),
    "decisions": MLPClassifier(max_iter=100, expose_decision_function=True),
    "lbfgs": MLPClassifier(max_iter=20, solver="lbfgs"),
}


def contract():
    """Each check of scikit-learn with an estimator; numbered, since scikit-learn 1.8 has one twice."""
    for name, estimator in CHECKED.items():
        for i, (instance, check) in enumerate(estimator_checks_generator(estimator)):
            yield pytest.param(instance, check, id=f"{name}-{i}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(contract()))
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_signature_begins_as_scikit_learns(kind):
    import inspect

    mine, reference = (inspect.signature(getattr(m, kind)).parameters for m in (fastnn, theirs))
    for a, b in zip(mine.values(), reference.values(), strict=False):
        assert (a.name, a.default, a.kind) == (b.name, b.default, b.kind)
    extras = list(mine.values())[len(reference) :]
    assert all(p.kind == p.KEYWORD_ONLY for p in extras)


def test_importing_fastnn_does_not_import_scikit_learn():
    code = "import sys, fastnn; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_attributes(solver):
    mine, reference = both("MLPClassifier", X_IRIS, Y_IRIS, solver=solver)
    absent = {"_coef_indptr", "_intercept_indptr", "_best_coefs", "_best_intercepts"}  # the last two: early stopping
    assert set(vars(reference)) - set(vars(mine)) <= absent
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert hasattr(mine, name) == hasattr(reference, name)
    assert (mine.t_, mine.n_iter_, mine.n_layers_) == (reference.t_, reference.n_iter_, reference.n_layers_)


def test_optimizer_is_kept():
    mine, reference = both("MLPClassifier", X_IRIS, Y_IRIS, solver="adam", batch_size=32)
    assert mine._optimizer.t == reference._optimizer.t
    np.testing.assert_allclose(mine._optimizer.learning_rate, reference._optimizer.learning_rate, rtol=1e-12)
    assert deviation(mine._optimizer.ms, reference._optimizer.ms) < 1e-10
    assert deviation(mine._optimizer.vs, reference._optimizer.vs) < 1e-10
    mine, reference = both("MLPClassifier", X_IRIS, Y_IRIS, solver="sgd", learning_rate="invscaling")
    np.testing.assert_allclose(mine._optimizer.learning_rate, reference._optimizer.learning_rate, rtol=1e-15)
    assert deviation(mine._optimizer.velocities, reference._optimizer.velocities) < 1e-10


def test_pickle_and_copy():
    fitted = MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    small = len(pickle.dumps(fitted)) - len(pickle.dumps(clone(fitted)))
    assert small < 12 * fitted.coefs_[0].nbytes + 20_000  # no second copy of the weights beyond Adam's moments
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(twin.predict_proba(X_IRIS), fitted.predict_proba(X_IRIS))
        twin.partial_fit(X_IRIS, Y_IRIS)
        assert not np.array_equal(twin.coefs_[0], fitted.coefs_[0])
    assert not hasattr(clone(fitted), "coefs_")
    assert "MLPClassifier" in fitted._repr_html_()


def test_weights_that_the_user_changes_count():
    fitted = MLPRegressor(**SMALL).fit(X_DIABETES, Y_DIABETES)
    fitted.coefs_[1][:] = 0
    fitted.intercepts_ = [fitted.intercepts_[0], np.array([2.5])]
    np.testing.assert_array_equal(fitted.predict(X_DIABETES), 2.5)
    np.testing.assert_array_equal(fitted.predict(X_DIABETES[:1]), 2.5)


# ------------------------------------------------------------------------------------------------- the same as theirs


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True, "max_iter": 60, "warm_start": True},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1, "learning_rate_init": 0.1},
    ],
    ids=["early stopping", "adaptive"],
)
def test_what_is_printed(parameters, capsys):
    printed = []
    for module in (fastnn, theirs):
        module.MLPClassifier(**{**SMALL, **parameters}, verbose=True).fit(X_IRIS, Y_IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Iteration 1, loss = " in printed[0]


def test_warm_start_with_early_stopping_that_never_improves():
    """scikit-learn then returns the last weights, which overwrote the best ones; `fix_defects` the best ones."""
    parameters = {**SMALL, "early_stopping": True, "warm_start": True, "max_iter": 3, "tol": 1.0}
    mine, reference = MLPClassifier(**parameters), theirs.MLPClassifier(**parameters)
    for estimator in (mine, reference):
        estimator.fit(X_IRIS, Y_IRIS)
        estimator.best_validation_score_ = 2.0
        estimator.fit(X_IRIS, Y_IRIS)
    assert_same(mine, reference)
    fixed = MLPClassifier(**parameters, fix_defects=True).fit(X_IRIS, Y_IRIS)
    before = copy.deepcopy(weights_of(fixed))
    fixed.best_validation_score_ = 2.0
    fixed.fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(fixed), before) == 0


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_divergence(kind, early_stopping):
    results = []
    for module in (fastnn, theirs):
        parameters = {**SMALL, "solver": "sgd", "learning_rate_init": 1e150, "early_stopping": early_stopping}
        estimator = getattr(module, kind)(**parameters, batch_size=50, activation="identity")
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator.fit(X_IRIS, Y_IRIS)
                error = None
            except ValueError as raised:
                error = str(raised)
        scores = None if estimator.validation_scores_ is None else np.array(estimator.validation_scores_)
        results.append((error, estimator.n_iter_, np.isnan(estimator.loss_curve_).sum(), scores))
    assert results[0][:2] == results[1][:2]
    np.testing.assert_array_equal(results[0][3], results[1][3])
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        getattr(fastnn, kind)(**{**parameters, "early_stopping": False}, activation="identity", fix_defects=True).fit(
            X_IRIS, Y_IRIS
        )


def test_loss_that_overflows_while_the_weights_do_not():
    X = np.array([[1.0], [2.0]], np.float64)
    mine, reference = both("MLPRegressor", X, np.array([3e154, 0.0]), solver="sgd", hidden_layer_sizes=(), max_iter=5)
    assert np.isinf(mine.loss_curve_).any()
    assert_same(mine, reference)
    np.testing.assert_array_equal(np.isfinite(mine.loss_curve_), np.isfinite(reference.loss_curve_))
    assert (mine.n_iter_, mine._no_improvement_count) == (reference.n_iter_, reference._no_improvement_count)


def test_poisson_with_negative_targets():
    mine, reference = both("MLPRegressor", X_DIABETES, Y_DIABETES, loss="poisson", solver="sgd")
    assert_same(mine, reference)
    assert np.isnan(mine.loss_curve_).all()
    assert np.isnan(reference.loss_curve_).all()
    with pytest.raises(ValueError, match="not negative"):
        MLPRegressor("poisson", **SMALL, fix_defects=True).fit(X_DIABETES, Y_DIABETES)


@pytest.mark.parametrize(
    ("kind", "y", "parameters"),
    [
        ("MLPClassifier", Y_IRIS, {}),
        ("MLPClassifier", Y_IRIS == 1, {"activation": "tanh", "hidden_layer_sizes": (5, 4)}),
        ("MLPRegressor", np.c_[Y_IRIS, -X_IRIS[:, 0]], {"activation": "logistic"}),
        ("MLPRegressor", Y_IRIS.astype(float), {"loss": "poisson"}),
    ],
)
class TestLBFGS:
    def test_objective(self, kind, y, parameters):
        """Objective and gradient equal scikit-learn's at 100 random points."""
        from sklearn.neural_network._multilayer_perceptron import _pack

        mine, reference = both(kind, X_IRIS, y, solver="lbfgs", max_iter=1, **parameters)
        Y = np.asarray(y, float).reshape(len(y), -1)
        if kind == "MLPClassifier":
            Y = mine._binarized(y)
        inputs = mine._fit_inputs(X_IRIS, Y, None, None, self._network(mine), np.zeros(1), False, True)
        sizes = mine._weights_now().sizes
        rng = np.random.RandomState(0)
        grads = [[np.empty_like(p) for p in parts] for parts in (reference.coefs_, reference.intercepts_)]
        for _ in range(100):
            params = rng.standard_normal(sum(p.size for p in weights_of(mine)))
            W, b = inputs.network.weights(params), inputs.network.biases(params)
            loss, gradient = inputs.backend.loss_and_gradient(inputs.network, params, inputs.data, mine.alpha)
            activations, deltas = [X_IRIS] + [None] * (len(sizes) - 1), [None] * (len(sizes) - 1)
            their_loss, their_gradient = reference._loss_grad_lbfgs(
                _pack(W, b), X_IRIS, Y, None, activations, deltas, *grads
            )
            np.testing.assert_allclose(loss, their_loss, rtol=1e-12)
            packed = _pack(inputs.network.weights(gradient), inputs.network.biases(gradient))
            assert deviation([packed], [their_gradient]) < 1e-12

    @staticmethod
    def _network(mlp):
        from fastnn.estimators.constraints import network_of

        return network_of(mlp._weights_now().sizes, mlp._activation(), mlp.out_activation_, mlp.loss)

    @pytest.mark.parametrize("n_iterations", [1, 2, 3, 4, 5])
    def test_first_iterates(self, kind, y, parameters, n_iterations):
        mine, reference = both(kind, X_IRIS, y, solver="lbfgs", **parameters | {"max_iter": n_iterations})
        assert_same(mine, reference, 1e-8)
        assert mine.n_iter_ == reference.n_iter_
        np.testing.assert_allclose(mine.loss_, reference.loss_, rtol=1e-10)

    def test_final_loss(self, kind, y, parameters):
        """On X moved by an ULP, half of five runs end not above the worst of five of scikit-learn's.

        L-BFGS amplifies rounding, so neither reproduces itself: of six runs that differ by chance alone, any given one
        is the worst one time in six, on one BLAS or another. Hence the median.
        """
        parameters = {**SMALL, **parameters, "solver": "lbfgs", "max_iter": 100}
        losses = {}
        for module in (fastnn, theirs):
            losses[module] = []
            for seed in range(5):
                moved = np.nextafter(X_IRIS, np.random.RandomState(seed).choice([-np.inf, np.inf], X_IRIS.shape))
                losses[module].append(getattr(module, kind)(**parameters).fit(moved, y).loss_)
        assert np.median(losses[fastnn]) <= max(losses[theirs]) * (1 + 1e-6)


def test_lbfgs_float32():
    X = X_IRIS.astype(np.float32)
    mine, reference = both("MLPClassifier", X, Y_IRIS, solver="lbfgs", max_iter=5)
    assert_same(mine, reference, 1e-5)
    assert mine.coefs_[0].dtype == reference.coefs_[0].dtype == np.float64
    fixed = MLPClassifier(**{**SMALL, "solver": "lbfgs"}, fix_defects=True).fit(X, Y_IRIS)
    assert fixed.coefs_[0].dtype == np.float32
    assert fixed.predict_proba(X).dtype == np.float32


def test_lbfgs_warns_in_the_same_words():
    texts = []
    for module in (fastnn, theirs):
        with pytest.warns(ConvergenceWarning) as caught:
            module.MLPClassifier(**{**SMALL, "solver": "lbfgs", "max_iter": 3}).fit(X_IRIS, Y_IRIS)
        texts.append([str(w.message) for w in caught])
    assert texts[0] == texts[1]


def test_partial_fit_of_a_regressor_with_lbfgs():
    mine, reference = (m.MLPRegressor(**{**SMALL, "solver": "lbfgs", "max_iter": 3}) for m in (fastnn, theirs))
    for estimator in (mine, reference):
        estimator.partial_fit(X_DIABETES, Y_DIABETES)
    assert_same(mine, reference, 1e-8)
    assert not hasattr(MLPRegressor(solver="lbfgs", fix_defects=True), "partial_fit")
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_stays(dtype):
    mine, reference = both("MLPClassifier", X_IRIS.astype(dtype), Y_IRIS)
    assert mine.coefs_[0].dtype == mine.predict_proba(X_IRIS.astype(dtype)).dtype == dtype
    assert_same(mine, reference, 1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.filterwarnings("error")
def test_filters_for_scikit_learns_module_work():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": -1},
        {"hidden_layer_sizes": (3, 0)},
        {"hidden_layer_sizes": -1},
        {"learning_rate": "fast"},
        {"batch_size": 0},
        {"momentum": 2},
        {"early_stopping": True, "validation_fraction": 0.001},
        {"early_stopping": True, "validation_fraction": 0.0},
        {"beta_1": 1.0},
    ],
    ids=str,
)
def test_bad_parameters(parameters):
    errors = []
    for module in (fastnn, theirs):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            module.MLPClassifier(**{**SMALL, **parameters}).fit(X_IRIS, Y_IRIS)
        # word by word, since scikit-learn lists the legal names in the order of a set
        errors.append((type(caught.value), sorted(re.findall(r"\w+", str(caught.value)))))
    assert errors[0] == errors[1]


def test_bad_data():
    for X, y in (
        (X_IRIS[:10], Y_IRIS),
        (X_IRIS[:, 0], Y_IRIS),
        (np.full_like(X_IRIS, np.nan), Y_IRIS),
        (X_IRIS, np.arange(150) + 0.5),
    ):
        errors = []
        for module in (fastnn, theirs):
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                module.MLPClassifier(**SMALL).fit(X, y)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    fitted = MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    for rows in (1, 5):
        with pytest.raises(ValueError, match="NaN"):
            fitted.predict(np.full((rows, 4), np.nan))
        with pytest.raises(ValueError, match="infinity"):
            fitted.predict(np.full((rows, 4), np.inf))
    with pytest.raises(ValueError, match="4 features"):
        fitted.predict(np.zeros((2, 3)))
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X_IRIS)
    with pytest.raises(ValueError, match="Negative"):
        MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS, sample_weight=np.full(150, -1.0))


def test_sizes_given_first_to_the_regressor():
    with pytest.raises(ValueError, match=r"did you mean hidden_layer_sizes=\(4,\)\?"):
        MLPRegressor((4,)).fit(X_DIABETES, Y_DIABETES)


def test_batch_of_zero_weights_is_skipped():
    weight = np.r_[np.zeros(50), np.ones(100)]
    parameters = {**SMALL, "batch_size": 50, "shuffle": False}
    with pytest.raises(ZeroDivisionError):
        theirs.MLPClassifier(**parameters).fit(X_IRIS, Y_IRIS, sample_weight=weight)
    MLPClassifier(**parameters).fit(X_IRIS, Y_IRIS, sample_weight=weight)


# ------------------------------------------------------------------------------------------------------ sparse, memory


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.csr_array])
@pytest.mark.parametrize("dense_rows", [10**6, 70, 8])
def test_sparse(monkeypatch, solver, container, dense_rows):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    parameters = {**SMALL, "solver": solver, "batch_size": 50, "max_iter": 4}
    dense = MLPClassifier(**parameters).fit(X, y)
    monkeypatch.setattr(fastnn.estimators.adapter, "DENSE_BYTES", dense_rows * 64 * 8)
    sparse = MLPClassifier(**parameters).fit(container(X), y)
    assert_same(sparse, dense)
    np.testing.assert_allclose(sparse.predict_proba(container(X)), dense.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(
        getattr(sparse, "loss_curve_", sparse.loss_), getattr(dense, "loss_curve_", dense.loss_), rtol=1e-12
    )


def test_sparse_several_outputs_early_stopping(monkeypatch):
    monkeypatch.setattr(fastnn.estimators.adapter, "DENSE_BYTES", 20 * 4 * 8)
    y = np.c_[Y_IRIS, -Y_IRIS].astype(float)
    mine = MLPRegressor(**SMALL, early_stopping=True, batch_size=30).fit(scipy.sparse.csr_matrix(X_IRIS), y)
    reference = theirs.MLPRegressor(**SMALL, early_stopping=True, batch_size=30).fit(X_IRIS, y)
    assert_same(mine, reference)
    np.testing.assert_allclose(mine.loss_curve_, reference.loss_curve_, rtol=1e-12)


def test_read_only_memory_map(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X_IRIS)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    seen = []
    original = fastnn.estimators.adapter.Adapter.train_steps

    def spy(self, task, state, steps):
        seen.append(np.shares_memory(task.data.X, X))
        return original(self, task, state, steps)

    monkeypatch.setattr(fastnn.estimators.adapter.Adapter, "train_steps", spy)
    MLPClassifier(**SMALL, early_stopping=True).fit(X, Y_IRIS)
    assert seen
    assert all(seen)


# ------------------------------------------------------------------------------------------ scikit-learn's other parts


def test_in_other_estimators():
    parameters = {**SMALL, "max_iter": 15}
    results = []
    for module in (fastnn, theirs):
        mlp = module.MLPClassifier(**parameters)
        pipe = make_pipeline(StandardScaler(), mlp)
        grid = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3, n_jobs=2).fit(X_IRIS, Y_IRIS)
        results.append(
            np.concatenate(
                [
                    grid.cv_results_["mean_test_score"],
                    cross_val_score(pipe, X_IRIS, Y_IRIS, cv=3),
                    BaggingClassifier(mlp, 3, random_state=0).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).ravel(),
                    CalibratedClassifierCV(mlp, cv=3).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).ravel(),
                    permutation_importance(
                        clone(mlp).fit(X_IRIS, Y_IRIS), X_IRIS, Y_IRIS, n_repeats=2, random_state=0
                    ).importances.ravel(),
                ]
            )
        )
    np.testing.assert_allclose(results[0], results[1], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("way", ["loky", "threading"])
def test_joblib(way):
    alone = [MLPClassifier(**{**SMALL, "random_state": seed}).fit(X_IRIS, Y_IRIS) for seed in range(3)]
    with joblib.parallel_config(backend=way, n_jobs=2):
        jobs = (
            joblib.delayed(MLPClassifier(**{**SMALL, "random_state": seed}).fit)(X_IRIS, Y_IRIS) for seed in range(3)
        )
        together = joblib.Parallel()(jobs)
    for a, b in zip(alone, together, strict=True):
        assert deviation(weights_of(b), weights_of(a)) == 0


def test_metadata_routing():
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**SMALL).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mlp)
        weight = np.linspace(0.5, 2, 150)
        pipe.fit(X_IRIS, Y_IRIS, sample_weight=weight)
        weighted = pipe[-1].coefs_[0]
    plain = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(X_IRIS, Y_IRIS)[-1].coefs_[0]
    assert not np.array_equal(weighted, plain)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    mlp = MLPClassifier(**{**SMALL, "solver": solver, "max_iter": 6}).set_callbacks(monitor)
    mlp.fit(X_IRIS, Y_IRIS)
    log = monitor.get_logs()
    scores = [entry["accuracy"] for entry in log.data if "accuracy" in entry] if hasattr(log, "data") else log
    assert len(scores) >= 6
    plain = MLPClassifier(**{**SMALL, "solver": solver, "max_iter": 6}).fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(mlp), weights_of(plain)) == 0


def test_progress_bar_of_scikit_learn(capsys):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    pytest.importorskip("rich", reason="scikit-learn's progress bar is rich's")
    mlp = MLPClassifier(**{**SMALL, "max_iter": 6}).set_callbacks(callback.ProgressBar()).fit(X_IRIS, Y_IRIS)
    assert "100%" in capsys.readouterr().out
    plain = MLPClassifier(**{**SMALL, "max_iter": 6}).fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(mlp), weights_of(plain)) == 0


# ------------------------------------------------------------------------------------------------------ fastnn's own


def test_a_back_end_of_ones_own_learns_several_outputs():
    class Own:
        """A back end with nothing but what the interface asks for."""

        name = "own"

        def __init__(self):
            self.inner = fastnn.get_backend("numpy")

        def supports(self, network, optimizer):
            return self.inner.supports(network, optimizer)

        def predict(self, network, params, X):
            return self.inner.predict(network, params, X)

        def loss_and_gradient(self, network, params, data, alpha):
            return self.inner.loss_and_gradient(network, params, data, alpha)

        def train_steps(self, task, state, steps):
            return self.inner.train_steps(task, state, steps)

    Y = np.column_stack([Y_DIABETES, -Y_DIABETES, Y_DIABETES**2])
    reference = theirs.MLPRegressor(**SMALL, alpha=0.1).fit(X_DIABETES, Y)
    mine = MLPRegressor(**SMALL, alpha=0.1, backend=Own()).fit(X_DIABETES, Y)
    assert_same(mine, reference)
    np.testing.assert_allclose(mine.loss_curve_, reference.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "selu", "softplus", "silu", "gelu", ("tanh", "gelu")])
def test_further_activations(activation, backend):
    sizes = (8, 8) if isinstance(activation, tuple) else (8,)
    mlp = MLPClassifier(sizes, activation, random_state=0, max_iter=150, learning_rate_init=0.01, backend=backend)
    assert mlp.fit(X_IRIS, Y_IRIS).score(X_IRIS, Y_IRIS) > 0.95
    assert mlp.predict(X_IRIS[:1]) == mlp.predict(X_IRIS)[0]


def test_activation_for_each_layer_equals_one_for_all():
    one, each = (MLPClassifier((5, 4), a, random_state=0, max_iter=10) for a in ("logistic", ("logistic", "logistic")))
    assert deviation(weights_of(each.fit(X_IRIS, Y_IRIS)), weights_of(one.fit(X_IRIS, Y_IRIS))) == 0
    with pytest.raises(ValueError, match="2 hidden layers"):
        MLPClassifier((5, 4), ("tanh",)).fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_further_losses(loss):
    y = Y_DIABETES.copy()
    y[::20] += 30  # outliers
    parameters = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 100, "learning_rate_init": 0.01}
    robust, squared = MLPRegressor(loss, **parameters), MLPRegressor(**parameters)
    inliers = np.arange(len(y)) % 20 != 0
    errors = [abs(m.fit(X_DIABETES, y).predict(X_DIABETES) - y)[inliers].mean() for m in (robust, squared)]
    assert errors[0] < errors[1]
    mlp = MLPClassifier((8,), random_state=0, loss="squared_error", max_iter=200, learning_rate_init=0.01)
    assert mlp.fit(X_IRIS, Y_IRIS).score(X_IRIS, Y_IRIS) > 0.95


def test_rprop():
    mlp = MLPClassifier((8,), random_state=0, solver="rprop", max_iter=100).fit(X_IRIS, Y_IRIS)
    assert mlp.score(X_IRIS, Y_IRIS) > 0.95
    with pytest.raises(ValueError, match="full batches"):
        MLPClassifier((8,), solver="rprop", batch_size=10).fit(X_IRIS, Y_IRIS)


def test_class_weight():
    rare = np.r_[np.arange(60), np.arange(100, 110)]
    X, y = X_IRIS[rare], (rare >= 100).astype(int)
    by_class = MLPClassifier(**SMALL, class_weight="balanced").fit(X, y)
    by_row = MLPClassifier(**SMALL).fit(X, y, sample_weight=np.where(y, 70 / 20, 70 / 120))
    assert_same(by_class, by_row)
    by_dict = MLPClassifier(**SMALL, class_weight={0: 70 / 120, 1: 70 / 20}).fit(X, y)
    assert_same(by_class, by_dict)
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_validation_data(solver):
    train, rest = np.arange(0, 150, 2), np.arange(1, 150, 2)
    given = X_IRIS[rest], Y_IRIS[rest]
    mlp = MLPClassifier(**{**SMALL, "solver": solver}).fit(X_IRIS[train], Y_IRIS[train], validation_data=given)
    assert len(mlp.validation_loss_curve_) == mlp.n_iter_
    p = mlp.predict_proba(X_IRIS[rest])[np.arange(75), Y_IRIS[rest]]
    np.testing.assert_allclose(mlp.validation_loss_curve_[-1], -np.log(p).mean(), rtol=1e-10)
    if solver == "adam":
        mlp = MLPClassifier(**SMALL, early_stopping=True).fit(X_IRIS[train], Y_IRIS[train], validation_data=given)
        assert mlp.best_validation_score_ == mlp.score(*given)
    with pytest.raises(ValueError, match="classes"):
        mlp.fit(X_IRIS[train], Y_IRIS[train], validation_data=(X_IRIS[rest], Y_IRIS[rest] + 1))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_max_time(solver):
    X, y = load_breast_cancer(return_X_y=True)
    mlp = MLPClassifier((50,), solver=solver, max_iter=10**6, tol=0, n_iter_no_change=np.inf, max_time=0.2)
    mlp.fit(StandardScaler().fit_transform(X), y)
    assert mlp.stop_reason_ in ({"time"} if solver == "adam" else {"time", "converged"})
    assert 0 < mlp.n_iter_ < 10**6


def test_stop_reason():
    assert MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS).stop_reason_ == "epochs"
    assert MLPClassifier(**SMALL, tol=10, n_iter_no_change=2).fit(X_IRIS, Y_IRIS).stop_reason_ == "tolerance"
    stopped = MLPClassifier(**SMALL, tol=10, n_iter_no_change=2, early_stopping=True).fit(X_IRIS, Y_IRIS)
    assert stopped.stop_reason_ == "validation"


def test_initial_weights():
    first = MLPClassifier(**{**SMALL, "max_iter": 1}).fit(X_IRIS, Y_IRIS)
    drawn = {"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}
    mlp = MLPClassifier(**{**SMALL, "max_iter": 1, "learning_rate_init": 1e-30}, **drawn).fit(X_IRIS, Y_IRIS)
    assert_same(mlp, first, 1e-15)
    with pytest.raises(ValueError, match="coefs_init"):
        MLPClassifier(**SMALL, coefs_init=first.coefs_[:1]).fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("y", [Y_IRIS, Y_IRIS == 1], ids=["multiclass", "binary"])
def test_decision_function(y):
    mlp = MLPClassifier(**SMALL, expose_decision_function=True).fit(X_IRIS, y)
    z = mlp.decision_function(X_IRIS)
    if z.ndim == 1:
        np.testing.assert_allclose(1 / (1 + np.exp(-z)), mlp.predict_proba(X_IRIS)[:, 1])
    else:
        np.testing.assert_array_equal(mlp.classes_[z.argmax(axis=1)], mlp.predict(X_IRIS))
    assert not hasattr(MLPClassifier().fit(X_IRIS, y), "decision_function")


def test_from_and_to_scikit_learn():
    reference = theirs.MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    mine = MLPClassifier.from_sklearn(reference, backend="numpy")
    np.testing.assert_allclose(mine.predict_proba(X_IRIS), reference.predict_proba(X_IRIS), rtol=1e-12)
    assert mine.backend == "numpy"
    back = mine.to_sklearn()
    assert type(back) is theirs.MLPClassifier
    np.testing.assert_array_equal(back.predict_proba(X_IRIS), reference.predict_proba(X_IRIS))
    assert not hasattr(MLPRegressor.from_sklearn(theirs.MLPRegressor()), "coefs_")
    with pytest.raises(ValueError, match="gelu"):
        MLPClassifier(activation="gelu").to_sklearn()
    with pytest.raises(TypeError, match="MLPRegressor"):
        MLPRegressor.from_sklearn(reference)


def test_fix_defects():
    y = np.c_[Y_DIABETES, Y_DIABETES]
    fixed = MLPRegressor(**SMALL, fix_defects=True, alpha=0).fit(X_DIABETES, y)
    plain = MLPRegressor(**SMALL, alpha=0).fit(X_DIABETES, y)
    np.testing.assert_allclose(np.array(fixed.loss_curve_), 2 * np.array(plain.loss_curve_), rtol=1e-12)


def test_fix_defects_stratifies_many_classes(monkeypatch):
    import fastnn.estimators.base as base

    stratified = []
    split = base.train_test_split
    monkeypatch.setattr(base, "train_test_split", lambda *a, **k: stratified.append(k["stratify"]) or split(*a, **k))
    for fix in (False, True):
        MLPClassifier(**SMALL, fix_defects=fix, early_stopping=True).fit(X_IRIS, Y_IRIS)
    assert stratified[0] is None
    np.testing.assert_array_equal(stratified[1], Y_IRIS)


def test_one_row_says_what_many_rows_say():
    for activation in ("relu", "tanh", "logistic", "identity", "gelu"):
        for y in (Y_IRIS, Y_IRIS == 1):
            mlp = MLPClassifier((5, 4), activation, random_state=0, max_iter=5).fit(X_IRIS, y)
            rows = np.concatenate([mlp.predict_proba(X_IRIS[i : i + 1]) for i in range(150)])
            np.testing.assert_allclose(rows, mlp.predict_proba(X_IRIS), rtol=1e-12, atol=1e-15)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to itself")
def test_ctrl_c():
    import os
    import signal
    import threading

    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    mlp = MLPClassifier((5,), random_state=0, max_iter=10**7, tol=0, n_iter_no_change=np.inf)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        mlp.fit(X_IRIS, Y_IRIS)
    assert mlp.stop_reason_ == "interrupted"
    assert mlp.predict(X_IRIS).shape == (150,)
