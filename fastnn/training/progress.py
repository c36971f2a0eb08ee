"""A progress bar for `train`, shown in the terminal (rich)."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING

from fastnn.installed import missing_package

if TYPE_CHECKING:
    from rich.console import Console

    from fastnn.training.callbacks import Progress


class ProgressBar:
    """A bar with the epoch, the loss and the time left; ``train(..., progress=True)`` shows one.

    A per-chunk callback: it is called some 20 times a second, whatever the length of an epoch, and only observes.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; by default stderr, so that what a program prints can still be piped.

    Raises
    ------
    ImportError
        If rich, which draws the bar, is not installed.

    Examples
    --------
    >>> from fastnn import Network, train
    >>> with ProgressBar() as bar:
    ...     result = train(Network((1, 1)), [[1.0]], [[2.0]], epochs=3, backend="numpy", callbacks=[bar])
    >>> result.n_epochs
    3
    """

    per_chunk = True
    counted = "epoch"

    def __init__(self, console: Console | None = None) -> None:
        try:
            from rich import console as rich_console
            from rich import progress
        except ImportError as error:
            raise missing_package("rich", "the progress bar needs") from error
        self._bar = progress.Progress(
            progress.TextColumn(f"{self.counted} {{task.fields[n_done]}}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[losses]}"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console or rich_console.Console(stderr=True),
        )
        self._task = self._bar.add_task("train", total=None, n_done="0", losses="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Move the bar to where the training is."""
        shown = {"loss": progress.loss, "validation": progress.validation_loss}
        if progress.score not in shown.values():
            shown["score"] = progress.score
        losses = [f"{name} {value:.6g}" for name, value in shown.items() if not math.isnan(value)]
        self._bar.update(
            self._task,
            completed=progress.epoch + progress.part,
            total=progress.n_epochs,
            n_done=f"{progress.epoch:,}/{progress.n_epochs:,}",
            losses="  ".join(losses),
        )
