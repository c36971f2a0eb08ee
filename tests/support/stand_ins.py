"""Stand-ins for PyTorch's modules and Keras' layers: what `from_torch` and `from_keras` read,
without a library."""

import types

import numpy as np


class Tensor:
    """A tensor of PyTorch's, or the description of one of Keras'."""

    def __init__(self, array, dtype="torch.float32"):
        self.numpy = lambda: array
        self.dtype = dtype
        self.detach = self.cpu = lambda: self


class Part:
    """A module of PyTorch's; layers of Keras are such modules where they compute by it."""

    def __init__(self, **options):
        self._forward_hooks = {}
        self._forward_pre_hooks = {}
        self._parameters = {}
        vars(self).update(options)

    def __getattr__(self, name):
        return vars(self)["_parameters"][name]

    def register_forward_hook(self, hook):
        self._forward_hooks[len(self._forward_hooks)] = hook

    def register_forward_pre_hook(self, hook):
        self._forward_pre_hooks[len(self._forward_pre_hooks)] = hook


class Sequence(Part):
    def __init__(self, *parts):
        super().__init__(layers=list(parts), inputs=[Tensor(None, "float32")])

    def __getitem__(self, i):
        return self.layers[i]


class Linear(Part):
    def __init__(self, fan_in, fan_out):
        super().__init__()
        arrays = np.ones((fan_out, fan_in), np.float32), np.zeros(fan_out, np.float32)
        self._parameters = dict(zip(("weight", "bias"), map(Tensor, arrays), strict=True))


def linear(x):
    return x


linear.__module__ = "keras.src.activations"


class Dense(Part):
    def __init__(self, fan_in, fan_out):
        arrays = [np.ones((fan_in, fan_out), np.float32), np.zeros(fan_out, np.float32)]
        super().__init__(
            use_bias=True, compute_dtype="float32", activation=linear, get_weights=lambda: arrays
        )


def library(package, **kinds):
    """A namespace of these classes by their names in a library, as if they were its own."""
    return types.SimpleNamespace(
        **{n: type(n, (kind,), {"__module__": package}) for n, kind in kinds.items()}
    )


nn = library(
    "torch.nn.modules.stand_in", Sequential=Sequence, Linear=Linear, Tanh=Part, Softplus=Part
)
layers = library("keras.src.layers.stand_in", Sequential=Sequence, Dense=Dense, Dropout=Part)
