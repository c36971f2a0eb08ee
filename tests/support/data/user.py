"""A user's script with every public name, for type checkers and to be run;
`tests/house/test_types.py` does both."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn

X: NDArray[np.float64] = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
OPTIMIZERS: list[fastnn.SGD | fastnn.Adam | fastnn.AdamW | fastnn.RMSprop | fastnn.RPROP] = [
    fastnn.SGD(fastnn.constant(0.1), momentum=0.9),
    fastnn.Adam(fastnn.cosine(0.1, steps=10)),
    fastnn.AdamW(fastnn.exponential(0.1)),
    fastnn.RMSprop(fastnn.step_decay(0.1, every=5)),
    fastnn.SGD(fastnn.warm_up(0.1, steps=5)),
    fastnn.Adam(fastnn.one_cycle(0.1, steps=20)),
    fastnn.RPROP(),
]


def of_second_order(network: fastnn.Network) -> float | None:
    """A warning of the one method is an error, and that of the other is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", fastnn.ScaleWarning)
        method = fastnn.LevenbergMarquardt(goal=1e-3)
        solved: fastnn.TrainingResult = fastnn.train(
            network, X, X[:, 0], optimizer=method, epochs=3, seed=0
        )
        assert solved.n_epochs <= 3
        warnings.simplefilter("ignore", fastnn.FitWarning)
        regularized = fastnn.BayesianRegularization()
        return fastnn.train(network, X, X[:, 0], optimizer=regularized, epochs=3, seed=0).gamma


def look(progress: fastnn.Progress) -> bool:
    return progress.loss < 1e-6


def fit(network: fastnn.Network, backend: fastnn.Backend) -> fastnn.TrainingResult:
    """Train, and go on whatever happens."""
    stop = fastnn.Stop(tol=0.0, patience=3, monitor="r2", reduce=fastnn.ReduceRate(0.5, patience=2))
    each = [fastnn.every(2, look)]
    try:
        return fastnn.train(
            network, X, X[:, 0], epochs=3, seed=0, stop=stop, callbacks=each, backend=backend
        )
    except (fastnn.DivergenceError, fastnn.MonitorError) as error:
        return error.result
    except fastnn.TrainingInterrupted as interrupted:
        return interrupted.result


def save_and_load(result: fastnn.TrainingResult) -> fastnn.TrainingResult | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.npz")
        result.save(path)
        result.resume(X, X[:, 0], epochs=1, callbacks=[fastnn.CsvLogger(Path(folder, "log.csv"))])
        try:
            return fastnn.load(path)
        except fastnn.ModelFileError:
            return None
        except fastnn.FastnnError as error:
            raise SystemExit(str(error)) from error


def estimate() -> tuple[Any, Any]:
    classifier = fastnn.MLPClassifier((3,), solver="lbfgs", random_state=0, tol=1.0)
    regressor = fastnn.MLPRegressor(
        hidden_layer_sizes=(3,), solver="lbfgs", random_state=0, tol=1.0
    )
    labels = [0, 1, 0, 1, 0, 1]
    table = fastnn.TablePreparation().fit(X).transform(X)
    fastnn.TabularClassifier("fast", epochs=1, random_state=0).fit(table, labels).predict_proba(
        table
    )
    fastnn.TabularRegressor("fast", epochs=1, random_state=0).fit(table, X[:, 0]).predict(table)
    return classifier.fit(X, labels).predict(X), regressor.fit(X, X[:, 0]).predict(X)


def watch(progress: fastnn.ManyProgress) -> bool:
    return progress.n_ended > 100


def train_several(network: fastnn.Network) -> fastnn.TrainingResult:
    many: fastnn.ManyResult = fastnn.train_many(
        network, X, X[:, 0], seed=range(3), epochs=2, callbacks=[watch]
    )
    history: fastnn.ManyHistory = many.history
    assert history.loss.shape == (3, 2)
    population = fastnn.Population(network, X, X[:, 0], learning_rate=[0.1, 0.01, 0.001], seed=0)
    population.advance(2)
    population.advance({0: 1, 1: 2})
    population.drop(population.ranking()[2:])
    population.replace(population.members[0], by=population.members[1], learning_rate=0.05)
    scores: dict[int, float] = population.scores()
    best: int = population.best()
    assert (sorted(scores), best) == (population.members, population.ranking()[0])
    found: fastnn.SearchResult = fastnn.search(
        {"alpha": [0.0, 0.1]}, X, X[:, 0], network=network, budget=3, epochs=1
    )
    assert found.best.n_epochs == 1
    return many[many.best()]


DOORS: tuple[Callable[[], None], list[Callable[[Any], fastnn.TrainingResult]]] = (
    fastnn.register_onnx_converters,
    [fastnn.from_torch, fastnn.from_keras],
)
fastnn.register_backend("mine", lambda: fastnn.get_backend("numpy"))
hidden = fastnn.LeakyRelu(0.1), fastnn.Elu(alpha=0.5)


def squares(a: Any, y: Any) -> Any:
    return (a - y) ** 2


def softsign(z: Any) -> Any:
    return z / (1 + abs(z))


custom: fastnn.CustomLoss = fastnn.CustomLoss(squares, low=0)
by_function = fastnn.CustomActivation(softsign)
assert fastnn.Network((2, 4, 1), by_function, loss=custom).loss == custom
assert fastnn.Network((2, 4, 1), softsign, softsign, squares).activation == by_function
assert fastnn.Network([2, 4, 4, 1], [softsign, "tanh"]).output == "identity"
by_functions = (
    fastnn.MLPRegressor(squares, activation=softsign),
    fastnn.MLPClassifier(activation=[softsign]),
    fastnn.TabularRegressor(loss=squares),
)
losses_of = (
    fastnn.Huber(0.1),
    fastnn.Pinball((0.1, 0.9)),
    fastnn.LogLoss(0.1),
    fastnn.CrossEntropy(0.1),
)
assert fastnn.Network((2, 4, 4, 1), activation=hidden, loss=losses_of[0]).n_layers == 3
names: list[str] = [*fastnn.ACTIVATIONS, *fastnn.LOSSES, *fastnn.OPTIMIZERS]
network = fastnn.Network((2, 4, 1), activation="tanh", loss="squared_error")
result = fit(network, fastnn.get_backend("mine"))
state: fastnn.TrainingState = result.state
history: fastnn.History = result.history
losses: NDArray[np.float64] = history.loss
again = save_and_load(result)
assert train_several(network).network == network
assert of_second_order(network) is not None
assert again is not None
assert issubclass(fastnn.InterruptWarning, UserWarning)
assert issubclass(fastnn.EngineError, fastnn.FastnnError)
outputs = fastnn.predict(again.network, again.params, X, backend="numpy")
loss, gradient = fastnn.loss_and_gradient(network, state.params, X, X[:, 0], backend="numpy")
ready = (
    fastnn.workloads.load("seed").network.n_params,
    fastnn.testing.check_backend,
    fastnn.plotting.save,
)
assert outputs.shape == (6, 1)
assert gradient.shape == (network.n_params,)
assert len(names) + len(losses) + len(ready) + len(OPTIMIZERS) + len(estimate()) + loss > 0
assert len(by_functions) == 3
