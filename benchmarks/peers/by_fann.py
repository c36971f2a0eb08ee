"""FANN, the C library (Debian's ``libfann2`` or ``libfann-dev``), its training loop called through ctypes.

It does not do quite the same: it has no cross-entropy and no relu. The sizes, the number of rows a step and plain
gradient descent are the same.
"""

import ctypes
import ctypes.util

import numpy as np

from benchmarks.peers.workloads import PeerWorkload

VERSIONS = ()
INCREMENTAL, BATCH = 0, 1  # enum fann_train_enum
SIGMOID, TANH = 3, 5  # enum fann_activationfunc_enum
PLAIN_ERROR = 0  # enum fann_errorfunc_enum
LIBRARIES = {"float64": ("doublefann", ctypes.c_double), "float32": ("floatfann", ctypes.c_float)}

if not ctypes.util.find_library("doublefann"):
    raise ImportError("no libdoublefann here (Debian: apt install libfann-dev)")


class Trainer:
    own_rules = True

    def __init__(self, workload: PeerWorkload) -> None:
        if workload.name not in ("seed", "iris", "online"):
            raise NotImplementedError("FANN has plain gradient descent on one row or on all rows a step")
        name, number = LIBRARIES[workload.X.dtype.name]
        fann = self.fann = ctypes.CDLL(ctypes.util.find_library(name))
        sizes, tanh = workload.network.sizes, workload.network.activation == "tanh"
        fann.fann_create_standard_array.restype = fann.fann_create_train_from_callback.restype = ctypes.c_void_p
        fann.fann_get_MSE.restype = ctypes.c_float
        fann.fann_randomize_weights.argtypes = [ctypes.c_void_p, number, number]
        fann.fann_train_on_data.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_uint] * 2 + [ctypes.c_float]
        self.net = ctypes.c_void_p(fann.fann_create_standard_array(len(sizes), (ctypes.c_uint * len(sizes))(*sizes)))
        fann.fann_set_activation_function_hidden(self.net, TANH if tanh else SIGMOID)
        fann.fann_set_activation_function_output(self.net, SIGMOID)
        fann.fann_set_train_error_function(self.net, PLAIN_ERROR)
        fann.fann_set_training_algorithm(self.net, BATCH if workload.batches == 1 else INCREMENTAL)
        fann.fann_set_learning_rate(self.net, ctypes.c_float(workload.optimizer.learning_rate))
        numbers = ctypes.POINTER(number)

        @ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, numbers, numbers)
        def fill(row, n_inputs, n_outputs, inputs, outputs):
            np.ctypeslib.as_array(inputs, (n_inputs,))[:] = workload.X[row]
            np.ctypeslib.as_array(outputs, (n_outputs,))[:] = workload.Y[row]

        self.data = ctypes.c_void_p(fann.fann_create_train_from_callback(len(workload.X), sizes[0], sizes[-1], fill))

    def train(self, epochs: int) -> None:
        self.fann.fann_randomize_weights(self.net, -0.5, 0.5)
        self.losses = []
        for n in (1, epochs - 1) if epochs > 1 else (1,):
            self.fann.fann_train_on_data(self.net, self.data, n, 0, -1.0)
            self.losses.append(self.fann.fann_get_MSE(self.net))
