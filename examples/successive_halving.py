"""Successive halving: many settings are trained a little, the better part goes on, and so on until one is left.

Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016. No epoch
is trained twice: what goes on goes on from where it was.
"""

import numpy as np

from fastnn import Adam, Network, Population, Stop, workloads


def successive_halving(population, epochs, rungs, factor=3):
    """Return the best member of the last rung; each rung has 1/factor of the members, and factor times the epochs."""
    trained = 0
    for rung in range(rungs):
        if rung:
            population.drop(population.ranking()[max(len(population) // factor, 1) :])
        population.advance(epochs * factor**rung - trained)
        trained = epochs * factor**rung
    return population.ranking()[0]


def digits(rates, alphas, **options):
    """A population of digit classifiers with these learning rates and penalties, scored on rows of their own."""
    data = workloads.load("digits")
    held_out = np.arange(0, len(data.X), 5)
    network = Network((64, 32, 10), "relu", output="softmax")
    return Population(
        network,
        data.X,
        data.Y,
        validation_rows=held_out,
        optimizer=Adam(),
        learning_rate=rates,
        alpha=alphas,
        batch_size=32,
        seed=0,
        stop=Stop(monitor="accuracy"),
        **options,
    )


def main():
    """Search 27 settings."""
    rates, alphas = (grid.ravel() for grid in np.meshgrid(np.logspace(-4, -1, 9), [1e-5, 1e-3, 1e-1]))
    population = digits(rates, alphas)
    best = successive_halving(population, epochs=2, rungs=4)
    score = population.scores()[best]
    print(f"{population.epochs_trained} epochs; learning rate {rates[best]:.2g}, alpha {alphas[best]:g}: {score:.3f}")


if __name__ == "__main__":
    main()
