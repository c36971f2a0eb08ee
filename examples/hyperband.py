"""Hyperband: successive halvings of several kinds, from many settings with few epochs each to few with many.

Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 18, 2018, algorithm 1.
"""

import math

import numpy as np
from successive_halving import digits, successive_halving


def hyperband(sample, most_epochs, factor=3):
    """Return the brackets' winners, as (score, result), and the epochs that were trained.

    `sample(n)` makes a population of n members with settings that it draws.
    """
    brackets = round(math.log(most_epochs, factor)) + 1
    found, epochs_trained = [], 0
    for rungs in range(brackets, 0, -1):
        population = sample(math.ceil(brackets / rungs * factor ** (rungs - 1)))
        best = successive_halving(population, most_epochs // factor ** (rungs - 1), rungs, factor)
        found.append((population.scores()[best], population[best]))
        epochs_trained += population.epochs_trained
    return found, epochs_trained


def main():
    """Search settings that are drawn."""
    random_state = np.random.RandomState(0)

    def sample(n):
        return digits(10 ** random_state.uniform(-4, -1, n), 10 ** random_state.uniform(-5, -1, n))

    found, epochs_trained = hyperband(sample, most_epochs=27)
    score, result = max(found, key=lambda pair: pair[0])
    settings = result.state.counters
    rate, alpha = settings["optimizer"]["learning_rate"], settings["alpha"]
    print(f"{epochs_trained} epochs; learning rate {rate:.2g}, alpha {alpha:.2g}: {score:.3f}")


if __name__ == "__main__":
    main()
