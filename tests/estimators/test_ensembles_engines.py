"""The ensembles on joblib's engines: one warning for all members, killed workers, clear errors."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import signal
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
from clusters import KilledOnce
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPEnsembleClassifier
from fastnn.many import engine

X, Y = load_iris(return_X_y=True)
SHORT = {"hidden_layer_sizes": (3,), "max_iter": 3}
WHERE = ["serial", "threads", "loky"]


def place(where):
    return joblib.parallel_config("loky", n_jobs=2) if where == "loky" else contextlib.nullcontext()


def ensemble(where="loky", n_members=4, **options):
    n_jobs = {"serial": 1, "threads": 2, "loky": None}[where]
    return MLPEnsembleClassifier(MLPClassifier(**SHORT | options), n_members, n_jobs=n_jobs, random_state=0)


def fit_alone(model):
    model.fit(X, Y)  # the user's line


def fit_in_a_pipeline(model):
    make_pipeline(StandardScaler(), model).fit(X, Y)  # the user's line


@pytest.mark.parametrize("fit", [fit_alone, fit_in_a_pipeline])
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_one_warning_for_all_members_at_the_users_line(fit, where, solver):
    """With the text of a single fit, and how many members did not converge."""
    with warnings.catch_warnings(record=True) as caught, place(where):
        warnings.simplefilter("always")
        fit(ensemble(where, solver=solver))
    (warning,) = caught
    assert warning.category is ConvergenceWarning
    assert warning.filename == inspect.getsourcefile(fit)
    assert "# the user's line" in linecache.getline(warning.filename, warning.lineno)
    text, _, count = str(warning.message).rpartition("\n")
    assert text.startswith(("Stochastic Optimizer: Maximum iterations (3) reached", "lbfgs failed to converge after 3"))
    assert count == "4 of 4 members did not converge."


@pytest.mark.parametrize("where", WHERE)
def test_a_warning_counts_members(where):
    """Those that converged are none of them; others of other kinds are counted by themselves."""
    limit = 20
    options = {"max_iter": limit, "learning_rate_init": 0.1, "tol": 1e-2, "n_iter_no_change": 2, "batch_size": 500}
    model = ensemble(where, 12, **options)
    with place(where), pytest.warns() as caught:
        model.fit(X, Y)
    left = sum(member.n_iter_ == limit for member in model.estimators_)
    assert 0 < left < 12
    texts = sorted(str(warning.message) for warning in caught)
    assert texts[0].endswith("It is going to be clipped\n12 of 12 members gave this warning.")
    assert texts[1].endswith(f"\n{left} of 12 members did not converge.")
    assert len(texts) == 2


def test_a_warning_that_is_an_error_leaves_the_ensemble_as_it_was():
    model = ensemble("threads")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="4 of 4 members"):
            model.fit(X, Y)
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        assert not hasattr(model, "estimators_")
        model.fit(X, Y)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills otherwise")
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_members_of_a_killed_worker_are_fitted_again(tmp_path):
    """With the same bits."""
    here = ensemble("threads", backend="numpy").fit(X, Y)
    with place("loky"):
        there = ensemble(backend=KilledOnce(str(tmp_path / "killed"), read_only=False)).fit(X, Y)
    assert (tmp_path / "killed").exists()
    assert here.predict_proba(X).tobytes() == there.predict_proba(X).tobytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file system in memory for all users")
def test_rows_of_all_members_go_in_a_file_once(monkeypatch):
    """With the same bits."""
    laid, right = [], engine.files_of
    monkeypatch.setattr(engine, "files_of", lambda *args: laid.append(right(*args)) or laid[-1])
    random = np.random.RandomState(0)
    big, labels = random.rand(5000, 4), random.randint(3, size=5000)
    options = {"max_iter": 1, "batch_size": 500}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        here = ensemble("threads", 2, **options).set_params(sampling="bootstrap").fit(big, labels)
        with place("loky"):
            there = ensemble("loky", 2, **options).set_params(sampling="bootstrap").fit(big, labels)
    assert len(laid[0]) == 2  # X and y; the drawn rows are a member's own
    assert here.predict_proba(big).tobytes() == there.predict_proba(big).tobytes()


def test_workers_with_another_version_are_refused(monkeypatch):
    """Both versions are named, before anything is fitted."""
    monkeypatch.setattr(engine, "__version__", "9.9")
    model = ensemble()
    with place("loky"), pytest.raises(fastnn.EngineError, match=f"{fastnn.__version__}.*9.9"):
        model.fit(X, Y)
    assert not hasattr(model, "estimators_")


class Locked(KilledOnce):
    """A back end that cannot be pickled."""

    def __init__(self):
        super().__init__("")
        self.lock = threading.Lock()

    def __deepcopy__(self, memory):
        return self


def test_what_cannot_be_sent_is_refused():
    with (
        place("loky"),
        pytest.raises(fastnn.EngineError, match=r"cannot train: MLPClassifier\(.* cannot be pickled .*lock"),
    ):
        ensemble(backend=Locked()).fit(X, Y)


# An error makes joblib drop the tasks that are left; rarely, loky's thread then looks for one that is gone (KeyError).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_a_member_is_raised_as_it_is():
    """It is no failure of the engine, and is not tried again."""
    with place("loky"), pytest.raises(ValueError, match=r"`?solver") as error:
        ensemble(solver="none").fit(X, Y)
    assert not isinstance(error.value, fastnn.EngineError)
    with place("loky"), pytest.raises(ValueError, match="NaN"):
        ensemble().fit(np.full((9, 2), np.nan), np.arange(9) % 2)


class TwoArguments(Exception):
    """It hands on one text, and so cannot be made again of its pickle."""

    def __init__(self, step, why):
        super().__init__(f"step {step}: {why}")


class Failing(KilledOnce):
    def train_steps(self, task, state, steps):
        raise TwoArguments(state.t, "sensor gone")


def test_an_error_of_any_class_arrives_at_once(monkeypatch, tmp_path):
    """The workers are not asked again."""
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    with place("loky"), pytest.raises(RuntimeError, match="TwoArguments: step 0: sensor gone"):
        ensemble(backend=Failing(str(tmp_path / "killed"))).fit(X, Y)
