"""load: the object that is in a file, of whichever format that holds results, by its reader."""

import os
from typing import Any, NoReturn

from fastnn.errors import ModelFileError
from fastnn.files.archive import Arrays, Builder, Format, Header, read_archive
from fastnn.files.many import many_of
from fastnn.files.model import (
    CHECKPOINT,
    CHECKPOINT_1,
    ESTIMATOR,
    MANY,
    MODEL,
    TABLE,
    TABLE_1,
    read_network,
    read_result,
)
from fastnn.files.to_safetensors import is_safetensors, read_safetensors
from fastnn.training.results import TrainingResult


def load(path: str | os.PathLike[str]) -> TrainingResult | Any:
    """Read a training result that `TrainingResult.save` wrote, or a network that was exported to
    safetensors.

    A file that `ManyResult.save` wrote gives a `ManyResult`.

    Nothing in the file is executed, and nothing is allocated that is much larger than the file:
    only the order of rows is compressed, and that of 16 MB at most. Members of a file of many share
    arrays that are equal, which are read-only then: `TrainingState.copy` makes a state of one's
    own.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    TrainingResult
        As it was saved; ``train(..., resume=result.state)`` goes on bit for bit. From a file
        without a state, the history is empty, and the state holds the parameters alone, which
        `train` takes as ``params`` and refuses to resume.

    Raises
    ------
    OSError
        When there is no such file or it cannot be read.
    ModelFileError
        When it is not such a file, is damaged, or was written by a later version of fastnn. A
        ValueError too.

    Examples
    --------
    >>> import fastnn
    >>> X, y = [[0.0], [1.0]], [0.0, 1.0]
    >>> fastnn.train(fastnn.Network((1, 1)), X, y, epochs=3, seed=0).save("model.npz")
    >>> fastnn.load("model.npz").resume(X, y, epochs=2).state.t
    5
    """
    if is_safetensors(path):
        return read_safetensors(path)
    builders: dict[Format, Builder[Any]] = {
        CHECKPOINT: read_result,
        CHECKPOINT_1: read_result,
        MODEL: read_network,
        MANY: many_of,
        ESTIMATOR: _refuse_estimator,
        TABLE: _refuse_estimator,
        TABLE_1: _refuse_estimator,
    }
    return read_archive(path, builders)


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return the kind of a file: "classifier", "regressor", "table classifier", "table regressor"
    or "result".

    The last one is what `load` reads; errors are as of `load`.
    """
    if is_safetensors(path):
        return "result"
    forms = CHECKPOINT, CHECKPOINT_1, MODEL, ESTIMATOR, TABLE, TABLE_1
    return read_archive(path, dict.fromkeys(forms, _kind_of) | {MANY: _refuse_many})


def _kind_of(header: Header, arrays: Arrays) -> str:
    if header["format"] == TABLE.name:
        return f"table {header['kind']}"
    return str(header.get("kind", "result"))


def _refuse_many(header: Header, arrays: Arrays) -> NoReturn:
    raise ModelFileError(
        f"it holds {header['members']!s:.20} results: take one, fastnn.load(path)[i]"
    )


def _refuse_estimator(header: Header, arrays: Arrays) -> NoReturn:
    kind = "Regressor" if header["kind"] == "regressor" else "Classifier"
    name = f"Tabular{kind}" if header["format"] == TABLE.name else f"MLP{kind}"
    raise ModelFileError(f"it holds an estimator, not a training result: {name}.load reads it")
