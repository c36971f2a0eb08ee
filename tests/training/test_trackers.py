"""The recipes for TensorBoard and MLflow, with stand-ins for what they call, which are as the libraries' own."""

import contextlib
import inspect
import sys
import types

import pytest
from pages import blocks

NAMES = ["loss", "validation_loss", "learning_rate"]


class Writer:
    """That of tensorboard.summary."""

    written, path = [], None

    def __init__(self, output):
        Writer.path = output

    def add_scalar(self, tag, data, step):
        self.written.append((tag, data, step))

    def close(self):
        self.written.append("closed")


class Runs:
    """The functions of mlflow."""

    def __init__(self):
        self.logged, self.is_running = [], False

    @contextlib.contextmanager
    def start_run(self):
        self.is_running = True
        yield
        self.is_running = False

    def log_params(self, params):
        self.logged.append(params)

    def log_metrics(self, metrics, step):
        assert self.is_running
        self.logged.append((step, *metrics.items()))

    def log_artifact(self, local_path):
        self.logged.append(local_path)


def test_the_page(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    runs, namespace = Runs(), {}
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", types.SimpleNamespace(Writer=Writer))
    monkeypatch.setitem(sys.modules, "mlflow", runs)
    for code, _ in blocks("docs/howto/trackers.md"):
        exec(code, namespace)
    columns = namespace["result"].history.to_dict()
    wanted = [(name, columns[name][epoch - 1], epoch) for epoch in range(5, 61, 5) for name in NAMES]
    assert Writer.written == [*wanted, "closed"]
    assert Writer.path == "runs/first"
    params, *metrics, artifact = runs.logged
    assert metrics == [(e, *((name, columns[name][e - 1]) for name in NAMES)) for e in range(5, 61, 5)]
    assert (params["seed"], runs.is_running) == (0, False)
    assert (tmp_path / artifact).exists()


@pytest.mark.parametrize(("module", "ours"), [("tensorboard.summary", Writer), ("mlflow", Runs)])
def test_the_libraries_take_what_the_stand_ins_take(module, ours):
    library = pytest.importorskip(module, reason=f"needs {module.partition('.')[0]}")
    theirs = library.Writer if ours is Writer else library
    for name, method in inspect.getmembers(ours, inspect.isfunction):
        if not name.startswith("_"):
            names = [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
            known = inspect.signature(getattr(theirs, name)).parameters
            assert set(names) <= set(known)
