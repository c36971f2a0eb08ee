"""Training that goes on in C: the bits of train, codes for what is not finite, and the way back."""

import itertools
import re
import struct
import subprocess

import numpy as np
import pytest
from bits import assert_same_bits, state_bits
from drawn_formulas import draw_formula
from exported import EVERYTHING, every_operation
from in_c import (
    ARM64,
    STRICT,
    Drawn,
    Program,
    drawn,
    n_lines_of_code,
    needs_arm64,
    needs_cc,
)
from numpy.random import RandomState
from object_file import symbols_of

from fastnn import (
    ACTIVATIONS,
    LOSSES,
    RPROP,
    SGD,
    Adam,
    AdamW,
    LevenbergMarquardt,
    Network,
    RMSprop,
    exponential,
    load,
    train,
)

LEARNED, BAD_ROW, BAD_TARGET, BAD_LOSS, BAD_GRADIENT, OVERFLOW = range(6)
OPTIMIZERS = {
    "SGD": SGD(0.01),
    "momentum": SGD(0.01, 0.9),
    "Nesterov": SGD(0.01, 0.5, nesterov=True),
    "Adam": Adam(0.01),
    "AdamW": AdamW(0.01, weight_decay=0.1),
    "RMSprop": RMSprop(0.001),
}
slow = pytest.mark.slow
DRAWN = [*range(4), *(pytest.param(k, marks=slow) for k in range(4, 200))]


SMALL = Network((3, 4, 1), "tanh")


def case(network=SMALL, learn=OPTIMIZERS["Adam"], dtype=np.float64, n=60, alpha=0.0):
    """A training of a network on drawn rows."""
    rs = RandomState(0)
    Y = rs.uniform(0.1, 0.9, (n, network.n_outputs))
    if network.output == "softmax":
        Y /= Y.sum(axis=1, keepdims=True)
    X = rs.randn(n, network.n_inputs)
    return Drawn(network, learn, alpha, X.astype(dtype), Y.astype(dtype))


def assert_c_does_what_train_does(training, folder, *runner, **options):
    """C and Python go on with equal bits in parameters, the optimizer's vectors, and the losses."""
    result = training.begin()
    program = Program(folder, result, training.learn, **options)
    done = program.learn(training.X, training.Y, *runner)
    right = training.goes_on(result)
    assert done.codes == [LEARNED] * len(training.X)
    again = result.read_back(done.state, training.learn)
    assert state_bits(again.state) == state_bits(right.state)
    assert_same_bits(again.params, right.params)
    if training.alpha == 0 and training.network.reduction == "mean":
        assert np.cumsum(done.losses)[-1] / len(training.X) == right.history.loss[-1]


# ---------------------------------------------------------------------------------- the same bits


@needs_cc
@pytest.mark.parametrize("k", DRAWN)
def test_a_thousand_steps_have_the_bits_of_train(k, dtype, tmp_path):
    assert_c_does_what_train_does(drawn(k, dtype), tmp_path)


@needs_arm64
@pytest.mark.parametrize("k", DRAWN[:1] + DRAWN[4:])
def test_an_emulated_arm64_has_the_bits_of_train(k, dtype, tmp_path):
    compiler, runner = ARM64
    assert_c_does_what_train_does(drawn(k, dtype), tmp_path, runner, compiler=compiler)


@needs_cc
@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer(name, alpha, dtype, tmp_path):
    """In layers whose rows of weights are whole vectors of the kernel, and in others."""
    network = Network((5, 16, 7, 2), "tanh")
    assert_c_does_what_train_does(
        case(network, OPTIMIZERS[name], dtype, alpha=alpha), tmp_path, flags=["-Os"]
    )


@needs_cc
def test_each_hidden_activation(dtype, tmp_path):
    training = case(EVERYTHING, SGD(1e-4), dtype)
    assert_c_does_what_train_does(training, tmp_path, flags=["-O3", "-march=native"])


OUTPUTS = [(loss, output) for loss, line in LOSSES.items() for output in line.outputs]
NEW = [
    (loss, output)
    for loss, output in OUTPUTS
    if output in ("tanh", "softplus", LOSSES[loss].matched)
]
SHOWN = [(loss, output) for loss, output in OUTPUTS if loss == "squared_error"] + NEW


@needs_cc
@pytest.mark.parametrize("pairs", [SHOWN, pytest.param(OUTPUTS, marks=slow)])
def test_losses_with_outputs(pairs, tmp_path):
    """With the derivatives that they share and with those of their own; both dtypes in turn."""
    for k, (loss, output) in enumerate(pairs):
        dtype = (np.float32, np.float64)[k % 2]
        folder = tmp_path / str(k)
        folder.mkdir()
        network = Network((3, 4, 3), "relu", output, loss=loss)
        training = case(network, SGD(0.001), dtype, n=20)
        assert_c_does_what_train_does(training, folder, flags=["-O0"])


def swish(z):
    return z / (1 + np.exp(-1.5 * z))


def cost(a, y):
    return np.where(y > a, 3.0 * (y - a), a - y)


DRAWN_LOSSES = [*range(2), *(pytest.param(k, marks=slow) for k in range(2, 20))]


@needs_cc
@pytest.mark.parametrize("loss", [cost, "squared_error"])
def test_functions_of_users(loss, dtype, tmp_path):
    network = Network((3, 7, 2), (swish,), lambda z: z * 0.5 + np.tanh(z), loss=loss)
    assert_c_does_what_train_does(case(network, dtype=dtype), tmp_path)


@needs_cc
@pytest.mark.parametrize("seed", DRAWN_LOSSES)
def test_drawn_losses_and_an_activation_of_every_operation(seed, dtype, tmp_path):
    network = Network((3, 7, 2), every_operation, np.tanh, loss=draw_formula(seed).function)
    assert_c_does_what_train_does(case(network, SGD(1e-4), dtype), tmp_path)


@needs_cc
@pytest.mark.parametrize(
    ("bias", "bias_gradient"),
    [*itertools.product(["vector", "scalar", "none"], ["exact", "times_bias"])],
)
def test_each_kind_of_bias(bias, bias_gradient, dtype, tmp_path):
    network = Network((3, 9, 8, 1), "silu", bias=bias, bias_gradient=bias_gradient)
    assert_c_does_what_train_does(case(network, dtype=dtype), tmp_path)


@needs_cc
def test_a_new_training_begins_by_another_optimizer_and_at_the_best_parameters(tmp_path):
    """Where the state does not end at these parameters, or has vectors of another optimizer."""
    training = case()
    result = training.begin()
    program = Program(tmp_path, result, SGD(0.1))
    assert "it begins with no step" in (tmp_path / "net.h").read_text()
    done = program.learn(training.X, training.Y)
    options = {"optimizer": SGD(0.1), "batch_size": 1, "shuffle": False, "seed": 0}
    right = train(
        training.network, training.X, training.Y, params=result.params, epochs=1, **options
    )
    assert state_bits(result.read_back(done.state, SGD(0.1)).state) == state_bits(right.state)
    result.save(tmp_path / "net.npz", state=False)
    alone = load(tmp_path / "net.npz")
    done = Program(tmp_path, alone, SGD(0.1)).learn(training.X, training.Y)
    assert state_bits(alone.read_back(done.state, SGD(0.1)).state) == state_bits(right.state)


@needs_cc
def test_predictions_follow_the_parameters(tmp_path):
    """`net_predict` computes with those that learning changes."""
    training = case(Network((3, 4, 2), "gelu"))
    result = training.begin()
    Program(tmp_path, result, training.learn)
    (tmp_path / "main.c").write_text(
        """
        #include <stdio.h>
        #include "net.h"
        int main(void) {
            double x[3] = {1, 2, 3}, y[2] = {0.5, 0.25}, out[2];
            net_learn(x, y, NULL);
            net_predict(x, out);
            fwrite(out, sizeof out, 1, stdout);
            return 0;
        }
        """
    )
    subprocess.run(
        ["cc", *STRICT, "-o", "main", "main.c", "net.c", "-lm"], cwd=tmp_path, check=True
    )
    out = np.frombuffer(subprocess.run([tmp_path / "main"], capture_output=True).stdout)
    row = np.array([[1.0, 2, 3]])
    options = {"new_rows": True, "batch_size": 1, "shuffle": False, "optimizer": training.learn}
    right = result.resume(row, [[0.5, 0.25]], epochs=1, **options)
    assert_same_bits(out, right.predict(row)[0])


# ------------------------------------------------------------------------------- what is not finite

SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def hostile(dtype, n, n_columns, seed):
    """Rows of numbers of all sizes, some of which are not finite."""
    rs = RandomState(seed)
    info = np.finfo(dtype)
    least, most = np.log10(info.tiny), np.log10(info.max) - 1
    sizes = 10.0 ** rs.uniform(least, most, (n, n_columns))
    rows = np.where(rs.rand(n, 1) < 0.5, sizes, 1) * rs.randn(n, n_columns)
    special = [np.nan, np.inf, info.max, info.tiny, info.smallest_subnormal, 0.0]
    few = rs.rand(n, n_columns) < 0.1
    rows[few] = rs.choice(special + [-number for number in special], few.sum())
    with np.errstate(over="ignore", under="ignore"):
        return rows.astype(dtype)


@needs_cc
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_hostile_rows_under_sanitizers(name, dtype, tmp_path):
    """No code reads or writes elsewhere, or rests on what C leaves open."""
    learn = OPTIMIZERS[name]
    result = case(Network((4, 5, 3), ("silu",), "softplus", loss="poisson"), learn, dtype).begin()
    program = Program(tmp_path, result, learn, flags=SANITIZED)
    X, Y = hostile(dtype, 3000, 4, 0), hostile(dtype, 3000, 3, 1)
    codes = set(program.learn(X, np.where(np.arange(3000)[:, None] % 2, np.abs(Y), Y)).codes)
    assert {BAD_ROW, BAD_TARGET, BAD_LOSS} <= codes


@needs_cc
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_what_is_not_finite_changes_nothing(kind, tmp_path):
    dtype, big = (np.float32, 1e30) if kind == "float32" else (np.float64, 1e300)
    network = Network((2, 1))
    result = train(network, np.ones((2, 2), dtype), [1, 1], params=np.zeros(3, dtype), epochs=0)
    program = Program(tmp_path, result, SGD(0.1))
    root = np.sqrt(big)
    rows = {
        (np.nan, 0, 0): BAD_ROW,
        (0, -np.inf, 0): BAD_ROW,
        (0, 0, np.inf): BAD_TARGET,
        (0, 0, big): BAD_LOSS,
        (big, 0, root): BAD_GRADIENT,
    }
    given = np.array([*rows], dtype)
    done = program.learn(given[:, :2], given[:, 2:])
    assert done.codes == [*rows.values()]
    state = result.read_back(done.state, SGD(0.1)).state
    assert state.t == 0
    assert state.params.tolist() == [0, 0, 0]


@needs_cc
def test_an_overflow_is_told_and_is_not_read_back(tmp_path):
    result = train(Network((1, 1)), [[1.0]], [1.0], params=[0.0, 0.0], epochs=0)
    done = Program(tmp_path, result, SGD(1e300)).learn(np.array([[1e10]]), np.array([[1e10]]))
    assert done.codes == [OVERFLOW]
    with pytest.raises(ValueError, match="the parameters in C are not finite, or its vectors"):
        result.read_back(done.state, SGD(1e300))


@needs_cc
@pytest.mark.parametrize(
    ("network", "y"),
    [
        (Network((1, 1), output="sigmoid", loss="log_loss"), 1.5),
        (Network((1, 1), output="exp", loss="poisson"), -1.0),
        (Network((1, 1), output="tanh"), -1.1),
    ],
)
def test_targets_that_train_refuses(network, y, dtype, tmp_path):
    result = case(network, dtype=dtype).begin()
    X, Y = np.ones((2, 1), dtype), np.array([[y], [0.5]], dtype)
    assert Program(tmp_path, result, Adam()).learn(X, Y).codes == [BAD_TARGET, LEARNED]


# ------------------------------------------------------------------------------------ the way back


@needs_cc
def test_epochs_of_the_same_rows(tmp_path):
    """Rows that C goes through again and again are one epoch each time, and Python goes on."""
    training = case(n=20)
    result = training.begin()
    program = Program(tmp_path, result, training.learn)
    X, Y = np.tile(training.X, (3, 1)), np.tile(training.Y, (3, 1))
    again = result.read_back(program.learn(X, Y).state, training.learn, n_rows=20)
    options = {"new_rows": True, "batch_size": 1, "shuffle": False}
    right = result.resume(training.X, training.Y, epochs=3, **options)
    assert state_bits(again.state) == state_bits(right.state)
    on, right_on = (one.resume(training.X, training.Y, epochs=2) for one in (again, right))
    assert state_bits(on.state) == state_bits(right_on.state)
    state = program.learn(X[:50], Y[:50]).state
    with pytest.raises(ValueError, match=r"50 steps since the export, which is no whole number"):
        result.read_back(state, training.learn, n_rows=20)


def test_the_size_of_a_state_is_that_of_the_struct():
    """It ends at a multiple of 8 bytes."""
    with pytest.raises(ValueError, match="the state in C has 288 bytes, not 0"):
        case(dtype=np.float32).begin().read_back(b"", Adam(0.01))


@needs_cc
def test_bytes_of_something_else(tmp_path):
    training = case()
    result = training.begin()
    state = Program(tmp_path, result, Adam(0.01)).learn(training.X, training.Y).state
    more = training.goes_on(result)
    for who, data, learn, match in (
        (result, state, Adam(0.02), r"state of another export: .* not Adam\(learning_rate=0\.02"),
        (more, state, Adam(0.01), "another export"),
        (result, state[::-1], Adam(0.01), "another export"),
        (result, state[:-8], Adam(0.01), "the state in C has 536 bytes, not 528"),
        (result, state + bytes(4), Adam(0.01), "the state in C has 536 bytes, not 540"),
        (result, state, SGD(0.01), "the state in C has 200 bytes, not 536"),
    ):
        with pytest.raises(ValueError, match=match):
            who.read_back(data, learn)


@needs_cc
@pytest.mark.parametrize(
    ("place", "word", "match"),
    [
        (8, 2**33, "at most 100,000,000 rows, not 8,589,934,5"),
        (16, np.nan, "no step leaves such moments"),
        (16, 1.0, "no step leaves such moments"),
        (24, 0.0, "no step leaves such moments"),
        (32, np.nan, "the parameters in C are not finite, or its vectors"),
        (-8 * 30, np.nan, "the parameters in C are not finite, or its vectors"),
        (-8, np.inf, "the parameters in C are not finite, or its vectors"),
        (-8 * 2, -1.0, "no step leaves such moments"),
    ],
)
def test_a_word_that_was_damaged_on_the_way(place, word, match, tmp_path):
    """The count of steps, the powers of the betas, parameters, means and means of squares."""
    training = case()
    result = training.begin()
    state = bytearray(Program(tmp_path, result, Adam(0.01)).learn(training.X, training.Y).state)
    struct.pack_into("<Q" if place == 8 else "<d", state, place % len(state), word)
    with pytest.raises(ValueError, match=match):
        result.read_back(bytes(state), Adam(0.01))


def test_what_is_no_bytes():
    with pytest.raises(TypeError, match="data must be bytes, those of the state in C, not None"):
        case().begin().read_back(None, Adam(0.01))


# -------------------------------------------------------------------------- what is written, or not


PLAIN = "learn must be SGD, Adam, AdamW or RMSprop, with a learning rate that is a number"


@pytest.mark.parametrize(
    ("learn", "error", "match"),
    [
        (RPROP(), ValueError, PLAIN),
        (LevenbergMarquardt(), ValueError, PLAIN),
        (Adam(exponential(0.1)), ValueError, PLAIN),
        (SGD(0.1, sequential=True), ValueError, PLAIN),
        (Adam(clip_norm=1.0), ValueError, PLAIN),
        (SGD(rates=(0, 1)), ValueError, PLAIN),
        ("adam", TypeError, r"learn must be a fastnn Optimizer, not 'adam': say Adam\(\)"),
        (True, TypeError, r"not True: one of SGD\(\), Adam\(\), AdamW\(\), RMSprop\(\)$"),
    ],
)
def test_optimizers_that_c_has_not(learn, error, match, tmp_path):
    result = case().begin()
    with pytest.raises(error, match=match):
        result.export(tmp_path / "net.c", learn=learn)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".py", ".safetensors"])
def test_other_formats_do_not_learn(suffix, tmp_path):
    result = case().begin()
    with pytest.raises(ValueError, match="learn= for 'c'"):
        result.export(tmp_path / f"net{suffix}", learn=Adam())
    assert list(tmp_path.iterdir()) == []


@needs_cc
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_memory_and_functions_are_those_that_the_header_says(optimizer, dtype, tmp_path):
    result = case(Network((5, 16, 9, 3), "gelu", "softmax"), OPTIMIZERS[optimizer], dtype).begin()
    source, header = result.export(tmp_path / "net.c", learn=OPTIMIZERS[optimizer])
    flags = [*STRICT, "-fno-builtin", "-O0", "-c", "-o", "net.o"]
    subprocess.run(["cc", *flags, "net.c"], cwd=tmp_path, check=True)
    called, sizes = symbols_of(tmp_path / "net.o")
    assert {name.removesuffix("f") for name in called} <= {"fma", "fabs", "sqrt"}
    assert sizes["d"] == sizes["B"] == sizes["R"] == 0
    for text in (source.read_text(), header.read_text()):
        found = re.search(r"ROM: ([\d,]+) bytes .* RAM: ([\d,]+) bytes", text)
        rom, ram = (int(number.replace(",", "")) for number in found.groups())
        assert (rom, ram) == (sizes["D"], sizes["b"] + sizes["D"])


def test_its_code_does_not_grow_with_the_network(tmp_path):
    lengths = []
    for hidden in (8, 400):
        result = case(Network((64, hidden, 10), "tanh", "softmax"), n=5).begin()
        source, _ = result.export(tmp_path / "net.c", learn=Adam())
        lengths.append(n_lines_of_code(source))
    assert lengths[0] == lengths[1] < 600


def test_all_activations_and_losses_are_looked_at():
    """The tests above take them from the registries."""
    hidden = {name for name, line in ACTIVATIONS.items() if line.hidden}
    assert hidden == {layer.activation for layer in EVERYTHING.layers[:-1]}
    assert {loss for loss, _ in SHOWN} == set(LOSSES)
    assert {output for _, output in SHOWN} == set(ACTIVATIONS)
