"""Networks from PyTorch and Keras and to them: what one predicts, the other does; whatever computes
more is refused."""

import os
import types

import numpy as np
import pytest
import stand_ins
from bits import assert_same_bits
from exported import NETWORKS, assert_same, rows, trained

from fastnn import Network, TrainingResult, from_keras, from_torch, train
from fastnn.files.frameworks import _NAMES, MODULES

os.environ.setdefault("KERAS_BACKEND", "torch")


class PyTorch:
    """PyTorch, where it is installed: its models, fastnn's functions for it, and what a model
    computes."""

    lacks = "output exp", r"torch\.nn has no activation 'exp'"

    def __init__(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        self.nn = self.torch.nn
        self.take = from_torch
        self.to = TrainingResult.to_torch

    def outputs(self, module, X):
        with self.torch.no_grad():
            return module(self.torch.from_numpy(X)).numpy()

    def fill(self, module, value):
        with self.torch.no_grad():
            module[0].weight.fill_(value)

    def built(self, dtype):
        nn = self.nn
        of = {"dtype": self.torch.from_numpy(np.zeros(0, dtype)).dtype}
        first = nn.Sequential(
            nn.Identity(), nn.Linear(5, 7, bias=False, **of), nn.GELU("tanh"), nn.Dropout(0.5)
        )
        return nn.Sequential(first, nn.Linear(7, 6, **of), nn.Linear(6, 3, **of)).eval()

    def small(self):
        return self.nn.Sequential(self.nn.Linear(2, 3), self.nn.Tanh(), self.nn.Linear(3, 1))

    def after(self, *parts):
        return self.nn.Sequential(self.nn.Linear(2, 1), *parts)


class Keras:
    """The same of Keras."""

    lacks = "gelu", "keras has no activation 'gelu'"

    def __init__(self):
        self.keras = pytest.importorskip(
            "keras", reason="Keras, or the library by which it computes, is missing"
        )
        self.layers = self.keras.layers
        self.take = from_keras
        self.to = TrainingResult.to_keras

    def outputs(self, model, X):
        """To float32's rounding: so Keras multiplies float64, too, where PyTorch computes it."""
        return self.keras.ops.convert_to_numpy(model(X)).astype(np.float32)

    def fill(self, model, value):
        model.layers[0].set_weights(
            [np.full_like(array, value) for array in model.layers[0].get_weights()]
        )

    def built(self, dtype):
        layers = self.layers
        of = {"dtype": np.dtype(dtype).name}
        more = {"n_inputs": 5, **of}
        first = self.after(
            layers.Dense(7, use_bias=False, **of), layers.LeakyReLU(0.01, **of), **more
        )
        end = layers.Dense(4, **of), layers.Activation("tanh", **of), layers.Dense(3, **of)
        return self.after(
            first, layers.Dropout(0.5, **of), layers.Dense(6, "swish", **of), *end, **more
        )

    def small(self):
        return self.after(self.layers.Dense(3), self.layers.Dropout(0.5), self.layers.Dense(1))

    def after(self, *parts, n_inputs=2, dtype="float32"):
        return self.keras.Sequential([self.keras.Input((n_inputs,), dtype=dtype), *parts])


LIBRARIES = {"PyTorch": PyTorch, "Keras": Keras}
BUILT = {
    "PyTorch": Network((5, 7, 6, 3), ("gelu", "identity")),
    "Keras": Network((5, 7, 6, 4, 3), ("leaky_relu", "silu", "tanh")),
}
WRITTEN = [("PyTorch", name) for name, network in NETWORKS.items() if network.output in MODULES]
IN_KERAS = {*_NAMES, "leaky_relu"}
WRITTEN += [
    ("Keras", name)
    for name, own in NETWORKS.items()
    if {layer.activation for layer in own.layers} <= IN_KERAS
]


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]()


@pytest.mark.parametrize(("library", "name"), WRITTEN, indirect=["library"])
def test_there_and_back(library, name, dtype):
    result = trained(NETWORKS[name], dtype)
    X = rows(dtype)
    model = library.to(result)
    outputs = library.outputs(model, X)
    assert_same(outputs, result.predict(X).astype(outputs.dtype), name)
    back = library.take(model)
    assert (back.network.sizes, back.network.activations) == (
        result.network.sizes,
        result.network.activations,
    )
    assert_same_bits(back.predict(X), result.predict(X))  # float64's weights, whole
    library.fill(model, 0.0)
    assert_same_bits(back.predict(X), result.predict(X))
    assert_same_bits(library.take(library.to(result)).params, back.params)


@pytest.mark.parametrize(("library", "network"), BUILT.items(), ids=BUILT, indirect=["library"])
def test_what_is_built_in_the_library(library, network, dtype):
    model = library.built(dtype)
    X = rows(dtype)
    result = library.take(model)
    outputs = library.outputs(model, X)
    assert result.network == network
    assert_same(outputs, result.predict(X).astype(outputs.dtype), "outputs")
    classifier = library.take(model, output="softmax")
    assert classifier.network.loss == "cross_entropy"
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    assert_same(
        e / e.sum(axis=1, keepdims=True),
        classifier.predict(X).astype(outputs.dtype),
        "probabilities",
    )
    more = train(
        classifier.network, X, np.arange(len(X)) % 3, epochs=1, params=classifier.params, seed=0
    )
    assert more.params.dtype == dtype


def tanh(x):
    """A function of the user's own, with a name that Keras has too."""
    return 2 * x


AFTER = "must stand after a"
REFUSED_BY_VALUE = [
    ("PyTorch", lambda t: t.nn.Sequential(), "there is no Linear layer"),
    ("PyTorch", lambda t: t.after(t.nn.Conv1d(1, 1, 1)), "no layer of fastnn's is like Conv1d"),
    (
        "PyTorch",
        lambda t: t.nn.Sequential(t.nn.ReLU(), t.nn.Linear(2, 1)),
        rf"ReLU\(\) {AFTER} Linear layer",
    ),
    ("PyTorch", lambda t: t.after(t.nn.ReLU(), t.nn.Tanh()), rf"Tanh\(\) {AFTER} Linear"),
    ("PyTorch", lambda t: t.after(t.nn.GELU()), "fastnn's gelu is that of approximate='tanh'"),
    ("PyTorch", lambda t: t.after(t.nn.Softmax(0)), "fastnn's softmax is that of dim=-1 or 1"),
    ("PyTorch", lambda t: t.after(t.nn.Softmax(1), t.nn.Linear(1, 1)), "unknown .* 'softmax'"),
    ("PyTorch", lambda t: t.after(t.nn.Linear(2, 1)), r"weights\[1\] must have the shape \(1, 1\)"),
    (
        "PyTorch",
        lambda t: t.nn.Sequential(t.nn.Linear(2, 1, device="meta")),
        "weights must be in memory",
    ),
    ("Keras", lambda k: k.after(), "there is no Dense layer"),
    (
        "Keras",
        lambda k: k.keras.Sequential([k.layers.Dense(1)]),
        "must have weights, 2 arrays, not 0: is the model",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.BatchNormalization()),
        "no layer of fastnn's is like <BatchNormalization",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.ReLU(), k.layers.Dense(1)),
        f"<ReLU .* {AFTER} Dense layer",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1, "relu"), k.layers.ELU()),
        f"<ELU .* {AFTER} Dense layer",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1, "gelu")),
        "is Keras' gelu .ours is that of approximate=True",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1, "leaky_relu")),
        "is Keras' leaky_relu .our slope is 0.01",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1, tanh)),
        "no activation of fastnn's is Keras' tanh",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1), k.layers.ReLU(6)),
        "fastnn's relu is that of max_value=None",
    ),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(2, "softmax"), k.layers.Dense(1)),
        "unknown .* 'softmax'",
    ),
]
REFUSED_BY_TYPE = [
    (
        "PyTorch",
        lambda t: t.nn.Linear(2, 1),
        r"from_torch takes a torch.nn.Sequential, not Linear\(",
    ),
    ("PyTorch", lambda t: "model.pt", "from_torch takes a torch.nn.Sequential, not 'model.pt'"),
    (
        "PyTorch",
        lambda t: t.after().half(),
        "weights must be float32 or float64, not torch.float16",
    ),
    ("Keras", lambda k: k.layers.Dense(1), "from_keras takes a keras.Sequential, not <Dense"),
    ("Keras", lambda k: "model.keras", "from_keras takes a keras.Sequential, not 'model.keras'"),
    (
        "Keras",
        lambda k: k.after(k.layers.Dense(1, dtype="float16")),
        "must compute in float32 or float64, not float16",
    ),
]
REFUSED = [
    *((*case, ValueError) for case in REFUSED_BY_VALUE),
    *((*case, TypeError) for case in REFUSED_BY_TYPE),
]


@pytest.mark.parametrize(("library", "make", "match", "error"), REFUSED, indirect=["library"])
def test_other_models_are_refused(library, make, match, error):
    with pytest.raises(error, match=match):
        library.take(make(library))


def test_options_and_weights_that_do_not_fit_are_refused(library):
    model = library.to(trained(NETWORKS["output tanh"], np.float32))
    words = "the last layer has an activation, tanh: output='softmax' cannot be given besides"
    with pytest.raises(ValueError, match=words):
        library.take(model, output="softmax")
    with pytest.raises(ValueError, match="unknown output 'softmin'"):
        library.take(library.small(), output="softmin")
    library.fill(model, np.nan)
    with pytest.raises(ValueError, match="the weights must be finite"):
        library.take(model)
    name, text = library.lacks
    with pytest.raises(ValueError, match=f"the format {text}"):
        library.to(trained(NETWORKS[name], np.float32))


def like_pytorch(last=None):
    nn = stand_ins.nn
    return nn.Sequential(nn.Linear(2, 3), last or nn.Tanh(), nn.Linear(3, 1))


def like_keras():
    layers = stand_ins.layers
    return layers.Sequential(layers.Dense(2, 3), layers.Dropout(), layers.Dense(3, 1))


LIKE = {
    "like PyTorch": types.SimpleNamespace(take=from_torch, small=like_pytorch),
    "like Keras": types.SimpleNamespace(take=from_keras, small=like_keras),
}


def twice(module, inputs, outputs=None):
    return inputs[0] * 2 if outputs is None else outputs * 2


def set_forward(part):
    part.forward = part.call = lambda x: 2 * x


SPOILED = {
    "a hook": (lambda part: part.register_forward_hook(twice), "has a hook, in its _forward_hooks"),
    "a hook before it": (
        lambda part: part.register_forward_pre_hook(twice),
        "has a hook, in its _forward_pre_hooks",
    ),
    "a function of its own": (set_forward, "has a forward of its own"),
}


@pytest.mark.parametrize("where", [0, 1, 2, None])
@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("kind", [*LIBRARIES, *LIKE])
def test_what_computes_something_else_is_refused(kind, name, where):
    alike = LIKE.get(kind) or LIBRARIES[kind]()
    take = alike.take
    model = alike.small()
    assert take(model).network.sizes == (2, 3, 1)
    part = model if where is None else model.layers[where] if take is from_keras else model[where]
    spoil, words = SPOILED[name]
    words = f"Sequential.* {words}" if where is None else words
    if take is from_keras and not hasattr(part, "_forward_hooks") and "hook" in name:
        pytest.skip("Keras computes by another library than PyTorch")
    spoil(part)
    with pytest.raises(
        ValueError, match=f"{words}.*so may compute something else than its weights say"
    ):
        take(model)


@pytest.mark.parametrize(
    "make", [like_pytorch, lambda: PyTorch().small()], ids=["like PyTorch", "PyTorch"]
)
def test_a_weight_that_is_computed_is_refused(make):
    """As pruning and the old norms have it."""
    module = make()
    vars(module[0])["weight"] = module[0]._parameters.pop("weight")
    with pytest.raises(
        ValueError,
        match=r"weight of .*Linear.* is no parameter: prune\.remove or remove_weight_norm",
    ):
        from_torch(module)


@pytest.mark.parametrize("library", LIKE.values(), ids=LIKE)
def test_a_class_of_the_users_own_is_refused(library):
    model = library.small()
    kind = type(model.layers[0])
    model.layers[0] = type(kind.__name__, (kind,), {"__module__": "mine"})(2, 3)
    with pytest.raises(ValueError, match="no layer of fastnn's is like"):
        library.take(model)


def test_a_softplus_is_taken_where_its_threshold_shows_nowhere():
    for threshold in (20, 40):
        module = like_pytorch(stand_ins.nn.Softplus(beta=1, threshold=threshold))
        assert from_torch(module).network.activation == ("softplus",)
    with pytest.raises(ValueError, match="fastnn's softplus is that of threshold=20 or 40"):
        from_torch(like_pytorch(stand_ins.nn.Softplus(beta=1, threshold=0.1)))


@pytest.mark.parametrize("dtype", ["int32", "float16"])
def test_inputs_that_keras_rounds_are_refused(dtype):
    model = like_keras()
    model.inputs[0].dtype = dtype
    with pytest.raises(
        ValueError, match=f"must be float32 or float64, not {dtype}: Keras rounds them"
    ):
        from_keras(model)
    library = Keras()
    inner = library.after(library.layers.Dense(1), dtype=dtype)
    for model in inner, library.after(inner):
        with pytest.raises(
            ValueError, match=f"must be float32 or float64, not {dtype}: Keras rounds them"
        ):
            from_keras(model)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_pytorchs_own_norms_and_pruning_are_refused():
    library = PyTorch()
    prune = pytest.importorskip("torch.nn.utils.prune")
    utils = library.nn.utils
    pruned = lambda part: prune.random_unstructured(part, "weight", 0.5)  # noqa: E731
    for change in (
        utils.weight_norm,
        utils.spectral_norm,
        utils.parametrizations.spectral_norm,
        pruned,
    ):
        module = library.small()
        change(module[0])
        with pytest.raises(
            ValueError, match=r"has a hook|no layer of fastnn's is like Parametrized"
        ):
            from_torch(module)
    prune.remove(module[0], "weight")
    X = np.ones((1, 2), np.float32)
    assert_same(from_torch(module).predict(X), library.outputs(module, X), "outputs")


@pytest.mark.filterwarnings("ignore")
def test_a_hook_of_all_modules_and_quantized_ones_are_refused():
    library = PyTorch()
    module = library.small()
    for register in "register_module_forward_hook", "register_module_forward_pre_hook":
        hook = getattr(library.nn.modules.module, register)(twice)
        with pytest.raises(
            ValueError, match="has a hook of all modules, in torch's _global_forward"
        ):
            from_torch(module)
        hook.remove()
    assert from_torch(module).network.sizes == (2, 3, 1)
    with pytest.raises(ValueError, match="no layer of fastnn's is like DynamicQuantizedLinear"):
        from_torch(library.torch.ao.quantization.quantize_dynamic(module, {library.nn.Linear}))
