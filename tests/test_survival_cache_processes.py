"""The kernel cache of the real kernels: upgrades, processes that compile at once, a read-only installation."""

import contextlib
import pathlib
import shutil
import sys

import numba
import pytest
from survival import Child, python

import fastnn

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

PREDICT = """
import hashlib, sys, warnings
import numba
import numpy as np
from fastnn import Network, predict
network = Network((3, 20, 2), activation="leaky_relu")
params, X = np.linspace(-1, 1, network.n_params), np.linspace(-2, 2, 30).reshape(10, 3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for dtype in sys.argv[1:] or ["float64"]:
        out = predict(network, params.astype(dtype), X)
        expected = predict(network, params.astype(dtype), X, backend="numpy")
        np.testing.assert_allclose(out, expected, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)
        print(dtype, hashlib.sha256(out.tobytes()).hexdigest())
from fastnn.fused.kernels import predict
print("hits", sum(predict.stats.cache_hits.values()), "warnings", *(str(w.message) for w in caught))
"""


def copy_of_the_package(target):
    source = pathlib.Path(fastnn.__file__).parent
    shutil.copytree(source, target / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_an_upgrade_compiles_anew(tmp_path):
    """Another leaky slope in `network.py`, outside `fused`; the same function signatures, the same cache folder."""
    site, cache = copy_of_the_package(tmp_path / "site"), tmp_path / "cache"
    code = PREDICT.replace("np.testing", "0 and np.testing")
    old = python(code, FASTNN_CACHE_DIR=cache, PYTHONPATH=site)
    constants = site / "fastnn" / "network.py"
    text = constants.read_text("utf-8")
    assert "LEAKY_SLOPE = 0.01" in text
    constants.write_text(text.replace("LEAKY_SLOPE = 0.01", "LEAKY_SLOPE = 0.5"), "utf-8")
    new = python(code, FASTNN_CACHE_DIR=cache, PYTHONPATH=site)
    assert new[0] != old[0]
    assert old[1] == new[1] == "hits 0 warnings"


# -------------------------------------------------------------------------------------------- several processes at once


def test_processes_that_compile_at_once_and_the_next_one_agree(tmp_path):
    cache = tmp_path / "cache"
    orders = (("float32", "float64"), ("float64", "float32"))
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(PREDICT, *order, FASTNN_CACHE_DIR=cache)) for order in orders]
        hashes, said = set(), []
        for child in children:
            while (text := child.line()) is not None:
                (said.append if text.startswith("hits") else hashes.add)(text)
            assert child.end() == 0
    assert len(hashes) == 2, hashes
    assert all(text.endswith("warnings") for text in said)
    last = python(PREDICT, "float32", "float64", FASTNN_CACHE_DIR=cache)
    assert set(last[:2]) == hashes
    assert last[2] == "hits 2 warnings"


# ----------------------------------------------------------------------------------------------- read-only installation

# Permissions do not bind root: a container's tests give up the capabilities that make it so.
WITHOUT_PRIVILEGES = """
import ctypes, os
if os.getuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capset(header, none) == 0, os.strerror(ctypes.get_errno())
assert not os.access(os.environ["HOME"], os.W_OK)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="gives up its capabilities the Linux way")
def test_a_read_only_installation_and_home_cost_one_warning(tmp_path):
    site, home = copy_of_the_package(tmp_path / "site"), tmp_path / "home"
    home.mkdir()
    paths = [home, site, *site.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    unset = dict.fromkeys(("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"), "")
    try:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode & 0o555)
        said = python(WITHOUT_PRIVILEGES + PREDICT, **unset, HOME=home, PYTHONPATH=site)
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
    assert said[1].count("fastnn compiles anew") == 1
    assert said[1].startswith("hits 0 warnings fastnn compiles anew in every process")
    assert said[0] == python(PREDICT)[0]
