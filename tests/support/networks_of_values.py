"""What holds for any network, those with values as activations and losses first of all."""

import json
import pickle

from bits import bits

from fastnn import Adam, Network, load, train, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.network import as_made
from fastnn.testing.cases import draw_training


def assert_described_and_made_again(network, folder):
    """By its description, its pickle, and a file, from which a training goes on."""
    description = json.loads(json.dumps(network.to_dict(), allow_nan=False))
    copy = pickle.loads(pickle.dumps(network))
    assert network == Network.from_dict(description) == copy == as_made(network)
    assert hash(copy) == hash(network)
    problem = draw_training(network, 20)
    options = {"seed": 1, "batch_size": 8, "optimizer": Adam(0.01)}
    whole = train(network, problem.X, problem.Y, epochs=4, **options)
    train(network, problem.X, problem.Y, epochs=2, **options).save(folder / "half.npz")
    half = load(folder / "half.npz")
    assert half.network == network
    assert bits(half.resume(problem.X, problem.Y, epochs=2).params) == bits(whole.params)
    return half


def assert_bits_of_one(network, **options):
    """Members side by side, and threads that share a step, have the bits of one training."""
    problem = draw_training(network, 64)
    options = {"optimizer": Adam(0.01), "epochs": 3, "batch_size": 32, **options}
    many = train_many(network, problem.X, problem.Y, seed=range(9), **options)
    for seed in (0, 8):
        alone = train(network, problem.X, problem.Y, seed=seed, **options)
        assert bits(many[seed].params) == bits(alone.params)
        assert bits(many[seed].history.validation_loss) == bits(alone.history.validation_loss)
    shared = train(network, problem.X, problem.Y, seed=8, **options, threads=2)
    assert bits(shared.params) == bits(alone.params)
    assert shared.threads == (1 if IN_PYTHON else 2)
