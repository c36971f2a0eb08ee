"""A progress bar for `train_many`, in the terminal (rich) or in a notebook (IPython)."""

from __future__ import annotations

from fastnn.many.driver import ManyProgress
from fastnn.training.progress import ProgressBar


class MembersBar(ProgressBar):
    """A bar with the number of members that have ended, and the time left: a callback that only observes."""

    counted = "member"

    def __call__(self, progress: ManyProgress) -> None:  # type: ignore[override]
        """Move the bar to where the trainings are."""
        n, m = progress.n_ended, progress.n_members
        self._drawing.move(n, m, f"{n:,}/{m:,}", "")
