"""The benchmarks are imported from the project's root, their examples from their folder.

They need scikit-learn.
"""

import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

if not all(map(importlib.util.find_spec, ("sklearn", "matplotlib", "joblib"))):
    collect_ignore_glob = ["test_*.py"]
