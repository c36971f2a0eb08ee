"""The functions of a prediction as C code: a layer's product, and activations, traced from the kernel's own."""

import inspect

import numpy as np
from numba import from_dtype, types

from fastnn.compiler.c_code import BITS, CFunction, c_type
from fastnn.fused.activations import numbers_of_row
from fastnn.fused.matmul import Strided
from fastnn.fused.single_row import row_product
from fastnn.losses import ACTIVATIONS, value_of
from fastnn.network import Network

TILES = (4, 1)  # sums kept at a time


def c_functions(network: Network, dtype: np.dtype) -> str:
    """Return the text of the functions ``dense(z, W, a, bias, fan_in, fan_out)`` and ``apply_NAME(z, n)``.

    The latter are those of the network's activations but for identity; they overwrite z (n,).
    """
    number, step = from_dtype(dtype), int(network.bias == "vector")
    pointer, count = types.CPointer(number), types.intp

    def dense(z, W, a, bias, fan_in, fan_out):
        inspect.unwrap(row_product)(z, W, a, Strided(bias, step), fan_in, fan_out, TILES)

    parameters = {**dict.fromkeys(("z", "W", "a", "bias"), pointer), "fan_in": count, "fan_out": count}
    says = f"z[o] = bias[{'o' if step else '0'}] + sum of a[k] * W[k, o]: for each o one chain of fma, k ascending."
    functions = [CFunction("dense", parameters, dense, says)]
    for name in dict.fromkeys(layer.activation for layer in network.layers if layer.activation != "identity"):
        value, says = value_of(name, ACTIVATIONS), f"The activation {name} of z (n,)."
        parameters = {"z": pointer, "n": count} | dict.fromkeys(vars(value) if value else (), number)
        functions.append(CFunction(f"apply_{name}", parameters, numbers_of_row(name), says))
    word = {"double": "uint64_t", "float": "uint32_t"}[c_type(number)]
    texts = [*map(str, functions)]
    if any("bits(" in text for text in texts):
        texts.insert(0, BITS.format(number=c_type(number), word=word))
    return "\n\n".join(texts)
