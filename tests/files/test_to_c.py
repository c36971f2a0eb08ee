"""The format "c": files that any C compiler takes, whose outputs are the kernel's to the bit, on
any processor."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from bits import assert_same_bits, assert_same_bits_or_nan
from exported import EVERYTHING, NETWORKS, rows, trained
from in_c import ARM64, NUMBERS, WARNINGS, n_lines_of_code, needs_arm64, needs_cc
from object_file import symbols_of

from fastnn import MLPClassifier, MLPRegressor, Network, predict
from fastnn.files.export import Model, export

IEEE = ["-O2", "-ffp-contract=off"]
STRICT = [*IEEE, *WARNINGS]
FLAGS = "-O0", "-O3 -march=native", "-Os -funroll-loops", "-DNET_BUFFER="

DRIVER = """
#include <stdio.h>
#include "net.h"
int main(void) {
    static %s x[NET_N_INPUTS], out[NET_N_OUTPUTS];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        net_predict(x, out);
        fwrite(out, sizeof out, 1, stdout);
    }
    return 0;
}
"""


def drawn(network, dtype, n, seed=0):
    """Parameters; and n rows, some of them with numbers that functions have to take care of."""
    random_state = np.random.RandomState(seed)
    info = np.finfo(dtype)
    X = random_state.randn(n, network.n_inputs) * 10.0 ** random_state.uniform(-3, 2, (n, 1))
    special = [
        0.0,
        1.0,
        info.max,
        info.tiny,
        info.smallest_subnormal,
        np.inf,
        700.0,
        89.0,
        40.0,
        0.43,
        1e-20,
    ]
    few = random_state.rand(*X.shape) < 0.2
    few[n // 4 :] = False
    X[few] = random_state.choice([*special, *(-x for x in special), np.nan], few.sum())
    return (random_state.randn(network.n_params) * 0.8).astype(dtype), X.astype(dtype)


class InC:
    def __init__(self, folder, network, params, flags=STRICT, compiler="cc"):
        self.network = network
        self.folder = folder
        self.dtype = params.dtype
        self.source, self.header = export(Model(network, params), folder / "net.c")
        self.flags = [compiler, *flags]

    def batch(self, X):
        """The outputs for all rows by net_predict_batch, in this process."""
        self._compile("-shared", "-fPIC", "-o", "net.so", "net.c", "-lm")
        out = np.full((len(X), self.network.n_outputs), 7, X.dtype)
        x, y = (ctypes.c_void_p(a.ctypes.data) for a in (X, out))
        ctypes.CDLL(str(self.folder / "net.so")).net_predict_batch(ctypes.c_size_t(len(X)), x, y)
        return out

    def program(self, X, *runner):
        """The outputs row by row by net_predict, in a program that may be another processor's."""
        (self.folder / "driver.c").write_text(DRIVER % NUMBERS[self.dtype.name])
        self._compile("-static", "-o", "driver", "driver.c", "net.c", "-lm")
        done = subprocess.run(
            [*runner, self.folder / "driver"], input=X.tobytes(), capture_output=True, check=True
        )
        return np.frombuffer(done.stdout, X.dtype).reshape(-1, self.network.n_outputs)

    def _compile(self, *arguments):
        subprocess.run([*self.flags, *arguments], cwd=self.folder, check=True)


CASES = {
    **{name: (network, 4000, STRICT) for name, network in NETWORKS.items()},
    **{
        f"of the sizes {sizes}": (Network(sizes), 500, STRICT)
        for sizes in ((1, 1), (2, 1, 9), (3, 17, 4, 33, 2))
    },
    "of classes": (Network((64, 64, 10), output="softmax"), 500, STRICT),
    **{flags: (EVERYTHING, 2000, [*STRICT, *flags.split()]) for flags in FLAGS},
    "many rows": (EVERYTHING, 10**5, IEEE),
    **{f"a million, {name}": (network, 10**6, IEEE) for name, network in NETWORKS.items()},
    "a million rows": (EVERYTHING, 10**6, IEEE),
}
CHECKED = [
    pytest.param(*case, id=name, marks=[pytest.mark.slow] * (case[1] > 10**5))
    for name, case in CASES.items()
]


@needs_cc
@pytest.mark.parametrize(("network", "n", "flags"), CHECKED)
def test_it_predicts_what_we_do_to_the_bit(network, n, flags, dtype, tmp_path):
    """Each activation, output, kind of bias and shape, on rows of all sizes and on special values,
    with any flags."""
    params, X = drawn(network, dtype, n)
    assert_same_bits_or_nan(
        InC(tmp_path, network, params, flags).batch(X),
        predict(network, params, X, assume_finite=True),
    )


@needs_arm64
@pytest.mark.parametrize(
    "name",
    [
        "everything",
        *(
            n if n == "output softmax" else pytest.param(n, marks=pytest.mark.slow)
            for n in NETWORKS
        ),
    ],
)
def test_an_emulated_arm64_has_our_bits(name, dtype, tmp_path):
    network = NETWORKS.get(name, EVERYTHING)
    params, X = drawn(network, dtype, 3000)
    there = InC(tmp_path, network, params, compiler=ARM64[0]).program(X, ARM64[1])
    assert_same_bits_or_nan(there, predict(network, params, X, assume_finite=True))


@needs_cc
def test_row_by_row_and_in_a_batch_are_the_same(dtype, tmp_path):
    params, X = drawn(EVERYTHING, dtype, 300)
    files = InC(tmp_path, EVERYTHING, params)
    assert_same_bits_or_nan(files.program(X), files.batch(X))


@needs_cc
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators(tmp_path):
    """A regressor's outputs; the header says which probability is which label's, one output's the
    second one's."""
    X = rows()
    regressor = MLPRegressor(hidden_layer_sizes=(6,), max_iter=2).fit(X, X[:, :2])
    files = InC(tmp_path, Network((5, 6, 2)), regressor.to_result().params)
    written = [file.read_bytes() for file in (files.source, files.header)]
    assert [file.read_bytes() for file in regressor.export(tmp_path / "net.c")] == written
    assert_same_bits(files.batch(X), regressor.predict(X))
    y = np.where(X[:, 0] > 0, "up */", "down")
    for labels, words in (
        (y, "of the label 'up * /'."),
        (np.where(X[:, 1] > 1, "more", y), "of the labels ['down', 'more', 'up * /']."),
    ):
        _, header = MLPClassifier((6,), max_iter=2).fit(X, labels).export(tmp_path / "net.c")
        assert f"Outputs are probabilities, {words}\n" in header.read_text()


@needs_cc
def test_it_needs_nothing_but_fma_and_the_memory_that_it_says(dtype, tmp_path):
    """No other function, no buffers but those of RAM, no constants but those of ROM."""
    network = Network((5, 16, 8, 9, 3), "gelu", "softmax")
    files = InC(tmp_path, network, drawn(network, dtype, 4)[0])
    files._compile("-fno-builtin", "-O0", "-c", "net.c", "-o", "net.o")
    called, sizes = symbols_of(tmp_path / "net.o")
    assert called <= {"fma" + "f" * (dtype == np.float32)}
    item = np.dtype(dtype).itemsize
    assert (sizes["b"], sizes["r"]) == ((16 + 8) * item, network.n_params * item)
    assert sizes["d"] == sizes["D"] == sizes["B"] == 0
    for file in (files.source, files.header):
        text = file.read_text()
        assert f"ROM: {sizes['r']:,} bytes of weights" in text
        assert f"RAM: {sizes['b']:,} bytes of buffers" in text


def test_it_is_short_and_has_loops(tmp_path):
    """The code of a larger network is no longer: only its constants are."""
    lengths = []
    for hidden in (4, 400):
        network = Network((64, hidden, 10), "tanh", "softmax")
        source, _ = export(Model(network, drawn(network, np.float32, 1)[0]), tmp_path / "net.c")
        lengths.append(n_lines_of_code(source))
    assert lengths[0] == lengths[1] < 200


@needs_cc
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_is_taken_twice_and_by_both_languages(language, tmp_path):
    if language == "c++" and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    trained(NETWORKS["tanh"], np.float64).export(tmp_path / "net.c")
    use = (
        '#include "net.h"\n#include "net.h"\nint main() { return NET_N_INPUTS + NET_N_OUTPUTS - '
        "8; }\n"
    )
    command = [{"c": "cc", "c++": "c++"}[language], "-x", language, *WARNINGS[1:]]
    command += ["-I", tmp_path, "-", "-o", tmp_path / "use"]
    subprocess.run(command, input=use, text=True, check=True)
    subprocess.run([tmp_path / "use"], check=True)


@needs_cc
def test_a_compiler_that_would_change_bits_is_refused(tmp_path):
    trained(NETWORKS["tanh"], np.float64).export(tmp_path / "net.c")
    command = ["cc", "-c", "-ffast-math", tmp_path / "net.c", "-o", tmp_path / "net.o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "compile without -ffast-math, which changes the results" in done.stderr


NO_NAME = {
    "my-net": "my_net",
    "4th": "th",
    "net.v2": "net_v2",
    "größe": "gr_e",
    "_": "net",
    "a b": "a_b",
}
OTHERS = {
    name: f"C functions are named after the file, and {name!r} is no name in C: write to "
    for name in NO_NAME
}
# with ``-I.`` ours would be read in their place
HEADERS = ("float", "stdint", "stddef", "math", "Math", "threads")
OTHERS |= {name: rf"{name}\.h is a header of C's own, .*: write to " for name in HEADERS}


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_that_c_does_not_have_or_has_is_refused(name, tmp_path):
    result = trained(NETWORKS["tanh"], np.float64)
    other = NO_NAME.get(name, f"{name}_net")
    with pytest.raises(ValueError, match=rf"^{OTHERS[name]}{other}\.c$"):
        result.export(tmp_path / f"{name}.c")
    assert list(tmp_path.iterdir()) == []
    result.export(tmp_path / f"{other}.c")


def test_names_of_c_itself_will_do_and_source_and_header_are_two_files(tmp_path):
    result = trained(NETWORKS["tanh"], np.float64)
    with pytest.raises(
        ValueError, match=r"two files would be called '.*net\.h': give it the suffix \.c"
    ):
        result.export(tmp_path / "net.h", "c")
    assert list(tmp_path.iterdir()) == []
    source, header = result.export(tmp_path / "while.c")
    assert "void while_predict(const double x[5], double out[3]);" in header.read_text()
    assert '#include "while.h"' in source.read_text()
