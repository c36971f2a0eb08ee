"""No kernel reads beyond the arrays that callers own, where whole vectors would reach further."""

import sys

import pytest
from survival import python

AT_THE_END = """
import ctypes, mmap, sys

import numpy as np

from fastnn import Network, get_backend, loss_and_gradient, predict
from fastnn.network import BIASES

libc, page = ctypes.CDLL(None), mmap.PAGESIZE


def at_the_end(array):
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + size), page, 0) == 0
    raw = np.frombuffer(memory, np.uint8)[size - array.nbytes : size]
    raw[...] = array.view(np.uint8).reshape(-1)
    return raw.view(array.dtype).reshape(array.shape), start + size


if sys.argv[1:] == ["beyond"]:
    ctypes.string_at(at_the_end(np.zeros(3))[1], 1)
random_state = np.random.RandomState(0)
for dtype in (np.float32, np.float64):
    for sizes in ((3, 5, 1), (4, 16, 3), (64, 64, 10), (20, 3, 2, 1), (7, 40), (2, 1, 1, 1, 1), (5, 300, 33)):
        for bias in BIASES:
            network = Network(sizes, bias=bias)
            for n in (1, 2, 40):
                X = random_state.standard_normal((n, sizes[0])).astype(dtype)
                Y = random_state.standard_normal((n, sizes[-1])).astype(dtype)
                params = network.init_params(random_state, dtype)
                ends = [at_the_end(array)[0] for array in (params, X, Y)]
                assert (predict(network, *ends[:2]) == predict(network, params, X)).all()
                assert loss_and_gradient(network, *ends)[0] == loss_and_gradient(network, params, X, Y)[0]
            x, out = (at_the_end(array[0])[0] for array in (X, Y))
            get_backend("numba").function(network, params)(x, out)
            assert (out == predict(network, params, X[:1])).all()
print("nothing beyond was read")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no mprotect")
def test_no_kernel_reads_beyond_its_arrays():
    """Parameters, inputs and targets end where memory does that may not be read; to do so would end the process."""
    assert python(AT_THE_END) == ["nothing beyond was read"]
    with pytest.raises(AssertionError):
        python(AT_THE_END, "beyond")
