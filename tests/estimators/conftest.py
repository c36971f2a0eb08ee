"""The tests of estimators need scikit-learn."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("sklearn") else ["*"]
