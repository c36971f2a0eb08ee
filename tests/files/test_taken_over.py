"""Modules and models that compute something else than their weights say are refused: PyTorch's, Keras', stand-ins."""

import os

import numpy as np
import pytest
import stand_ins
from exported import assert_same

from fastnn import from_keras, from_torch

os.environ.setdefault("KERAS_BACKEND", "torch")


def torch_sequence(nn, tanh=None):
    return nn.Sequential(nn.Linear(2, 3), tanh or nn.Tanh(), nn.Linear(3, 1))


def keras_sequence(layers):
    if layers is stand_ins.layers:
        return layers.Sequential(layers.Dense(2, 3), layers.Dropout(), layers.Dense(3, 1))
    import keras

    return keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dropout(0.5), layers.Dense(1)])


@pytest.fixture(params=["PyTorch", "Keras", "like PyTorch", "like Keras"])
def taken(request):
    """A function of fastnn's, and a model that it takes."""
    if request.param.startswith("like"):
        nn, layers = stand_ins.nn, stand_ins.layers
    else:
        nn = pytest.importorskip("torch", reason="PyTorch is not installed").nn
        if request.param == "Keras":
            layers = pytest.importorskip("keras", reason="Keras is not installed").layers
    if request.param.endswith("Keras"):
        return from_keras, keras_sequence(layers)
    return from_torch, torch_sequence(nn)


def twice(module, inputs, outputs=None):
    return inputs[0] * 2 if outputs is None else outputs * 2


def computed(module):
    """A weight that is computed when the module is called, as pruning and the old norms have it."""
    weight = module._parameters.pop("weight")
    vars(module)["weight"] = weight


def set_forward(part):
    part.forward = part.call = lambda x: 2 * x


SPOILED = {
    "a hook": (lambda part: part.register_forward_hook(twice), "has a hook, in its _forward_hooks"),
    "a hook before it": (lambda part: part.register_forward_pre_hook(twice), "has a hook, in its _forward_pre_hooks"),
    "a function of its own": (set_forward, "has a forward of its own"),
}


@pytest.mark.parametrize("where", [0, 1, 2, None])
@pytest.mark.parametrize("name", SPOILED)
def test_what_computes_something_else_is_refused(taken, name, where):
    take, model = taken
    assert take(model).network.sizes == (2, 3, 1)
    part = model if where is None else model.layers[where] if take is from_keras else model[where]
    spoil, words = SPOILED[name]
    words = f"Sequential.* {words}" if where is None else words
    if take is from_keras and not hasattr(part, "_forward_hooks") and "hook" in name:
        pytest.skip("Keras computes by another library than PyTorch")
    spoil(part)
    with pytest.raises(ValueError, match=f"{words}.*so may compute something else than its weights say"):
        take(model)


@pytest.mark.parametrize("library", ["like PyTorch", "PyTorch"])
def test_a_weight_that_is_computed_is_refused(library):
    nn = stand_ins.nn
    if library == "PyTorch":
        nn = pytest.importorskip("torch", reason="PyTorch is not installed").nn
    module = torch_sequence(nn)
    computed(module[0])
    with pytest.raises(
        ValueError, match=r"the weight of .*Linear.* is no parameter: prune\.remove or remove_weight_norm"
    ):
        from_torch(module)


def test_a_class_of_the_users_own_is_refused():
    for nn, take, make in ((stand_ins.nn, from_torch, torch_sequence), (stand_ins.layers, from_keras, keras_sequence)):
        model = make(nn)
        part = model.layers[0]
        model.layers[0] = own = type(type(part).__name__, (type(part),), {"__module__": "mine"})(2, 3)
        assert type(own).__name__ in ("Linear", "Dense")
        with pytest.raises(ValueError, match="no layer of fastnn's is like"):
            take(model)


@pytest.mark.parametrize(("threshold", "is_taken"), [(20, True), (40, True), (0.1, False)])
def test_a_softplus_is_taken_where_its_threshold_shows_nowhere(threshold, is_taken):
    module = torch_sequence(stand_ins.nn, stand_ins.nn.Softplus(beta=1, threshold=threshold))
    if is_taken:
        assert from_torch(module).network.activation == ("softplus",)
        return
    with pytest.raises(ValueError, match="fastnn's softplus is that of threshold=20 or 40"):
        from_torch(module)


@pytest.mark.parametrize("dtype", ["int32", "float16"])
def test_inputs_that_keras_rounds_are_refused(dtype):
    model = keras_sequence(stand_ins.layers)
    model.inputs[0].dtype = dtype
    with pytest.raises(ValueError, match=f"must be float32 or float64, not {dtype}: Keras rounds them"):
        from_keras(model)
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    inner = keras.Sequential([keras.Input((2,), dtype=dtype), keras.layers.Dense(1)])
    for model in inner, keras.Sequential([keras.Input((2,)), inner]):
        with pytest.raises(ValueError, match=f"must be float32 or float64, not {dtype}: Keras rounds them"):
            from_keras(model)


NORMED = {
    "weight_norm": lambda nn, part: nn.utils.weight_norm(part),
    "spectral_norm": lambda nn, part: nn.utils.spectral_norm(part),
    "pruned": lambda nn, part: nn.utils.prune.random_unstructured(part, "weight", 0.5),
    "parametrized": lambda nn, part: nn.utils.parametrizations.spectral_norm(part),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", NORMED)
def test_pytorchs_own_norms_and_pruning_are_refused(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    prune = pytest.importorskip("torch.nn.utils.prune")
    module = torch_sequence(torch.nn)
    NORMED[name](torch.nn, module[0])
    with pytest.raises(ValueError, match=r"has a hook|no layer of fastnn's is like Parametrized"):
        from_torch(module)
    if name == "pruned":
        prune.remove(module[0], "weight")
        with torch.no_grad():
            outputs = module(torch.ones((1, 2))).numpy()
        assert_same(from_torch(module).predict(np.ones((1, 2), np.float32)), outputs, "outputs")


@pytest.mark.filterwarnings("ignore")
def test_a_hook_of_all_modules_and_quantized_ones_are_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch_sequence(torch.nn)
    for register in "register_module_forward_hook", "register_module_forward_pre_hook":
        hook = getattr(torch.nn.modules.module, register)(twice)
        with pytest.raises(ValueError, match="has a hook of all modules, in torch's _global_forward"):
            from_torch(module)
        hook.remove()
    assert from_torch(module).network.sizes == (2, 3, 1)
    with pytest.raises(ValueError, match="weights must be in memory"):
        from_torch(torch.nn.Sequential(torch.nn.Linear(2, 1, device="meta")))
    with pytest.raises(ValueError, match="no layer of fastnn's is like DynamicQuantizedLinear"):
        from_torch(torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}))
