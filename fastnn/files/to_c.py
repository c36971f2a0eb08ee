"""The format "c": a .c file and its header, C99 that calls nothing of C's library but the
functions fma, fabs, copysign and sqrt.
"""

import re
from typing import Any

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import decimal, shown
from fastnn.files.export import WRITTEN_BY, Model, from_template, label_list
from fastnn.memory import Array
from fastnn.network import Network

CHECK = """\
#if {mantissa} != {digits}
#error "{name}.c: {number} is not IEEE 754's type of {n_bits} bits"
#endif"""

THREADS = " Threads may call at once with {upper}_BUFFER defined to be empty."

BUFFERS = """\
#ifndef {upper}_BUFFER
#define {upper}_BUFFER static
#endif
"""

NUMBERS = {
    "float32": ("float", "FLT_MANT_DIG"),
    "float64": ("double", "DBL_MANT_DIG"),
    "int32": ("int32_t", ""),
}

C_HEADERS = [
    "assert",
    "complex",
    "ctype",
    "errno",
    "fenv",
    "float",
    "inttypes",
    "iso646",
    "limits",
    "locale",
    "math",
    "setjmp",
    "signal",
    "stdalign",
    "stdarg",
    "stdatomic",
    "stdbit",
    "stdbool",
    "stdckdint",
    "stddef",
    "stdint",
    "stdio",
    "stdlib",
    "stdnoreturn",
    "string",
    "tgmath",
    "threads",
    "time",
    "uchar",
    "wchar",
    "wctype",
]
"""The names of the headers of C23, without ".h"."""


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the texts of the source and of its header."""
    number, _ = NUMBERS[model.params.dtype.name]
    return sources(
        name,
        model,
        row=number,
        arrays=_arrays(model),
        body="\n".join(_layers(model, name.upper(), number)),
        note=note(model),
        **of_network(model),
    )


def of_network(model: Model) -> dict[str, Any]:
    """Return the parts of the templates that say what a network is."""
    network = model.network
    return {
        "what": f"A network {model.summary}",
        "labels": labels_comment(model.classes, network.n_outputs),
        "n_inputs": network.n_inputs,
    }


def sources(
    name: str, model: Model, row: str, functions: Any = None, **parts: Any
) -> dict[str, bytes]:
    """Return the source and the header: their templates, filled with C functions, by default those
    of predictions, and `parts`.

    `row` is the C type of inputs and outputs.
    """
    from fastnn.fused import in_c  # imports Numba

    check_name(name)
    functions = functions or in_c.prediction(model.network, model.params.dtype)
    dtypes = {model.params.dtype, np.dtype({"float": np.float32, "double": np.float64}[row])}
    checks = []
    for dtype in sorted(dtypes, key=str):
        number, mantissa = NUMBERS[dtype.name]
        n_bits = dtype.itemsize * 8
        digits = np.finfo(dtype).nmant + 1
        checks.append(
            CHECK.format(name=name, number=number, mantissa=mantissa, digits=digits, n_bits=n_bits)
        )
    methods = (-1, 1, 2) if np.dtype(np.float32) in dtypes else (-1, 2)
    upper = name.upper()
    texts = {
        "name": name,
        "upper": upper,
        "version": __version__,
        "written_by": WRITTEN_BY,
        "row": row,
        "n_outputs": model.network.n_outputs,
        "threads": THREADS.format(upper=upper),
        "buffers": BUFFERS.format(upper=upper),
        "includes": "",
        "declarations": "",
        "more": "",
        "checks": "\n".join(checks),
        "wider": " || ".join(f"FLT_EVAL_METHOD == {k}" for k in methods),
        "functions": in_c.source(functions, model.params.dtype),
        **parts,
    }
    source = from_template("network.c", **texts)
    return {".c": source.encode(), ".h": from_template("network.h", **texts).encode()}


def labels_comment(classes: Array | None, n_outputs: int) -> str:
    """Return the header's comment on a classifier's labels."""
    if classes is None:
        return ""
    labels = label_list(classes)
    of = f"the label {labels[-1]!r}" if n_outputs == 1 else f"the labels {labels}"
    return comment(f"\n   Outputs are probabilities, of {of}.")


def comment(text: str) -> str:
    """Return a text without what would end the comment that it stands in, or what compilers warn of
    there.
    """
    for pair in "*/", "/*", "??/":  # the last one is a backslash of old, which joins lines
        text = text.replace(pair, f"{pair[:-1]} {pair[-1]}")
    return text


def check_name(name: str) -> None:
    """Raise ValueError unless functions can be called after a file of this name, and its header
    hides none of C's.
    """
    if name.lower() in C_HEADERS:
        raise ValueError(
            f"{name}.h is a header of C's own, which ours would hide: write to {name}_net.c"
        )
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return
    good = re.sub(r"[^A-Za-z0-9_]+", "_", name).lstrip("_0123456789") or "net"
    raise ValueError(
        f"C functions are named after the file, and {shown(name)} is no name in C: write to "
        f"{good:.50}.c"
    )


def note(model: Model) -> str:
    """Return a note on the memory that the functions take."""
    rom = model.params.nbytes
    ram = sum(hidden_buffers(model.network)) * model.params.itemsize
    return (
        f"ROM: {rom:,} bytes of weights, besides the code. RAM: {ram:,} bytes of buffers, "
        f"besides the stack."
    )


def hidden_buffers(network: Network) -> list[int]:
    """Return the sizes of the two buffers that hidden layers write to in turn; 0 of one that none
    writes to.
    """
    hidden = network.sizes[1:-1]
    return [max(hidden[k::2], default=0) for k in (0, 1)]


def _layers(model: Model, upper: str, number: str) -> list[str]:
    """Return the lines of `predict`."""
    layers = model.network.layers
    sizes = hidden_buffers(model.network)
    lines = [f"    {upper}_BUFFER {number} a{k}[{size}];" for k, size in enumerate(sizes) if size]
    weights = [f"W{k}" for k in range(len(layers))]
    biases = [f"b{k}" if layer.n_bias else "no_bias" for k, layer in enumerate(layers)]
    return lines + layer_calls(model.network, weights, biases, "x", "out")


def layer_calls(
    network: Network, weights: list[str], biases: list[str], below: str, outputs: str
) -> list[str]:
    """Return the lines that compute a network's `outputs` from the inputs `below`, through the
    buffers a0 and a1.
    """
    name_of = {activation: name for name, activation in network.custom_activations.items()}
    lines = []
    for k, (layer, W, b) in enumerate(zip(network.layers, weights, biases, strict=True)):
        z = outputs if k == network.n_layers - 1 else f"a{k % 2}"
        lines.append(f"    dense({z}, {W}, {below}, {b}, {layer.fan_in}, {layer.fan_out});")
        if layer.activation != "identity":
            activation: Any = network.activations[k]
            name = name_of.get(activation, layer.activation)
            numbers = "".join(f", {decimal(np.float64(number))}" for number in layer.numbers)
            lines.append(f"    apply_{name}({z}, {layer.fan_out}{numbers});")
        below = z
    return lines


def _arrays(model: Model) -> str:
    """Return the weights and biases."""
    network = model.network
    weights = network.weights(model.params)
    biases = network.biases(model.params)
    texts = []
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        texts.append(array_text(f"W{k}", W, f"{W.shape}: a row has the weights of an input"))
        if b.size:
            texts.append(array_text(f"b{k}", b, f"{b.shape}"))
    if network.bias == "none":
        texts.append(array_text("no_bias", np.zeros(1, model.params.dtype), "of all neurons"))
    return "\n".join(texts)


def array_text(name: str, array: Array, shape: str) -> str:
    """Return the definition of an array of constants."""
    number, _ = NUMBERS[array.dtype.name]
    return (
        f"/* {name} {shape} */\n"
        f"static const {number} {name}[{array.size}] = {{\n    {numbers_list(array)}\n}};\n"
    )


def numbers_list(array: Array) -> str:
    """Return the numbers of an array in lines; they are finite, and so many digits name no other
    number.
    """
    number, _ = NUMBERS[array.dtype.name]
    suffix, a_line = ("f", 8) if number == "float" else ("", 4)
    numbers = [
        (str(x) if array.dtype.kind == "i" else decimal(x)) + suffix for x in array.reshape(-1)
    ]
    return ",\n    ".join(
        ", ".join(numbers[k : k + a_line]) for k in range(0, len(numbers), a_line)
    )
