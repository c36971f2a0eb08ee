"""What is trained, and by what: a network, its activations and losses; optimizers, their state
vectors and defaults."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from fastnn import SGD, Adam, Network, cosine
from fastnn.losses import ACTIVATIONS, HIDDEN, LOSSES
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_the_loss_follows_the_output(output):
    """Cross-entropy is softmax's alone; squared error goes with all others, and a sigmoid has it in
    the tutorial."""
    network = Network((3, 2), output=output)
    assert network.loss == ("cross_entropy" if output == "softmax" else "squared_error")
    assert network == Network((3, 2), output=output, loss="auto")
    assert network == Network.from_dict(network.to_dict())
    assert "auto" not in repr(network)


def test_a_network_is_a_value():
    network = Network([np.int64(3), 5, 1], activation=["tanh"])
    equal = Network((3, 5, 1), ("tanh",))
    assert network == equal != Network((3, 5, 1), ("relu",))
    assert hash(network) == hash(equal)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.loss = "huber"
    assert Network((2, 3, 4, 1), "tanh").layers == Network((2, 3, 4, 1), ("tanh", "tanh")).layers
    assert Network((2, 1), "tanh").layers == Network((2, 1), ()).layers
    options = {"bias": "scalar", "bias_init": 1}
    for each in (
        Network((3, 1)),
        Network((3, 4, 5, 2), ("elu", "gelu"), "softmax", "cross_entropy", **options),
    ):
        assert Network.from_dict(json.loads(json.dumps(each.to_dict()))) == each


def test_the_registries():
    """The lines that version 0.1 has say what they said; new ones may follow."""
    assert {"softmax", "exp"}.isdisjoint(HIDDEN)
    anything = tuple(ACTIVATIONS)
    lines = {
        "squared_error": (anything, ["identity"]),
        "absolute_error": (anything, []),
        "huber": (anything, []),
        "log_loss": (("sigmoid",), ["sigmoid"]),
        "cross_entropy": (("softmax",), ["softmax"]),
        "poisson": (("exp", "softplus"), ["exp"]),
    }
    for loss, (outputs, matched) in lines.items():
        assert LOSSES[loss].outputs == outputs
        for output in outputs:
            assert Network((2, 2), output=output, loss=loss).matched == (output in matched)


def test_methods_of_other_libraries_say_what_to_write():
    network = Network((2, 1))
    for name, words in (("fit", r"result = train\(network, X, Y"), ("predict", r"result\.predict")):
        with pytest.raises(AttributeError, match=f"'{name}': it holds no weights, write {words}"):
            getattr(network, name)
    with pytest.raises(AttributeError, match=r"a Network has no attribute 'sizez'$"):
        _ = network.sizez
    assert not hasattr(network, "fit")


def test_a_pickle_has_what_a_network_was_made_of_and_nothing_that_follows():
    """What follows says where compiled code reads; a pickle of version 0.2 may have it too, and is
    not believed."""
    network = Network((3, 5, 1), "tanh")
    state = copy.copy(vars(network)) | {"layers": Network((3, 900, 1)).layers, "n_params": 26}
    assert network.n_params == 26
    assert network.__getstate__().keys() == {field.name for field in dataclasses.fields(Network)}
    again = Network.__new__(Network)
    again.__setstate__(state)
    assert again == network
    assert again.layers == network.layers
    with pytest.raises(ValueError, match="sizes"):
        again.__setstate__(state | {"sizes": (3, -5, 1)})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_a_value(name):
    kind = OPTIMIZERS[name]
    assert kind() == kind()
    assert kind(0.5) != kind(0.25)
    assert hash(kind(0.5)) == hash(kind(np.float64(0.5)))
    assert kind().name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().learning_rate = 1.0
    described = json.loads(json.dumps(kind(cosine(0.1, 5)).to_dict()))
    assert described["name"] == name
    rate = {"schedule": "cosine", "learning_rate": 0.1, "steps": 5, "final": 0.0}
    assert described["learning_rate"] == rate


def test_state_vectors():
    assert SGD().n_slots == SGD(momentum=0.0, nesterov=True).n_slots == 0
    assert SGD(momentum=0.5).n_slots == 1
    for name, n_slots in {"Adam": 2, "AdamW": 2, "RMSprop": 1, "RPROP": 2}.items():
        assert OPTIMIZERS[name]().n_slots == n_slots
        assert OPTIMIZERS[name].full_batch == (name == "RPROP")
    assert not SGD.full_batch


def test_defaults_are_the_papers_and_the_learning_rate_is_checked_first():
    assert Adam() == Adam(0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    assert AdamW().weight_decay == 0.01
    assert (RPROP.grow, RPROP.shrink, RPROP.smallest, RPROP.largest) == (1.2, 0.5, 1e-6, 50)
    with pytest.raises(ValueError, match="learning_rate"):
        AdamW(-1, beta_1=2, weight_decay=-1)
