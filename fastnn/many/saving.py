"""The method by which many results are written to one file."""

from __future__ import annotations

import os
from typing import Any, cast


class Saving:
    """The method `save` of many results."""

    def save(self, path: str | os.PathLike[str], *, state: bool = True) -> None:
        """Write all of this to one .npz file, to be read by `fastnn.load`, or the networks alone with ``state=False``.

        Parameters
        ----------
        path : str or path
            Taken as it is: no ".npz" is added. An existing file is replaced, when the new one is complete.
        state : bool
            Whether to write what resuming needs, and the histories. False writes the networks alone.

        Raises
        ------
        OSError
            When the file cannot be written.
        ValueError
            For no member, for one that has no state to write, and for a suffix of a format of `export`.

        Examples
        --------
        >>> import fastnn
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=4)
        >>> many.save("many.npz")
        >>> len(fastnn.load("many.npz"))
        3
        """
        from fastnn.files import many

        many.save(path, cast(Any, self), state=state)
