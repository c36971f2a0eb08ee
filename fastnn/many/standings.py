"""The standings of a population: a mapping from its members to their results, and their scores, ranking and best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checking import display
from fastnn.checking.arguments import check_integer, counted, shown
from fastnn.many.continued import Continued
from fastnn.many.history import picture
from fastnn.many.member_results import losses_of, place_of_best
from fastnn.many.members import Member
from fastnn.many.results import ManyResult
from fastnn.training import chart
from fastnn.training.results import TrainingResult


class Standings(Mapping[int, TrainingResult]):
    """The half of a `Population` that shows how its members stand, and changes nothing."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._trainings = {member.number: Continued(member) for member in members}
        self._seeds = {number: training.member.known_seed for number, training in self._trainings.items()}
        self._n = len(self._trainings)
        self._epochs_trained = 0

    def __getitem__(self, member: int) -> TrainingResult:
        return self._training(member).result()

    def __contains__(self, member: object) -> bool:
        return member in self._trainings  # `Mapping` would make its result

    def __iter__(self) -> Iterator[int]:
        return iter(self._trainings)

    def __len__(self) -> int:
        return len(self._trainings)

    def __repr__(self) -> str:
        dropped = f", {self._n - len(self)} dropped" if len(self) < self._n else ""
        trained = counted(self._epochs_trained, "epoch")
        return f"<Population: {counted(len(self), 'member')}{dropped}, {trained} trained>"

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {"members": len(self), "dropped": self._n - len(self)}
        facts["epochs trained"] = f"{self._epochs_trained:,}"
        shown = [self.members[i] for i in chart.some_of(len(self))]
        histories = [self._trainings[number].history() for number in shown]
        try:
            best = self.best()
        except ValueError:  # none is known
            return display.card(self, facts, picture(histories, None, ""))
        facts |= {"best": f"member {best}", "its score": f"{self._trainings[best].score():.4g}"}
        return display.card(self, facts, picture(histories, self._trainings[best].history(), f"member {best}"))

    @property
    def members(self) -> list[int]:
        """The numbers of the members that are left."""
        return list(self._trainings)

    @property
    def epochs_trained(self) -> int:
        """The epochs that all members have trained, those that were dropped or replaced included."""
        return self._epochs_trained

    def results(self) -> ManyResult:
        """Collect the results of the members that are left.

        Returns
        -------
        ManyResult
            In the order of `members`.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.drop(1)
        >>> population.results().n_epochs
        array([2, 2])
        """
        results = [training.result() for training in self._trainings.values()]
        return ManyResult(results, [self._seeds[number] for number in self._trainings])

    def scores(self) -> dict[int, float]:
        """Look up the scores of the members that are left.

        Returns
        -------
        dict
            {number of the member: its score}, as `ManyResult.scores` has them; NaN before its first epoch.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.scores()
        {0: nan, 1: nan, 2: nan}
        """
        return {number: training.score() for number, training in self._trainings.items()}

    def best(self) -> int:
        """Find the member with the best score, of those that are left.

        Returns
        -------
        int
            Its number, the first of `ranking`. No member that diverged.

        Raises
        ------
        ValueError
            As `ranking`, and where no such member has a finite score.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> population.scores()[population.best()] == min(population.scores().values())
        True
        """
        return self.members[place_of_best(self._losses())]

    def ranking(self) -> list[int]:
        """Sort the members that are left by their scores.

        Returns
        -------
        list of int
            Their numbers, the best first: the lowest loss, or greatest score. Members that diverged or have no finite
            score are last; those with equal scores are in the order of `members`.

        Raises
        ------
        ValueError
            Before the first epoch of any member, and for members with different scores, such as another monitor, or
            losses of validation data and of the rows trained on, which cannot be compared.

        Examples
        --------
        >>> from fastnn import Network, Population
        >>> population = Population(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3))
        >>> population.advance(2)
        >>> best, *others = population.ranking()
        >>> population.scores()[best] == min(population.scores().values())
        True
        """
        members = self.members
        return [members[place] for place in np.argsort(self._losses(), kind="stable")]

    def _losses(self) -> NDArray[np.float64]:
        """Return the result of `losses_of` for the members that are left."""
        trainings = self._trainings.values()
        if trainings and not any(training.n_epochs or training.is_over for training in trainings):
            raise ValueError(
                "no member has trained an epoch yet, so that none is better than another: say advance(epochs) first"
            )
        return losses_of(
            (training.scored for training in trainings),
            (training.score() for training in trainings),
            (training.stop_reason for training in trainings),
        )

    def _training(self, member: Any) -> Continued:
        """Return the training of a member that is left."""
        training = self._trainings.get(member) if type(member) is int else None
        if training is not None:
            return training
        number = check_integer("member", member)
        if number in self._trainings:
            return self._trainings[number]
        if 0 <= number < self._n:
            raise KeyError(f"member {number} was dropped")
        raise KeyError(f"there is no member {shown(number)}: they are 0 to {self._n - 1}")
