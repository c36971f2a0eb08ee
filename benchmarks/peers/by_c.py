"""The seed network as a C programmer would write it: ``seed.c``, by the C compiler that is here."""

import ctypes

import numpy as np

from benchmarks.peers.limits import compiled
from benchmarks.peers.workloads import PeerWorkload, flat

VERSIONS = ()

library = compiled("seed.c", "-O3", "-march=native", "-ffast-math")


class Trainer:
    def __init__(self, workload: PeerWorkload) -> None:
        if workload.name != "seed":
            raise NotImplementedError("only the seed network is written in C")
        self.layers = workload.layers

    def train(self, epochs: int) -> np.ndarray:
        weights = [np.ascontiguousarray(part.copy()) for layer in self.layers for part in layer]
        errors = np.empty(epochs)
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (*weights, errors))
        library.train(*pointers, ctypes.c_long(epochs))
        return flat([weights])
