"""What exported C that learns takes of a microcontroller, and what a Jacobian takes of time.

Flash and RAM are those of a program that predicts and learns, linked for a Cortex-M4 by
arm-none-eabi-gcc; the times are those of one row, from Python, from Numba's code and from C.
"""

import ctypes
import functools
import subprocess
import tempfile
import time
from pathlib import Path

import numba
import numpy as np

from fastnn import SGD, Adam, Network, TabularRegressor, train

SIZES = (4, 8, 1), (8, 32, 1), (16, 64, 32, 4)
CORTEX = (
    "arm-none-eabi-gcc -std=c99 -Os -ffp-contract=off -fno-math-errno -mcpu=cortex-m4 -mthumb "
    "-mfpu=fpv4-sp-d16 -mfloat-abi=hard -ffunction-sections -fdata-sections -Wl,--gc-sections "
    "-nostartfiles -Wl,-e,main --specs=nosys.specs main.c net.c -lm -o net.elf"
)
HERE = "cc -std=c99 -O2 -ffp-contract=off -march=native -shared -fPIC net.c -lm -o {library}"
MAIN = """
#include "net.h"
volatile float x[NET_N_INPUTS], y[NET_N_OUTPUTS];
int main(void)
{
    float in[NET_N_INPUTS], out[NET_N_OUTPUTS];
    for (;;) {
        for (int i = 0; i < NET_N_INPUTS; i++)
            in[i] = x[i];
        net_predict(in, out);
        for (int i = 0; i < NET_N_OUTPUTS; i++)
            y[i] = out[i];
        net_learn(in, out, 0);
    }
}
"""


def trained(sizes, dtype):
    network = Network(sizes, "tanh")
    X = np.random.RandomState(0).randn(20, sizes[0]).astype(dtype)
    return train(network, X, np.zeros((20, sizes[-1])), epochs=1, seed=0), X


def memory(folder, sizes, learn):
    """Bytes of flash, of which code, and of RAM."""
    trained(sizes, np.float32)[0].export(folder / "net.c", learn=learn)
    (folder / "main.c").write_text(MAIN)
    subprocess.run(CORTEX.split(), cwd=folder, check=True, capture_output=True)
    size = ["arm-none-eabi-size", "net.elf"]
    found = subprocess.run(size, cwd=folder, check=True, capture_output=True, text=True).stdout
    text, data, bss = map(int, found.splitlines()[1].split()[:3])
    return text + data, text, data + bss


def seconds(call, n=20_000, rounds=7):
    """The median of the processor seconds of a call."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(n):
            call()
        found.append((time.process_time() - began) / n)
    return float(np.median(found))


@numba.njit
def many_calls(f, x, out, n):
    for _ in range(n):
        f(x, out)


def times(folder, sizes):
    """Nanoseconds of one row's outputs and Jacobian, by three callers, and of its outputs alone."""
    result, X = trained(sizes, np.float64)
    f = result.function(jacobian=True)
    g = result.function()
    n = 1000
    out = np.empty(f.n_outputs)
    outputs = np.empty(g.n_outputs)
    result.export(folder / "net.c", jacobian=True)
    library = f"net{len(X[0])}.so"  # a name is loaded once
    subprocess.run(HERE.format(library=library).split(), cwd=folder, check=True)
    in_c = ctypes.CDLL(str(folder / library)).net_jacobian
    addresses = [ctypes.c_void_p(a.ctypes.data) for a in (X[0], outputs, out)]
    many_calls(f, X[0], out, 1)
    many_calls(g, X[0], outputs, 1)
    return {
        "Python": seconds(lambda: f(X[0], out)),
        "Numba": seconds(lambda: many_calls(f, X[0], out, n), 200) / n,
        "C, through ctypes": seconds(lambda: in_c(*addresses)),
        "outputs alone, Numba": seconds(lambda: many_calls(g, X[0], outputs, n), 200) / n,
    }


def table_times():
    """Microseconds of a row's derivatives by a model of a table, and of its prediction."""
    X = np.random.RandomState(0).uniform(size=(1000, 8))
    model = TabularRegressor("fast", random_state=0).fit(X, X[:, 0] * X[:, 1])
    found = {}
    for n in (1, len(X)):
        for method in (model.input_jacobian, model.predict):
            call = functools.partial(method, X[:n])
            found[f"{method.__name__}, {n:,} at once"] = seconds(call, 1000 // n) / n
    return found


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| float32 | optimizer | flash | of which code | RAM |\n|---|---|---|---|---|")
        for sizes in SIZES:
            for learn in (SGD(0.01), Adam(0.001)):
                flash, code, ram = memory(folder, sizes, learn)
                text = "-".join(map(str, sizes))
                print(f"| {text} | {learn.name} | {flash:,} | {code:,} | {ram:,} |")
        for sizes in SIZES:
            found = times(folder, sizes)
            text = ", ".join(f"{who} {1e9 * value:.0f} ns" for who, value in found.items())
            print(f"{'-'.join(map(str, sizes))}, float64, a row and its Jacobian: {text}")
    text = ", ".join(f"{what} {1e6 * value:.1f} us" for what, value in table_times().items())
    print(f"a table of 8 numbers, a row by 4 members of 'fast': {text}")


if __name__ == "__main__":
    main()
