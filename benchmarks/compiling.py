"""How long a machine compiles at first, and loads later: ``python -m benchmarks.compiling``.

Each call runs in two fresh processes: on an empty disk cache, and on the one that the first process
has filled. The seconds are the processor's, imports included. The answers are compared.
"""

import tempfile

from benchmarks.readme import print_parts
from fastnn.measuring.timing import digits, in_process, markdown

DATA = "import time\nimport numpy as np\nx = np.linspace(-1, 1, 200).reshape(50, 4)\n"
TRAIN = """from fastnn import Network, train
answer = train(Network((4, 8, 1)), x, x[:, 0], epochs=2, seed=0"""
TABLE = """from fastnn import TabularRegressor
answer = TabularRegressor('fast', random_state=0).fit(x, x[:, 0])"""
WARMUP = """from fastnn import cli
try:
    cli.main(['warmup'])
except SystemExit as end:
    answer = end.code"""
CALLS = {
    "`train`, in float64": f"{TRAIN}).predict(x).sum()",
    "`train`, in float32": f"{TRAIN}, dtype='float32').predict(x).sum()",
    '`TabularRegressor("fast").fit`': f"{TABLE}.predict(x).sum()",
    "`fastnn warmup`": WARMUP,
}
LAST = "\nprint(answer, time.process_time(), sep='\\n')"


def seconds_of_starts(code: str) -> list[float]:
    """Return the processor seconds of a process that compiles, and of one that loads what the first
    has stored.
    """
    with tempfile.TemporaryDirectory() as folder:
        variables = {"FASTNN_CACHE_DIR": folder, "FASTNN_KERNELS": "none"}  # not those of a wheel
        outputs = [
            in_process(DATA + code + LAST, variables).output.splitlines()[-2:] for _ in range(2)
        ]
    (first, compiled), (second, loaded) = outputs
    if first != second:
        raise RuntimeError(f"{code}: {first} by compiled kernels, {second} by loaded ones")
    return [float(compiled), float(loaded)]


def table() -> str:
    rows = [
        [call, *(digits(seconds) for seconds in seconds_of_starts(code))]
        for call, code in CALLS.items()
    ]
    return markdown(
        ["the first call of a process", "compiled, CPU s", "from the cache, CPU s"], rows
    )


if __name__ == "__main__":
    print_parts(__doc__, compiling=table)
