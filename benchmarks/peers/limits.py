"""Whole processes, the machine's limits and how near fastnn comes to them, and the C compiler, for
C of this folder.
"""

import ctypes
import functools
import pathlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from fastnn.measuring import machine
from fastnn.measuring.timing import in_process, in_turn


def compiler() -> str:
    """The C compiler; ImportError where there is none."""
    if found := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return found
    raise ImportError("no C compiler here")


def compiled(source: str | pathlib.Path, *flags: str) -> ctypes.CDLL:
    """The library that the compiler makes of a file, of this folder where it has no other, with
    these flags.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "library.so")
        source = pathlib.Path(__file__).parent / source
        subprocess.run(
            [compiler(), *flags, "-shared", "-fPIC", "-o", str(library), str(source), "-lm"],
            check=True,
        )
        return ctypes.CDLL(str(library))


def compiler_version() -> str | None:
    """What the compiler says it is; None where there is none."""
    try:
        return subprocess.run(
            [compiler(), "--version"], capture_output=True, text=True
        ).stdout.splitlines()[0]
    except ImportError:
        return None


WIDTHS = (64, 128, 256, 784)
ROUNDS = 5
RUNS = 15
SECONDS = 0.05
FLAGS = {"native": ("-march=native",), "AVX2": ("-march=haswell",)}
# of a run: some milliseconds
PEAK_STEPS = 1_000_000
CLOCK_STEPS = 4_000_000


def has_avx2() -> bool:
    return platform.machine() in ("x86_64", "AMD64") and "avx2" in machine.cpu().features


def avx2_environment() -> dict[str, str]:
    """Variables by which Numba, NumPy, OpenBLAS and XLA use nothing beyond AVX2."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    beyond = [
        name
        for name in __cpu_dispatch__
        if name.startswith(("AVX512", "X86_V4")) and __cpu_features__[name]
    ]
    of_numpy = {"NPY_DISABLE_CPU_FEATURES": " ".join(beyond), "OPENBLAS_CORETYPE": "Haswell"}
    return {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    } | of_numpy


def fractions(lane, level: str) -> dict | None:
    """GF/s of the core and of the kernel's products, and the core's clock, all in turn; None
    without a compiler.
    """
    try:
        library = compiled("peak.c", "-O2", *FLAGS[level])
    except ImportError:
        return None
    library.peak.restype = library.clock_rate.restype = ctypes.c_double
    found: dict = {"peak": [], "clock": [], "products": {str(width): [] for width in WIDTHS}}
    for _ in range(ROUNDS):
        found["peak"].append(_most(library.peak, PEAK_STEPS) / 1e9)
        found["clock"].append(_most(library.clock_rate, CLOCK_STEPS) / 1e9)
        for width in WIDTHS:
            found["products"][str(width)].append(lane.ask("products", width=width, seconds=SECONDS))
    return found


def _most(function, steps: int) -> float:
    """The highest rate of several short runs: one that nothing interrupted."""
    return max(function(ctypes.c_long(steps)) for _ in range(RUNS))


# The seed's training, 100 iterations, as a user of each would write it.
DATA = """
import numpy as np
X = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]], float)
Y = np.array([[0], [1], [0], [1], [0], [1]], float)
"""
SCRIPTS = {
    "fastnn": """
from fastnn import train, workloads
seed = workloads.load("seed")
result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0)
print(result.history.loss[-1])
""",
    "NumPy loop": """
from fastnn.measuring import tutorial
weights, errors = tutorial.train(tutorial.initial_weights(0))
print(errors[-1])
""",
    "scikit-learn": f"""{DATA}
import warnings
from sklearn.neural_network import MLPRegressor
warnings.simplefilter("ignore")
model = MLPRegressor(hidden_layer_sizes=(5,), activation="logistic", solver="sgd", learning_rate_init=0.5,
                     batch_size=6, max_iter=100, shuffle=False, random_state=0, tol=0, n_iter_no_change=1000)
print(model.fit(X, Y.ravel()).loss_)
""",  # noqa: E501
    "PyTorch": f"""{DATA}
import torch
X, Y = torch.tensor(X), torch.tensor(Y)
model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Sigmoid(), torch.nn.Linear(5, 1), torch.nn.Sigmoid())
model.double()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(100):
    optimizer.zero_grad()
    loss = 0.5 * (model(X) - Y).square().sum()
    loss.backward()
    optimizer.step()
print(loss.item())
""",  # noqa: E501
    "JAX": """
from benchmarks.peers.by_jax import Trainer
from benchmarks.peers.workloads import load
print(Trainer(load("seed")).train(100)[0])
""",
}
FIRST_TRAINING = """
import time
import numpy as np
from fastnn import SGD, Network, train
X = np.ones((2, 2), np.float32)
start = time.perf_counter()
train(Network((2, 2, 1)), X, X[:, :1], optimizer=SGD(), epochs=1)
print(time.perf_counter() - start)
"""


def whole(
    titles: list[str], rounds: int, variables: Mapping[str, str]
) -> dict[str, dict[str, list[float]]]:
    """By title: seconds and bytes of each process, in turn, after one that fills the disk
    caches.
    """
    asks = {
        title: functools.partial(in_process, SCRIPTS[title], variables, only=True)
        for title in titles
    }
    found = in_turn(asks, 1 + rounds).items()
    return {
        t: {"seconds": [p.seconds for p in ps[1:]], "bytes": [p.peak_bytes for p in ps[1:]]}
        for t, ps in found
    }


def cold(rounds: int, variables: Mapping[str, str]) -> list[float]:
    """Seconds of a process's first `train` with an empty disk cache, one dtype, the import of Numba
    included.
    """
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            process = in_process(
                FIRST_TRAINING, {**variables, "FASTNN_CACHE_DIR": folder}, only=True
            )
        seconds.append(float(process.output))
    return seconds
