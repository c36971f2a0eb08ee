"""Exported C: how it is compiled, trainings that go on in it, drawn ones, and a program that does
their steps."""

import re
import shutil
import subprocess
from typing import NamedTuple

import numpy as np
import pytest

from fastnn import (
    LOSSES,
    SGD,
    Adam,
    AdamW,
    CrossEntropy,
    Elu,
    Huber,
    LeakyRelu,
    LogLoss,
    Network,
    Pinball,
    RMSprop,
    train,
)
from fastnn.losses import HIDDEN

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler cc")
ARM64 = "aarch64-linux-gnu-gcc", "qemu-aarch64"
needs_arm64 = pytest.mark.skipif(
    not all(map(shutil.which, ARM64)),
    reason="apt-get install gcc-aarch64-linux-gnu qemu-user: not both are here",
)

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
STRICT = ["-ffp-contract=off", "-Wconversion", *WARNINGS]

NUMBERS = {"float64": "double", "float32": "float"}
"""{a dtype: C's type}"""


def n_lines_of_code(source):
    """The lines of a source but for those of constants; none of them is long."""
    lines = source.read_text().splitlines()
    assert max(map(len, lines)) <= 120
    return sum(not re.match(r"    -?\d[^;]*$", line) for line in lines)


PROGRAM = """
#include <stdio.h>
#include "net.h"
int main(void) {{
    static struct {{ {number} x[NET_N_INPUTS], y[NET_N_OUTPUTS]; }} row;
    while (fread(&row, sizeof row, 1, stdin) == 1) {{
        struct {{ double loss, code; }} done = {{0.0, 0.0}};
        {number} loss = 0;
        done.code = net_learn(row.x, row.y, &loss);
        done.loss = (double)loss;
        fwrite(&done, sizeof done, 1, stdout);
    }}
    fwrite(&net_state, sizeof net_state, 1, stdout);
    return 0;
}}
"""


class Done(NamedTuple):
    """What a program did: the loss and the code of each row, and the bytes of its state."""

    losses: np.ndarray
    codes: list
    state: bytes

    def vectors(self, like):
        """The vectors of the state."""
        numbers = np.frombuffer(self.state, like.dtype, like.size, 32)
        return numbers.reshape(like.shape)


class Program:
    """A program that goes on with the training of a result, compiled with these flags."""

    def __init__(self, folder, result, learn, compiler="cc", flags=("-O2",)):
        self.folder = folder
        result.export(folder / "net.c", learn=learn)
        number = NUMBERS[result.params.dtype.name]
        (folder / "main.c").write_text(PROGRAM.format(number=number))
        files = "main.c", "net.c", "-lm"
        command = [compiler, *STRICT, *flags, "-static", "-o", "main", *files]
        if any("sanitize" in flag for flag in flags):
            command.remove("-static")
        subprocess.run(command, cwd=folder, check=True)

    def learn(self, X, Y, *runner):
        """Learn from rows, in this order."""
        rows = np.concatenate([X, Y], axis=1).tobytes()
        command = [*runner, self.folder / "main"]
        done = subprocess.run(command, input=rows, capture_output=True, check=True).stdout
        numbers = np.frombuffer(done, np.float64, 2 * len(X)).reshape(-1, 2)
        return Done(numbers[:, 0], numbers[:, 1].astype(int).tolist(), done[16 * len(X) :])


class Drawn(NamedTuple):
    """A training on some rows, and how it goes on."""

    network: Network
    learn: object
    alpha: float
    X: np.ndarray
    Y: np.ndarray

    def begin(self):
        """The training in Python: an epoch of the first rows, in batches."""
        return train(
            self.network,
            self.X[:50],
            self.Y[:50],
            epochs=1,
            optimizer=self.learn,
            alpha=self.alpha,
            seed=0,
            batch_size=10,
        )

    def goes_on(self, result):
        """Go on in Python as C does."""
        options = {"new_rows": True, "batch_size": 1, "shuffle": False}
        return result.resume(self.X, self.Y, epochs=1, optimizer=self.learn, **options)


def drawn(seed, dtype, n=1000):
    """A network, an optimizer and n rows; every other network has some numbers of its own."""
    rs = np.random.RandomState(seed)

    def choose(values):
        return values[rs.randint(len(values))]

    n_hidden = rs.randint(0, 4)
    sizes = rs.randint(1, 20, n_hidden + 2).tolist()
    loss = choose([*LOSSES])
    output = choose(LOSSES[loss].outputs)
    if output == "softmax":
        sizes[-1] = max(2, sizes[-1])
    levels = tuple(np.linspace(0.1, 0.9, sizes[-1]).tolist())
    values = {
        "huber": Huber(0.3),
        "pinball": Pinball(levels if len(levels) > 1 else 0.2),
        "log_loss": LogLoss(0.1),
        "cross_entropy": CrossEntropy(0.1),
    }
    network = Network(
        tuple(sizes),
        tuple(choose([*HIDDEN, LeakyRelu(0.3), Elu(0.25)]) for _ in range(n_hidden)),
        output,
        loss=choose([loss, values.get(loss, loss)]),
        bias=choose(["vector", "vector", "scalar", "none"]),
        bias_gradient=choose(["exact", "exact", "times_bias"]),
        reduction=choose(["mean", "sum"]),
    )
    rate = 10 ** rs.uniform(-4, -2)
    optimizers = [SGD(rate), SGD(rate, 0.9), SGD(rate, 0.9, True), Adam(rate), RMSprop(rate)]
    learn = choose([*optimizers, AdamW(rate, weight_decay=0.1)])
    alpha = choose([0.0, 1e-3])
    X = rs.randn(n, sizes[0]) * 10.0 ** rs.uniform(-2, 0.5)
    if output == "exp":
        X /= 10  # or some would diverge
    Y = rs.uniform(0.05, 0.95, (n, sizes[-1]))
    if output == "softmax":
        Y /= Y.sum(axis=1, keepdims=True)
    return Drawn(network, learn, alpha, X.astype(dtype), Y.astype(dtype))
