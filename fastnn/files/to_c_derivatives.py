"""The format "c" with derivatives: a Jacobian by the inputs, and a step of learning on one row with
the state that it changes, in static memory.
"""

import math
from typing import Any

import numpy as np

from fastnn.checking.arguments import decimal
from fastnn.files.export import Model, from_template
from fastnn.files.to_c import NUMBERS, array_text, numbers_list, of_network, sources
from fastnn.memory import Array
from fastnn.training.inputs import target_range

STATE = """\
struct {name}_state {name}_state = {{
    {format:#x}u, {n_steps}u, {{{beta_products}}}, {{
    {numbers}
    }}
}};
"""

BODY = """\
    forward(x, {params}, a, s);
    for (size_t k = 0; k < {n}; k++)
        out[k] = a[{first} + k];"""

HEADER_BYTES = 32
"""Bytes of the state before the vectors."""


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the texts of the source and of its header."""
    network = model.network
    learning = model.learning
    number, _ = NUMBERS[model.params.dtype.name]
    passes = _passes(model)
    params = "params" if learning is None else f"{name}_state.vectors"
    body = BODY.format(params=params, n=network.n_outputs, first=passes.sizes.first_output)
    texts: dict[str, Any] = {
        "name": name,
        "upper": name.upper(),
        "number": number,
        "params": params,
        "n_inputs": network.n_inputs,
        "n_outputs": network.n_outputs,
        "n_derivatives": network.n_inputs * network.n_outputs,
        "body": body,
    }
    declarations = ""
    code = ""
    arrays = "".join(f"static {number} {key}[{n}];\n" for key, n in _buffers(model, passes).items())
    if model.jacobian:
        declarations += from_template("jacobian.h", **texts)
        code += from_template("jacobian.c", **texts)
    if learning is None:
        arrays += array_text("params", model.params, f"({model.params.size},)")
    else:
        arrays += _state(model, name)
        texts |= _learning(model, f"{name.upper()}_BAD_TARGET")
        declarations += from_template("learn.h", **texts)
        code += from_template("learn.c", **texts)
    return sources(
        name,
        model,
        row=number,
        functions=passes.functions,
        arrays=arrays,
        body=body,
        note=note(model),
        threads="",
        buffers="",
        includes="" if learning is None else "\n#include <stdint.h>",
        declarations=declarations,
        more=code,
        **of_network(model),
    )


def note(model: Model) -> str:
    """Return a note on the memory that the functions take."""
    rom = model.params.nbytes
    ram = sum(_buffers(model, _passes(model)).values()) * model.params.itemsize
    if model.learning is not None:
        # a struct ends at a multiple of its largest number
        rom = HEADER_BYTES + -(-model.learning.state.vectors.nbytes // 8) * 8
        ram += rom
    return (
        f"ROM: {rom:,} bytes of numbers, besides the code. RAM: {ram:,} bytes, besides the stack."
    )


def _passes(model: Model) -> Any:
    from fastnn.fused import in_c  # imports Numba

    passes = in_c.Passes(model.network, model.params.dtype)
    if model.jacobian:
        passes.add_jacobian()
    if model.learning is not None:
        passes.add_step(model.learning.optimizer, model.learning.alpha)
    return passes


def _buffers(model: Model, passes: Any) -> dict[str, int]:
    """Return the lengths of the buffers: activations, slopes, deltas, terms of the loss."""
    sizes = passes.sizes
    buffers = {"a": sizes.activations, "s": sizes.slopes, "d": sizes.deltas}
    return buffers if model.learning is None else buffers | {"terms": model.network.n_outputs}


def _learning(model: Model, code: str) -> dict[str, Any]:
    """Return the parts of the templates of a step."""
    network = model.network
    learning = model.learning
    low, high = target_range(network)
    tests = [f"y[k] < {decimal(np.float64(low))}"] if math.isfinite(low) else []
    tests += [f"y[k] > {decimal(np.float64(high))}"] if math.isfinite(high) else []
    return {
        "n_params": network.n_params,
        "n_vectors": learning.state.vectors.size,
        "begins": f"{learning.state.t:,} steps of a training" if learning.state.t else "no step",
        "targets": network.loss_line.targets,
        "step": f"{learning.optimizer!r}, alpha={learning.alpha:g}",
        "penalty": ", without the penalty" if learning.alpha else "",
        "is_beyond": " || ".join(tests) or "0",
    }


def _state(model: Model, name: str) -> str:
    """Return the state, and the parameters of the loss."""
    learning = model.learning
    state: Array = learning.state.vectors
    shape = np.concatenate([*model.network.loss_numbers, np.zeros(1)]).astype(state.dtype)
    text = STATE.format(
        name=name,
        format=learning.format,
        n_steps=learning.state.t,
        beta_products=", ".join(map(decimal, learning.state.beta_products)),
        numbers=numbers_list(state),
    )
    return text + array_text("shape", shape, "parameters of the loss, for each output, and a 0")
