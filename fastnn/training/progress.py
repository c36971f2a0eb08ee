"""A progress bar for `train`, in the terminal (rich) or in a notebook (IPython)."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from fastnn.checking.installed import missing_package

if TYPE_CHECKING:
    from rich.console import Console

    from fastnn.training.callbacks import Progress


class Drawing(Protocol):
    """The drawing of a bar, in a terminal or a notebook."""

    def begin(self) -> None:
        """Show the bar."""

    def move(self, done: float, total: int, n_done: str, losses: str) -> None:
        """Show that `done` of `total` are done, with a text."""

    def end(self) -> None:
        """Let the bar stand as it is."""


class InTerminal:
    """A bar in the terminal, drawn by rich.

    Raises
    ------
    ImportError
        If rich is not installed.
    """

    def __init__(self, counted: str, console: Console | None) -> None:
        try:
            from rich import console as rich_console
            from rich import progress
        except ImportError as error:
            raise missing_package("rich", "the progress bar needs") from error
        self._bar = progress.Progress(
            progress.TextColumn(f"{counted} {{task.fields[n_done]}}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[losses]}"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console or rich_console.Console(stderr=True),
        )
        self._task = self._bar.add_task("train", total=None, n_done="0", losses="")
        self.begin, self.end = self._bar.start, self._bar.stop

    def move(self, done: float, total: int, n_done: str, losses: str) -> None:
        """Show how far it is."""
        self._bar.update(self._task, completed=done, total=total, n_done=n_done, losses=losses)


class InNotebook:
    """A bar in the output of a notebook's cell: HTML that is shown once, and then updated in its place.

    It needs no widgets, without which rich shows nothing in a notebook.
    """

    PAUSE = 0.1
    """Seconds between two updates, which all go to the browser."""

    def __init__(self, counted: str, display: Any) -> None:
        self._counted, self._display = counted, display
        self._handle: Any = None
        self._shown = -math.inf
        self._last: tuple[float, int, str, str] = 0.0, 1, "0", ""

    def begin(self) -> None:
        """Show the bar."""
        self._began = time.monotonic()
        self._handle = self._display(self._html(), raw=True, display_id=True)

    def move(self, done: float, total: int, n_done: str, losses: str) -> None:
        """Show the bar as it is, if it was last shown a while ago."""
        self._last = done, total, n_done, losses
        if time.monotonic() - self._shown > self.PAUSE:
            self._update()

    def end(self) -> None:
        """Show the bar once more, as it is at the end."""
        self._update()

    def _update(self) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(), raw=True)

    def _html(self) -> dict[str, str]:
        done, total, n_done, losses = self._last
        passed = time.monotonic() - self._began
        left = f", {_clock(passed * (total - done) / done)} left" if 0 < done < total else ""
        said = f"{self._counted} {n_done}  {losses}  {_clock(passed)}{left}"
        bar = f'<progress value="{done:.6g}" max="{total or 1}" style="width:16em;vertical-align:middle"></progress>'
        return {"text/plain": said, "text/html": f'<div style="font-family:monospace">{bar} {said}</div>'}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def notebook_display() -> Any:
    """Return IPython's function `display` where the code runs in the kernel of a notebook; else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


class ProgressBar:
    """A bar with the epoch, the loss and the time left; ``train(..., progress=True)`` shows one.

    A per-chunk callback: it is called some 20 times a second, whatever the length of an epoch, and only observes.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; by default stderr, so that what a program prints can still be piped, or below the notebook's
        cell, where there is one.

    Raises
    ------
    ImportError
        If rich, which draws the bar in the terminal, is not installed.

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
        display = notebook_display() if console is None else None
        self._drawing: Drawing = InNotebook(self.counted, display) if display else InTerminal(self.counted, console)

    def __enter__(self) -> ProgressBar:
        self._drawing.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._drawing.end()

    def __call__(self, progress: Progress) -> None:
        """Move the bar to where the training is."""
        shown = {"loss": progress.loss, "validation": progress.validation_loss}
        if progress.score not in shown.values():
            shown["score"] = progress.score
        losses = [f"{name} {value:.6g}" for name, value in shown.items() if not math.isnan(value)]
        n_done = f"{progress.epoch:,}/{progress.n_epochs:,}"
        self._drawing.move(progress.epoch + progress.part, progress.n_epochs, n_done, "  ".join(losses))
