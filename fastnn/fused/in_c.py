"""The functions of exported C code, traced from the kernel's way of a single row.

A vector is one number in C. Sizes, places and the numbers of an optimizer stand in the code.
"""

import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types

from fastnn.compiler.c_code import CFunction, Values, source
from fastnn.compiler.control import each
from fastnn.compiler.memory_ops import load, offset, splat, store, zero
from fastnn.compiler.tracing import all_traced
from fastnn.compiler.vectors import bit_or, like
from fastnn.formulas import text
from fastnn.fused import blocks, layout, propagation
from fastnn.fused.dense import (
    each_layer,
    layer_at,
    output_layer,
    row_backward_layer,
    row_bias_gradient_at,
)
from fastnn.fused.evaluate import write_jacobian
from fastnn.fused.formulas import numbers_of_row
from fastnn.fused.gather import copy
from fastnn.fused.matmul import Strided, row_product
from fastnn.fused.updates import UPDATES, Constants, State, row_gradient
from fastnn.losses import ACTIVATIONS, line_of
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, Task

__all__ = ["Passes", "Sizes", "prediction", "source"]


def prediction(network: Network, dtype: np.dtype[Any]) -> list[CFunction]:
    """Return ``dense(z, W, a, bias, fan_in, fan_out)`` and ``apply_NAME(z, n)``.

    The latter are those of the network's activations but for identity; they overwrite z (n,).
    """
    number = from_dtype(dtype)
    step = int(network.bias == "vector")
    pointer = types.CPointer(number)
    count = types.intp

    def dense(z, W, a, bias, fan_in, fan_out):
        inspect.unwrap(row_product)(z, W, a, Strided(bias, step), fan_in, fan_out)

    parameters = {
        **dict.fromkeys(("z", "W", "a", "bias"), pointer),
        "fan_in": count,
        "fan_out": count,
    }
    says = (
        f"z[o] = bias[{'o' if step else '0'}] + sum of a[k] * W[k, o]: for each o one chain of "
        f"fma, k ascending."
    )
    functions = [CFunction("dense", parameters, dense, says)]
    names = dict.fromkeys(layer.activation for layer in network.layers)
    for name in [name for name in names if name in ACTIVATIONS and name != "identity"]:
        value = ACTIVATIONS[name].value
        says = f"The activation {name} of z (n,)."
        parameters = {"z": pointer, "n": count} | dict.fromkeys(
            vars(value) if value else (), number
        )
        functions.append(CFunction(f"apply_{name}", parameters, numbers_of_row(name), says))
    for name, activation in network.custom_activations.items():
        says = f"The activation {text(activation.formula)} of z (n,)."
        body = numbers_of_row(activation)
        functions.append(CFunction(f"apply_{name}", {"z": pointer, "n": count}, body, says))
    return functions


class Sizes(NamedTuple):
    """How many numbers the buffers of `Passes` have."""

    activations: int
    slopes: int
    deltas: int
    first_output: int
    """Where the outputs are among the activations."""


class Passes:
    """The functions of a row's way through the network, and back.

    Of arrays of numbers: ``forward(x, p, a, s)`` writes the activations a and what derivatives need
    besides, s. ``derivatives(p, a, s, d, jacobian)`` writes those of outputs by inputs.
    ``backward(y, p, a, s, d, terms, total, shape)`` writes the loss and the deltas d,
    ``check(p, a, d, flag)`` looks at the gradient, and ``update(p, beta_products, a, d, flag)``
    does a step; both set `flag` to a number that is not 0 where they find one that is not finite.
    """

    def __init__(self, network: Network, dtype: np.dtype[Any]) -> None:
        self.network = network
        self.dtype = dtype
        self.array = types.CPointer(from_dtype(dtype))
        self.model = layout.describe(network, dtype, 1)
        self.functions: list[CFunction] = []
        last = output_layer(self.model)
        n = int(last.output) + network.n_outputs
        needs_z = any(line_of(given, ACTIVATIONS).needs_z for given in network.activations)
        self.sizes = Sizes(n, n if needs_z else 1, 0, int(last.output))
        self.first_delta = int(layer_at(self.model, 0).output)
        """Where the activations begin of which there are deltas: those that are no inputs."""
        self._add("forward", "Compute all layers' activations a of the inputs x.", "x p a s")

    def add_jacobian(self) -> None:
        """Add `derivatives`, which has two buffers of deltas in turn."""
        self._need_deltas(2 * max(self.network.sizes))
        says = "Write the derivatives of the outputs by the inputs (n_outputs, n_inputs)."
        self._add("derivatives", says, "p a s d jacobian")

    def add_step(self, optimizer: Optimizer, alpha: float) -> None:
        """Add the functions of a step with a penalty of this strength; the optimizer's rate is a
        number.
        """
        nothing = np.zeros(0, self.dtype)
        task = Task(self.network, optimizer, Data(nothing, nothing, nothing), alpha)
        self.spec = layout.update_spec(task, self.network.n_params)
        self.rate = optimizer.learning_rate
        self.constants = np.zeros(layout.N_CONSTANTS, self.dtype)
        layout.set_task_constants(self.constants, task)
        self.constants[layout.SCALE] = 1
        self.is_final = alpha == 0
        """Whether no penalty has to be added to the gradient."""
        self._need_deltas(self.sizes.activations - self.first_delta)
        says = "Compute the loss of targets y, and the deltas d of all layers."
        self._add("backward", says, "y p a s d terms total shape")
        self._add("check", "Set flag where a number of the gradient is not finite.", "p a d flag")
        says = "Update the parameters p; set flag where one is not finite then."
        products = types.CPointer(types.float64)
        self._add("update", says, "p beta_products a d flag", beta_products=products)

    def _need_deltas(self, n: int) -> None:
        """Make room for as many deltas."""
        self.sizes = self.sizes._replace(deltas=max(self.sizes.deltas, n))

    def _deltas_at(self, d, place):
        """Return a pointer to the deltas of the activations at a place."""
        return offset(d, place - self.first_delta)

    def _add(self, name, says, arrays, **others):
        parameters = dict.fromkeys(arrays.split(), self.array) | others
        self.functions.append(CFunction(name, parameters, getattr(self, f"_{name}"), says))

    def _model_in(self, near):
        """Return the network in numbers for the code that `near` is in."""
        layers = Values(near, types.CPointer(types.int64), enumerate(self.model.layers.tolist()))
        n_inputs, n_outputs = all_traced(near, [self.model.n_inputs, self.model.n_outputs])
        return self.model._replace(layers=layers, n_inputs=n_inputs, n_outputs=n_outputs)

    def _scratch(self, a, s, **others):
        weight = Values(a, self.array, {0: 1.0})
        zeros = Values(a, self.array, {0: 0.0})
        return SimpleNamespace(activations=a, slopes=s, weight=weight, zeros=zeros, **others)

    def _forward(self, x, p, a, s):
        model = self._model_in(a)
        copy(a, x, model.n_inputs)
        propagation.forward(self._scratch(a, s), model, p, p, 1, 1)

    def _derivatives(self, p, a, s, d, jacobian):
        model = self._model_in(a)
        sizes = model.n_outputs, model.n_inputs
        second = offset(d, max(self.network.sizes))
        write_jacobian(jacobian, model, sizes, self._scratch(a, s), p, d, second)

    def _backward(self, y, p, a, s, d, terms, total, shape):
        model = self._model_in(a)
        top = self._deltas_at(d, output_layer(model).output)
        own = {"targets": y, "delta": top, "delta_below": terms, "sum_of_l": total}
        scratch = self._scratch(a, s, loss_numbers=shape, **own)
        propagation.output_delta(scratch, model, 1, 1)
        for l in range(model.n_layers - 1, 0, -1):
            layer = layer_at(model, l)
            delta = self._deltas_at(d, layer.output)
            below = self._deltas_at(d, layer.input)
            row_backward_layer(layer, scratch, p, delta, below)

    def _each(self, p, a, d, wrong, visit):
        """Call ``visit(i, is_weight, gradient_of)`` for each parameter i, the last one a function
        of the parameter; `visit` changes the list `wrong`.
        """
        constants = Constants(Values(a, self.array, enumerate(self.constants.tolist())))
        one = like(zero(a), 1.0)
        has_own = self.network.bias == "vector"
        for l, layer in each_layer(self._model_in(a)):
            inputs = offset(a, layer.input)
            deltas = self._deltas_at(d, layer.output)
            for i in each(layer.fan_in, wrong):
                a_i = splat(inputs, i)
                for o in each(layer.fan_out, wrong):
                    k = layer.weight + (i * layer.fan_out + o)
                    numbers = a_i, load(deltas, o), one, self.is_final
                    visit(k, one, partial(row_gradient, constants, *numbers))
            n_bias = layer.fan_out if has_own else self.network.layers[l].n_bias
            for i in each(n_bias, wrong):
                b = offset(p, layer.bias)
                g = row_bias_gradient_at(
                    i, has_own, layer.fan_out, deltas, b, self.model.times_bias
                )
                visit(layer.bias + i, zero(a), lambda p, g=g: g)

    def _check(self, p, a, d, flag):
        wrong = [load(flag, 0)]

        def visit(i, is_weight, gradient_of):
            g = gradient_of(load(p, i))
            wrong[0] = bit_or(g - g, wrong[0])

        self._each(p, a, d, wrong, visit)
        store(flag, 0, wrong[0])

    def _update(self, p, beta_products, a, d, flag):
        wrong = [load(flag, 0)]
        numbers = Values(a, self.array, enumerate(self.constants.tolist()))
        function = getattr(blocks.set_step_constants, "py_func", blocks.set_step_constants)
        scratch = SimpleNamespace(update_constants=numbers)
        function(scratch, self.spec, beta_products, self.rate, 1.0)
        state = State(p, self.network.n_params, numbers, flag)
        constants = Constants(numbers)
        update = UPDATES[self.spec.code]

        def visit(i, is_weight, gradient_of):
            update.step(state, constants, i, is_weight, gradient_of, wrong)

        self._each(p, a, d, wrong, visit)
        store(flag, 0, wrong[0])
