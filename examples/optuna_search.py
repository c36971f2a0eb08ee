"""Optuna's ask-and-tell, a batch of trials at a time: Optuna proposes settings and prunes, a
population trains them.

Needs Optuna: ``pip install optuna``.
"""

import optuna
from population_based_training import digits


def search(study, batches, trials, rungs, epochs):
    """Run so many batches of trials; after each `epochs` epochs the study is asked which trials to
    prune.
    """
    epochs_trained = 0
    for _ in range(batches):
        asked = [study.ask() for _ in range(trials)]
        rates = [trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True) for trial in asked]
        alphas = [trial.suggest_float("alpha", 1e-5, 1e-1, log=True) for trial in asked]
        population = digits(rates, alphas)
        for rung in range(1, rungs + 1):
            population.advance(epochs)
            for number, score in population.scores().items():
                asked[number].report(score, rung * epochs)
            pruned = [
                number for number in population if rung < rungs and asked[number].should_prune()
            ]
            population.drop(pruned)
            for number in pruned:
                study.tell(asked[number], state=optuna.trial.TrialState.PRUNED)
        for number, score in population.scores().items():
            study.tell(asked[number], score)
        epochs_trained += population.epochs_trained
    return epochs_trained


def main():
    """Search with the tree-structured Parzen estimator and the median pruner."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(
        direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner()
    )
    epochs_trained = search(study, batches=4, trials=8, rungs=4, epochs=3)
    settings = ", ".join(f"{name} {value:.2g}" for name, value in study.best_params.items())
    print(f"{epochs_trained} epochs; {settings}: {study.best_value:.3f}")


if __name__ == "__main__":
    main()
