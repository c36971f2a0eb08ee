"""The installed distribution: its extras, and a warning where another project's files lie in its folder.

The package index knows another project under the name fastnn, and its distribution owns a folder ``fastnn`` as well.
"""

from __future__ import annotations

import os
import sys
import warnings

DISTRIBUTION = "fastnn-numba"
"""The name by which pip knows fastnn."""

FOLDER = os.path.dirname(os.path.dirname(__file__))

REMEDY = f"python -m pip uninstall fastnn {DISTRIBUTION}, and then install {DISTRIBUTION} again"

if not hasattr(sys.modules["fastnn"], "_homes"):
    found = f"__init__.py in {FOLDER} is missing, or it is that of another project's distribution, fastnn"
    raise ImportError(f"{found}: {REMEDY}", name="fastnn")

EXTRAS = {
    "click": "cli",
    "joblib": "many",
    "matplotlib": "cli",
    "onnx": "onnx",
    "rich": "cli",
    "scikit-learn": "sklearn",
    "sklearn": "sklearn",
    "typer": "cli",
}
"""{package: the extra that brings it}."""


def missing_package(package: str, needs: str = "this needs") -> ImportError:
    """Return an ImportError that says how to install a package, by its extra if it has one; `needs` begins the text."""
    hint = "python -m pip install " + (f'"{DISTRIBUTION}[{EXTRAS[package]}]"' if package in EXTRAS else package)
    return ImportError(f"{needs} {package}, which is not installed: {hint}", name=package)


def warn_of_another_owner(metadata: str) -> None:
    """Warn if the distribution with the folder `metadata`, another project's, owns the package's folder as well."""
    warnings.warn(
        f"{FOLDER} belongs to {DISTRIBUTION} and to the distribution fastnn ({metadata} lies beside it), which is "
        f"another project's or version 0.1 of this one: {REMEDY}",
        stacklevel=4,  # the line that imports fastnn
    )
