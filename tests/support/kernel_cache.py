"""The kernel cache: a few bytes where a kernel would keep its machine code, and processes that keep
real kernels."""

import pathlib
import shutil
import warnings

import fastnn
from fastnn.compiler import cache

KERNELS = [
    f"{name}.{dtype}" for name in ("train_steps", "predict") for dtype in ("float32", "float64")
]


def code_of(kernel):
    return kernel.encode() * 1000


def is_found(kernel=KERNELS[0]):
    """Do as a process that needs a kernel: whether its code was in the cache. What is found is the
    right one."""
    content = cache.load(kernel)
    if content is None:
        cache.save(kernel, code_of(kernel))
        return False
    assert content == code_of(kernel)
    return True


def the_file(folder):
    (path,) = folder.iterdir()
    return path


def count_warnings(*actions):
    """Do things; the texts of the warnings that they gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for action in actions:
            action()
            cache.warn_once()
    return [str(warning.message) for warning in caught]


def everything():
    """Two kernels of two dtypes each, twice: looked for and kept."""
    for _ in range(2):
        for kernel in KERNELS:
            assert cache.load(kernel) is None
            assert cache.save(kernel, code_of(kernel)) is None


PREDICT = """
import hashlib, sys, warnings
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
from fastnn.compiler.loader import CACHE, origins
print("hits", sum(origin == CACHE for origin in origins.values()), "warnings", *(str(w.message) for w in caught))
"""  # noqa: E501


def copy_of_the_package(target):
    source = pathlib.Path(fastnn.__file__).parent
    shutil.copytree(source, target / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    return target
