"""fastnn trains small neural networks on a CPU: a NumPy reference and a fused Numba kernel behind
one interface.

Its public names are listed in ``fastnn/__init__.pyi``; each is imported when it is first used.
``from fastnn import *`` brings all of them but the estimators, with which scikit-learn would be
imported.
"""

import functools
import importlib

__version__ = "0.5.0.dev0"  # written here only; pyproject.toml reads it from here


@functools.cache
def _homes() -> dict[str, str]:
    """Return {public name: the module that defines it}, read from the stub, which type checkers
    read too.
    """
    import ast
    import pkgutil

    stub = ast.parse(pkgutil.get_data("fastnn", "__init__.pyi") or b"")
    imports = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    return {alias.name: str(line.module) for line in imports for alias in line.names}


def _names(estimators: bool) -> list[str]:
    """List the public names, those of the estimators only where asked for."""
    lacking = () if estimators else ("fastnn.estimators", "fastnn.tabular")
    return [
        name
        for name, home in _homes().items()
        if not (home.startswith(lacking) or name.startswith("_"))
    ]


def __getattr__(name: str) -> object:
    if name == "__all__":
        return _names(estimators=False)
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module 'fastnn' has no attribute {name!r:.200}")
    home = _homes()[name]
    try:
        value = vars(importlib.import_module(home)).get(name)
    except ImportError as error:
        if not f"{error.name}".startswith("fastnn"):
            raise
        raise ImportError(
            f"{error}: files of fastnn-numba are missing. The distribution fastnn, another "
            "project's or version 0.1 of this one, has the same folder, and may have replaced or "
            "removed them: python -m pip uninstall fastnn fastnn-numba, and then install "
            "fastnn-numba again",
            name=error.name,
        ) from error
    if value is None:  # a module
        value = importlib.import_module(f"{home}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    import importlib.util

    return sorted(_names(estimators=importlib.util.find_spec("sklearn") is not None))
