"""Test a wheel with kernels as installed: `PYTHON tests/support/installed.py
without-numba|with-numba FOLDER`.

PYTHON is that of an environment with the wheel. Without Numba and llvmlite all that a user calls
works, and each level of processors that this one has gives the hashes of hashes.json. With Numba, a
damaged wheel costs one warning.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from arm64 import copied

FIRST_CALL_SECONDS = 0.5

FIRST_CALL = """
import time
started = time.perf_counter()
import sys
import numpy as np
imported = time.perf_counter()
import fastnn
X = np.linspace(-1, 1, 12).reshape(4, 3)
result = fastnn.train(fastnn.Network((3, 5, 1), "sigmoid"), X, X[:, :1], optimizer=fastnn.SGD(), epochs=3, seed=0)
seconds = time.perf_counter() - imported
peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
heavy = [name for name in ("numba", "llvmlite") if name in sys.modules]
print(f"{seconds:.3f} s of import fastnn and a first train, numpy {imported - started:.3f} s, {peak:.0f} MB", *heavy)
"""  # noqa: E501

EVERYTHING = """
import numpy as np
import fastnn
from fastnn.compiler import loader, program, shipped
from fastnn.measuring.starting import OF_A_DTYPE, OF_NONE, first_calls

X = np.random.RandomState(0).rand(600, 4)
Y = np.sin(X[:, :2])
for dtype, within in ("float64", 1e-11), ("float32", 1e-4):
    one = fastnn.train(fastnn.Network((4, 64, 2), "tanh"), X.astype(dtype), Y, epochs=2, seed=0)
    ours, right = (one.jacobian(X[:9].astype(dtype), backend=name) for name in ("numba", "numpy"))
    np.testing.assert_allclose(ours, right, rtol=0, atol=within)
    one.function()(X[0].astype(dtype), out := np.empty(2, dtype))
    assert out.tobytes() == one.predict(X[:1].astype(dtype)).tobytes()
    assert all(seconds > 0 for _, seconds in first_calls(dtype, (*OF_A_DTYPE, *OF_NONE)))
for mlp, y in (fastnn.MLPClassifier(), X[:, 0] > 0.5), (fastnn.MLPRegressor(solver="lbfgs"), Y[:, 0]):
    assert mlp.set_params(hidden_layer_sizes=(8,), max_iter=300, random_state=0).fit(X, y).score(X, y) > 0.9
everything = set(shipped.library().signatures)
assert everything <= {f"{name}.{dtype}" for name, dtypes in program.ENTRIES.items() for dtype in dtypes}
assert loader.origins == dict.fromkeys(everything, loader.WHEEL), loader.origins
print(len(everything), "kernels, all from the wheel, for", shipped.library().level)
"""  # noqa: E501

PREDICT = """
import json, warnings
import numpy as np
from fastnn import Network, predict
network = Network((3, 20, 2), activation="leaky_relu")
params, X = np.linspace(-1, 1, network.n_params), np.linspace(-2, 2, 30).reshape(10, 3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    out = predict(network, params, X)
    predict(network, params, X)
np.testing.assert_allclose(out, predict(network, params, X, backend="numpy"), rtol=1e-12)
from fastnn.compiler.loader import origins
print(json.dumps([*origins.values(), *(f"{w.filename} {w.message}" for w in caught)]))
"""

NEEDS_NUMBA = """
import fastnn
try:
    fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])
except ImportError as error:
    print(error)
"""


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(*command, **variables):
    """Run Python in a process that has nothing of ours but what is installed; return what it
    prints."""
    named = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "FASTNN_", "NUMBA_"))
    }
    options = {
        "env": {**named, **{name: str(value) for name, value in variables.items()}},
        "capture_output": True,
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=tempfile.gettempdir(), text=True, **options
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))[-200:]}\n{done.stdout}{done.stderr}")
    return done.stdout


def levels(package):
    """The levels of the wheel that this CPU has, best first."""
    manifest = json.loads((package / "kernels/manifest.json").read_text("utf-8"))["contents"]
    text = pathlib.Path("/proc/cpuinfo").read_text("utf-8")
    flags = next(
        line for line in text.splitlines() if line.startswith(("flags", "Features"))
    ).split()
    return [level["name"] for level in manifest["levels"] if set(flags).issuperset(level["flags"])]


def without_numba(package, folder):
    """Everything that a user calls, timed, and the hashes of each level."""
    assert not any(map(importlib.util.find_spec, ("numba", "llvmlite"))), (
        "an environment without them was asked for"
    )
    cache = folder / "cache"
    seconds = []
    for _ in range(5):
        text = run("-W", "error::RuntimeWarning", "-c", FIRST_CALL, FASTNN_CACHE_DIR=cache).strip()
        assert text.endswith("MB"), f"a process imports what it does not need: {text}"
        say(text)
        seconds.append(float(text.split()[0]))
    assert seconds[0] < FIRST_CALL_SECONDS, seconds
    say(run("-W", "error::RuntimeWarning", "-c", EVERYTHING, FASTNN_CACHE_DIR=cache).strip())
    support = copied(folder / "tests")
    for level in levels(package):
        script = ("-W", "error", support / "same_bits.py", "--compare")
        report = json.loads(run(*script, FASTNN_KERNELS=level, FASTNN_CACHE_DIR=cache))
        assert report["kernels"] == ["from the wheel"]
        say(
            f"{level}: the {len(report['all steps'])} hashes of hashes.json, and as members of "
            f"train_many"
        )
    for command in ("info", "warmup", "demo", "verify"):
        text = run("-W", "error", "-m", "fastnn", command, FASTNN_CACHE_DIR=cache)
        last = [
            line for line in text.splitlines() if line.startswith("kernels")
        ] or text.strip().splitlines()[-1:]
        say(f"fastnn {command}: {last[0]}")
    damage(copied_package(package, folder))
    said = run("-c", NEEDS_NUMBA, FASTNN_CACHE_DIR=cache, PYTHONPATH=folder / "site").strip()
    assert (
        "is damaged: reinstall fastnn-numba), and compiling a kernel needs numba, which is not"
        in said
    ), said
    say(f"a damaged library, and no Numba: {said}")
    assert not cache.exists() or not any(cache.iterdir()), "a kernel was compiled"


def copied_package(package, folder):
    """Return a new copy of the package in FOLDER/site."""
    copy = folder / "site" / "fastnn"
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))


def damage(package):
    """Flip a bit in the middle of the best library."""
    path = package / "kernels" / f"{levels(package)[0]}.so"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def with_numba(package, folder):
    """A damaged wheel costs one warning, at the caller's line; what else may be wrong is in
    test_shipped.py."""
    variables = {"FASTNN_CACHE_DIR": folder / "cache"}
    for more in {}, {"FASTNN_KERNELS": "none"}, {"NUMBA_OPT": "0"}:
        assert json.loads(run("-c", PREDICT, **variables, **more)) == [
            "compiled" if more else "from the wheel"
        ]
    damage(copied_package(package, folder))
    origin, warned = json.loads(run("-c", PREDICT, **variables, PYTHONPATH=folder / "site"))
    assert origin == "from the disk cache"
    assert warned.startswith(
        "<string> the kernels that came with fastnn are not used, it compiles its own: "
    )
    assert "is damaged: reinstall fastnn-numba" in warned
    say(f"damage: {warned.partition(': ')[2]}")


def main():
    how = sys.argv[1]
    folder = pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    package = pathlib.Path(run("-c", "import fastnn; print(fastnn.__file__)").strip()).parent
    assert package.joinpath("kernels").is_dir(), f"{package} is not from a wheel with kernels"
    {"without-numba": without_numba, "with-numba": with_numba}[how](package, folder)


if __name__ == "__main__":
    main()
