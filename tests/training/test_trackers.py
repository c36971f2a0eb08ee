"""The recipes for TensorBoard and MLflow: what they call of the libraries, which take it where they are installed."""

import inspect
import operator
import sys
import types
from unittest import mock

import pytest
from pages import blocks

NAMES = ["loss", "validation_loss", "learning_rate"]


def test_the_page(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    writer, mlflow, namespace = mock.Mock(), mock.MagicMock(), {}
    modules = {"tensorboard": types.ModuleType("tensorboard"), "tensorboard.summary": mock.Mock(Writer=writer)}
    for name, module in (modules | {"mlflow": mlflow}).items():
        monkeypatch.setitem(sys.modules, name, module)
    for code, _ in blocks("docs/howto/trackers.md"):
        exec(code, namespace)
    columns = namespace["result"].history.to_dict()
    rows = {epoch: {name: columns[name][epoch - 1] for name in NAMES} for epoch in range(5, 61, 5)}
    scalars = [mock.call().add_scalar(name, row[name], epoch) for epoch, row in rows.items() for name in NAMES]
    assert writer.mock_calls == [mock.call("runs/first"), *scalars, mock.call().close()]
    begin, enter, params, *metrics, artifact, end = mlflow.mock_calls
    assert [begin, enter] == [mock.call.start_run(), mock.call.start_run().__enter__()]
    assert metrics == [mock.call.log_metrics(row, step=epoch) for epoch, row in rows.items()]
    assert (params[1][0]["seed"], end) == (0, mock.call.start_run().__exit__(None, None, None))
    assert (tmp_path / artifact[1][0]).exists()


@pytest.mark.parametrize(
    ("module", "calls"),
    [
        ("tensorboard.summary", {"Writer": [""], "Writer.add_scalar": [None, "", 1.0, 1], "Writer.close": [None]}),
        ("mlflow", {"start_run": [], "log_params": [{}], "log_metrics": [{}, 1], "log_artifact": [""]}),
    ],
)
def test_the_libraries_take_what_the_page_gives(module, calls):
    library = pytest.importorskip(module, reason=f"needs {module.partition('.')[0]}")
    for name, given in calls.items():
        inspect.signature(operator.attrgetter(name)(library)).bind(*given)
