"""Numba's settings by which it compiles other code, known without importing Numba where it has its defaults."""

from __future__ import annotations

import os
import sys

NUMBAS_DEFAULTS = {
    "DISABLE_JIT": 0,
    "CPU_NAME": None,
    "CPU_FEATURES": None,
    "OPT": 3,
    "DEBUGINFO_DEFAULT": 0,
    "SLP_VECTORIZE": 0,
    "LOOP_VECTORIZE": 1,
}
"""Settings of `numba.config` by which Numba compiles other code, or none."""


def numba_settings() -> dict[str, object]:
    """Return the settings of Numba that change code and are not its defaults.

    Numba itself is asked, for it reads variables and a file, and programs change its settings. But its import takes a
    while: where it is not imported yet and there is nothing for it to read, it will have its defaults.
    """
    variables = (f"NUMBA_{name.removesuffix('_DEFAULT')}" for name in NUMBAS_DEFAULTS)
    imported = sys.modules.get("numba") is not None
    if not (imported or os.path.exists(".numba_config.yaml") or any(v in os.environ for v in variables)):
        return {}
    from numba import config

    return {name: value for name, default in NUMBAS_DEFAULTS.items() if (value := getattr(config, name)) != default}
