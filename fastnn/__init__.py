"""fastnn trains small neural networks on a CPU: a NumPy reference and a fused Numba kernel behind one interface."""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import TYPE_CHECKING, Any

from fastnn._version import __version__ as __version__

if TYPE_CHECKING:
    from fastnn import workloads
    from fastnn.backends import Backend, TrainingState, get_backend, register_backend
    from fastnn.errors import DivergenceError, FastnnError, InterruptWarning, ModelFileError, TrainingInterrupted
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.network import Network
    from fastnn.optimizers import RPROP, SGD, Adam, AdamW, RMSprop
    from fastnn.schedules import constant, cosine, exponential, step_decay
    from fastnn.storage import load
    from fastnn.training import History, Stop, TrainingResult, loss_and_gradient, predict, train

_HOME = {
    "Network": "network",
    **dict.fromkeys(("SGD", "Adam", "AdamW", "RMSprop", "RPROP"), "optimizers"),
    **dict.fromkeys(("constant", "step_decay", "exponential", "cosine"), "schedules"),
    **dict.fromkeys(("train", "predict", "loss_and_gradient", "Stop", "TrainingResult", "History"), "training"),
    "load": "storage",
    **dict.fromkeys(("Backend", "TrainingState", "get_backend", "register_backend"), "backends"),
    **dict.fromkeys(("MLPClassifier", "MLPRegressor"), "estimators"),
    **dict.fromkeys(("FastnnError", "DivergenceError", "ModelFileError"), "errors"),
    **dict.fromkeys(("InterruptWarning", "TrainingInterrupted"), "errors"),
}
"""The module of each public name; it is imported when the name is first used."""

_NEEDS_SCIKIT_LEARN = {name for name, home in _HOME.items() if home == "estimators"}

__all__ = [*(name for name in _HOME if name not in _NEEDS_SCIKIT_LEARN), "workloads"]  # noqa: PLE0604


def _look_for_another_owner() -> None:
    """Warn where the folder belongs to a distribution called fastnn too, which is another project's."""
    with contextlib.suppress(OSError):
        for name in os.listdir(os.path.dirname(os.path.dirname(__file__))):
            if name.startswith("fastnn-") and name.endswith((".dist-info", ".egg-info")):
                importlib.import_module("fastnn.installed").warn_of_another_owner(name)


_look_for_another_owner()


def __getattr__(name: str) -> Any:
    if name == "workloads":
        return importlib.import_module("fastnn.workloads")
    if name not in _HOME:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastnn.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *__all__})
