"""Population-based training: the worst members go on as copies of the best, with settings near
theirs.

Jaderberg et al., Population based training of neural networks, 2017: exploit by truncation, explore
by perturbation.
"""

import numpy as np

from fastnn import Adam, Network, Population, Stop, workloads


def population_based_training(
    population, rates, rounds, epochs, random_state, part=0.25, factor=1.5
):
    """Train the members; `rates` {member: learning rate} are those that they have, and are changed
    with them.
    """
    n = max(int(part * len(population)), 1)
    for _ in range(rounds - 1):
        population.advance(epochs)
        ranking = population.ranking()
        for worse in ranking[-n:]:
            better = ranking[random_state.randint(n)]
            rates[worse] = float(rates[better] * random_state.choice([1 / factor, factor]))
            population.replace(worse, by=better, learning_rate=rates[worse])
    population.advance(epochs)
    return population.ranking()[0]


def digits(rates, alphas, **options):
    """A population of digit classifiers with these learning rates and penalties, scored on rows of
    their own.
    """
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
    """Train twelve members, whose learning rates are searched while they are trained."""
    rates = np.logspace(-4, -1, 12)
    population = digits(rates, 1e-4)
    rates = dict(enumerate(rates))
    best = population_based_training(population, rates, 8, 3, np.random.RandomState(0))
    score = population.scores()[best]
    print(
        f"{population.epochs_trained} epochs; learning rate in the end {rates[best]:.2g}: "
        f"{score:.3f}"
    )


if __name__ == "__main__":
    main()
