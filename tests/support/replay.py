"""Train a fixed list with a commit's package and with the working tree, and show what differs.

``python tests/support/replay.py [COMMIT]``; without one, it is that of replay.txt. The list uses
public names alone, so that packages of different ages can do it, and hashes what a training leaves,
the text of exported C, and the intermediate code of the entry points. replay.txt also lists the
differences that are meant, each with a reason. The exit code is 1 where others are met.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
MEANT = pathlib.Path(__file__).with_name("replay.txt")
DTYPES = "float64", "float32"


def rows(n=97):
    """X, partly 0; Y, which names one of three classes; weights, some of them 0."""
    rs = np.random.RandomState(0)
    X = rs.randn(n, 6) * (rs.rand(n, 6) < 0.7)
    Y = np.eye(3)[(X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0.8)]
    return X, Y, rs.randint(0, 3, n) / 2.0


X, Y, WEIGHT = rows()


def table(n=160):
    """A frame of numbers, words and gaps, and numbers to learn."""
    import pandas as pd

    rs = np.random.RandomState(3)
    size = np.where(rs.rand(n) < 0.1, np.nan, rs.randn(n))
    words = rs.choice(["ant", "bee", "cat"], n)
    frame = pd.DataFrame({"size": size, "count": rs.randint(0, 9, n), "word": words})
    return frame, np.nan_to_num(size) * (words == "ant") + 0.1 * rs.randn(n)


def learned(*results):
    """The numbers that trainings leave, but for their times."""
    for result in results:
        history = result.history
        for array in (result.params, history.loss, history.validation_loss, history.learning_rate):
            yield np.array([] if array is None else array)


def entry_points():
    """Yield the name and the intermediate code of each entry point; names of symbols are numbered.

    The code is private: where an older or newer package has it in another place, it cannot be
    compared.
    """
    import fastnn

    fastnn.get_backend("numba")
    try:
        import fastnn.fused  # registers the entry points
        from fastnn.compiler.codegen import compiled_entry
        from fastnn.compiler.program import ENTRIES
    except ImportError:
        return
    for name, dtypes in ENTRIES.items():
        for dtype in dtypes:
            text = compiled_entry(name, np.dtype(dtype))[0].library.get_llvm_str()
            text = re.sub(r'@"[^"]*"|@[\w.$-]+', symbols(), text)
            yield f"code {name} {dtype}", [text]


def symbols():
    """A function that gives each symbol of a text the number of its first occurrence."""
    numbers = {}
    return lambda match: f"@{numbers.setdefault(match[0], len(numbers))}"


def networks():
    """Yield the name and the outcome of each training by `train` and `train_many`."""
    import scipy.sparse

    from fastnn import (
        ACTIVATIONS,
        LOSSES,
        OPTIMIZERS,
        SGD,
        Adam,
        AdamW,
        LevenbergMarquardt,
        Network,
        ReduceRate,
        Stop,
        train,
        train_many,
    )

    classes = {"output": "softmax", "loss": "cross_entropy"}
    tutorial = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum"}
    usual = Network((6, 9, 7, 3), ("tanh", "gelu"), **classes)
    small = Network((6, 5, 3), "sigmoid", "sigmoid", "squared_error", **tutorial)
    wide = Network((6, 40, 24, 3), "relu", **classes)
    optimizers = {name: kind() for name, kind in OPTIMIZERS.items()}
    optimizers |= {
        "momentum": SGD(0.05, 0.9),
        "nesterov": SGD(0.05, 0.9, nesterov=True),
        "sequential": Adam(sequential=True),
        "clip and rates": AdamW(clip_norm=0.25, rates=(0, (0.5, 1), (2, 0))),
    }
    ways = {
        "full": {"batch_size": None},
        "one row": {"batch_size": 1, "optimizer": SGD(0.01, 0.5)},
        "in order": {"shuffle": False},
        "weights": {"sample_weight": WEIGHT, "alpha": 0.125},
        "sparse": {"X": scipy.sparse.csr_array(X)},
        "validation": {"stop": Stop(validation=0.2, patience=3, restore_best=True), "epochs": 9},
        "reduced rate": {"stop": Stop(tol=10.0, patience=50, reduce=ReduceRate(0.5, 1))},
        "threads": {"network": wide, "batch_size": 64, "threads": 2},
        "wide": {"network": wide, "optimizer": Adam()},
        "reference": {"backend": "numpy", "optimizer": Adam()},
        "reference options": {"backend": "numpy", "optimizer": optimizers["clip and rates"]},
        "reference weights": {"backend": "numpy", "sample_weight": WEIGHT, "alpha": 0.125},
    }
    ways |= {f"optimizer {name}": {"optimizer": kind} for name, kind in optimizers.items()}
    ways["optimizer RPROP"]["batch_size"] = None
    ways |= {
        f"activation {name}": {"network": Network((6, 9, 3), name, **classes)}
        for name in ACTIVATIONS
        if name not in ("softmax", "exp")
    }
    for name, line in LOSSES.items():
        network = Network((6, 9, 3), "silu", line.outputs[0], name)
        ways[f"loss {name}"] = {"network": network, "optimizer": SGD(0.01)}
    for dtype in DTYPES:
        for name, way in ways.items():
            common = {"network": usual, "X": X, "Y": Y, "epochs": 4, "batch_size": 16, "seed": 1}
            yield f"train {name} {dtype}", learned(train(**common | {"dtype": dtype} | way))
        result = train(usual, X, Y, epochs=2, batch_size=16, seed=1, dtype=dtype, optimizer=Adam())
        pieces = [result, result.resume(X, Y, epochs=1), result.resume(X, Y, epochs=3)]
        yield f"train resumed {dtype}", learned(*pieces)
        stop = Stop(tol=1e-3, patience=2)
        for name, network, options in (
            ("lanes", small, {"optimizer": SGD(0.5)}),
            ("lanes Adam", small, {"optimizer": Adam(), "batch_size": None}),
            ("lanes softmax", Network((6, 4, 3), "tanh", **classes), {"batch_size": 8}),
            ("stopped", small, {"stop": stop, "alpha": [k / 64 for k in range(18)], "epochs": 20}),
            ("clipped", small, {"optimizer": AdamW(clip_norm=0.25, rates=((0.5, 1), (2, 0)))}),
            ("of two shapes", [small, usual] * 9, {"optimizer": Adam()}),
            ("of groups", wide, {"optimizer": Adam(), "learning_rate": [0.01] * 9 + [0.002] * 9}),
        ):
            seeds = list(range(18))
            options = {"epochs": 5, "batch_size": 16, "seed": seeds, "n_jobs": 1} | options
            results = train_many(network, X, Y, dtype=dtype, **options)
            yield f"many {name} {dtype}", learned(*results)
    for backend in ("numba", "numpy"):
        network = Network((6, 4, 3), "tanh", "identity", "squared_error")
        options = {"optimizer": LevenbergMarquardt(), "batch_size": None, "backend": backend}
        result = train(network, X, Y, epochs=6, seed=1, **options)
        yield f"train Levenberg-Marquardt {backend}", learned(result)


def estimators():
    """Yield the name and the outcome of each fit of an estimator."""
    from fastnn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

    y = Y.argmax(axis=1)
    for solver in ("adam", "sgd", "lbfgs"):
        model = MLPClassifier((9,), solver=solver, max_iter=8, random_state=0).fit(X, y)
        yield f"MLPClassifier {solver}", [*model.coefs_, *model.intercepts_, model.predict_proba(X)]
    options = {"hidden_layer_sizes": (9, 5), "random_state": 0, "solver": "sgd"}
    model = MLPRegressor(early_stopping=True, learning_rate="adaptive", **options)
    model.fit(X, Y[:, :2])
    yield "MLPRegressor early stopping", [*model.coefs_, np.array(model.loss_curve_)]
    model = MLPRegressor(**options)
    for _ in range(3):
        model.partial_fit(X[:20], Y[:20, :2])
    yield "MLPRegressor in parts", [*model.coefs_, *model.intercepts_, model.predict(X)]
    frame, target = table()
    for preset in ("fast", "good", "best"):
        short = {"epochs": 3, "n_jobs": 1, "random_state": 0, "n_members": 3}
        numbers = TabularRegressor(preset, **short).fit(frame, target)
        yield f"TabularRegressor {preset}", [numbers.predict(frame), numbers.oob_score_]
        words = TabularClassifier(preset, **short).fit(frame, np.where(target > 0, "a", "b"))
        yield f"TabularClassifier {preset}", [words.predict_proba(frame), words.oob_score_]
    yield "C of a regressor of tables", exported(numbers, estimates=True)
    yield "C of a classifier of tables", exported(words)


def exports():
    """Yield the name and the C text of each exported network."""
    from fastnn import SGD, Adam, Network, RMSprop, train

    for dtype in DTYPES:
        for name, output, options in (
            ("softmax", ("softmax", "cross_entropy"), {}),
            ("Jacobian", ("identity", "huber"), {"jacobian": True}),
            ("Adam", ("sigmoid", "log_loss"), {"learn": Adam(0.001)}),
            ("momentum", ("softmax", "cross_entropy"), {"learn": SGD(0.01, 0.9)}),
            ("RMSprop", ("exp", "poisson"), {"learn": RMSprop()}),
        ):
            network = Network((6, 5, 4, 3), ("tanh", "gelu"), *output)
            result = train(network, X, Y, epochs=1, seed=1, dtype=dtype)
            yield f"C {name} {dtype}", exported(result, **options)


def exported(model, **options):
    """The texts of the files that a model is exported to, without the version of the package."""
    import fastnn

    with tempfile.TemporaryDirectory() as folder:
        files = model.export(pathlib.Path(folder, "net.c"), **options)
        return [file.read_text("utf-8").replace(fastnn.__version__, "") for file in sorted(files)]


def digest(parts):
    """SHA-256 of texts and arrays."""
    sha = hashlib.sha256()
    for part in parts:
        array = np.frombuffer(part.encode(), "u1") if isinstance(part, str) else np.asarray(part)
        sha.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return sha.hexdigest()


def hashes():
    """{name of a case: its hash}, of the package that is imported here."""
    warnings.simplefilter("ignore")
    cases = [*entry_points(), *networks(), *estimators(), *exports()]
    return {name: digest(parts) for name, parts in cases}


def begin(package, cache):
    """Start a process that prints the hashes of a folder's package, which it compiles anew."""
    path = os.pathsep.join([str(package), str(pathlib.Path(__file__).parent)])
    environment = os.environ | {"PYTHONPATH": path, "FASTNN_CACHE_DIR": cache}
    code = "import json, replay; print(json.dumps(replay.hashes()))"
    command = [sys.executable, "-P", "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=package)


def hashes_of(*packages):
    """The hashes of the packages of these folders, each made by a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        processes = [begin(package, f"{folder}/{k}") for k, package in enumerate(packages)]
        printed = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a package could not do all of the list: its error stands above")
    return [json.loads(text) for text in printed]


def meant():
    """The commit of replay.txt, and {name of a case, or the words that it begins with: reason}."""
    commit, *lines = MEANT.read_text("utf-8").splitlines()
    return commit.split()[0], dict(line.split(": ", 1) for line in lines if line)


def compared(then, now, reasons):
    """Yield for each case its name, what is to be said of it, and whether that is a fault."""
    for name in [*then, *(set(now) - set(then))]:
        reason = next((text for start, text in reasons.items() if name.startswith(start)), None)
        if name not in now or name not in then:
            yield name, "not comparable: only one of the two packages has it", False
        elif then[name] == now[name]:
            yield name, "same", False
        else:
            yield name, f"DIFFERS, as meant: {reason}" if reason else "DIFFERS", not reason


def main(commit=None):
    """Print a line for each case, and how many differ."""
    first, reasons = meant()
    archive = subprocess.run(
        ["git", "archive", commit or first, "fastnn"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            opened.extractall(folder, filter="data")
        lines = list(compared(*hashes_of(folder, ROOT), reasons))
    for name, text, _ in lines:
        sys.stdout.write(f"{name:44} {text}\n")
    n_faults = sum(fault for *_, fault in lines)
    n_other = sum(text != "same" for _, text, _ in lines)
    sys.stdout.write(f"{len(lines)} cases: {n_other} differ, {n_faults} of them without a reason\n")
    return int(n_faults > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
