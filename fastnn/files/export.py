"""export: a trained network in a file for other programs; a format is a line of `FORMATS`, and a
module.
"""

import errno
import importlib
import math
import operator
import os
import pkgutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import losses
from fastnn.checking.arguments import check_choice, shown
from fastnn.losses import ACTIVATIONS, Value
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.whole_files import check_place, name_of, write_whole


class Model(NamedTuple):
    """The contents of an export: a network, its parameters, and the labels that a classifier makes
    of its outputs.
    """

    network: Network
    params: Array  # (n_params,), float32 or float64
    task: str = "outputs"
    """"outputs"; "numbers" of a regressor; "labels" of a classifier, the most likely one;
    "multilabel": 0 or 1 each."""
    classes: Array | None = (
        None  # of "labels": (n_outputs,), or 2 for one output, or 1 that is always predicted
    )
    jacobian: bool = False
    """Whether there is a function of the derivatives, too."""
    learning: Any = None
    """The `fastnn.files.learning.Learning` of a network that learns on in C."""

    @property
    def summary(self) -> str:
        """Return its layers in words."""
        network = self.network
        sizes = "-".join(map(str, network.sizes))
        names = ", ".join(map(str, network.activations))
        return f"{sizes} ({names}), {self.params.dtype}"


class ExportFormat(NamedTuple):
    """A format of `export`: its suffix, and the module with its writer.

    The writer, ``contents(model: Model, name: str) -> dict[str, bytes]``, returns the bytes of each
    file by its suffix; `name` is that of the file without suffix. It raises ValueError for what the
    format cannot hold. The module may have a function ``note(model: Model) -> str`` besides, which
    says what a user of the files should know.
    """

    suffix: str
    module: str
    derivatives: str = ""
    """The module with the writer of networks with a Jacobian or a step of learning."""


FORMATS: dict[str, ExportFormat] = {
    "numpy": ExportFormat(".py", "fastnn.files.to_numpy", "fastnn.files.to_numpy"),
    "c": ExportFormat(".c", "fastnn.files.to_c", "fastnn.files.to_c_derivatives"),
    "onnx": ExportFormat(".onnx", "fastnn.files.to_onnx"),
    "safetensors": ExportFormat(".safetensors", "fastnn.files.to_safetensors"),
}


WRITTEN_BY = "written by fastnn"
"""Words at the beginning of a file that has comments."""


def export(
    model: Any,
    path: str | os.PathLike[str],
    format: str | None = None,
    formats: Mapping[str, ExportFormat] = FORMATS,
) -> list[Path]:
    """Write a model for programs without fastnn.

    Parameters
    ----------
    model : Model
        Or what else the writers of `formats` take.
    path : str or path
        An existing file is replaced.
    format : str, optional
        A name in `formats`; otherwise the path's suffix says which. The format "c" writes a header
        besides, in place of one that fastnn wrote, but of no other file.
    formats : dict
        The formats that there are.

    Returns
    -------
    list of pathlib.Path
        The files that were written, all of them or none.

    Raises
    ------
    ValueError, TypeError
        For an unknown format, and for what the format cannot hold.
    OSError
        When a file cannot be written; that is looked at before there is anything to write.
    """
    path = Path(os.fsdecode(name_of(path)))
    form = formats[_format_of(path, format, formats)]
    module = form.module
    if isinstance(model, Model) and (model.jacobian or model.learning):
        module = form.derivatives
        if not module or (model.learning and form.suffix != ".c"):
            raise ValueError("jacobian=True is for the formats 'c' and 'numpy', learn= for 'c'")
    check_place(path)
    writer = importlib.import_module(module)
    contents: Mapping[str, bytes] = writer.contents(model, path.stem)
    files = {
        path if suffix == form.suffix else path.with_suffix(suffix): data
        for suffix, data in contents.items()
    }
    if len(files) < len(contents):
        raise ValueError(
            f"two files would be called {shown(str(path))}: give it the suffix {form.suffix}"
        )
    for beside in files.keys() - {path}:
        _check_own(beside, path)
    write_whole({path: operator.methodcaller("write", data) for path, data in files.items()})
    return list(files)


def check_not_exported(path: Any, remedy: str) -> None:
    """Raise ValueError where the name of a file that is to be saved has the suffix of a format of
    `export`.

    `remedy` is what to write in place of it, with ``{}`` for the file's name.
    """
    name = os.fsdecode(name_of(path))
    for form, line in FORMATS.items():
        if line.suffix == os.path.splitext(name)[1].lower():
            why = (
                f"save writes fastnn's own format, such as 'model.npz', which no program for "
                f"{form} reads"
            )
            way = (
                f"say {remedy.format(shown(name))} for a file in the format {form}, or save "
                f"under another suffix"
            )
            raise ValueError(f"{why}: {way}")


def note(
    model: Any,
    path: str | os.PathLike[str],
    format: str | None = None,
    formats: Mapping[str, ExportFormat] = FORMATS,
) -> str:
    """Return a note for users on the files that `export` writes with these arguments; "" where
    there is none.
    """
    module = importlib.import_module(formats[_format_of(Path(path), format, formats)].module)
    return module.note(model) if hasattr(module, "note") else ""


def _format_of(path: Path, format: str | None, formats: Mapping[str, ExportFormat]) -> str:
    """Return the name of the format, which the path's suffix says where it is None."""
    if format is not None:
        return check_choice("format", format, formats)
    for name, form in formats.items():
        if form.suffix == path.suffix.lower():
            return name
    known = ", ".join(f"{form.suffix} ({name})" for name, form in formats.items())
    names = ", ".join(formats)
    raise ValueError(
        f"the suffix of {shown(str(path))} says no format: write {known}; or name a format, {names}"
    )


def _check_own(beside: Path, path: Path) -> None:
    """Raise FileExistsError where a file that was not named, but would be written too, is not one
    of `export`'s.
    """
    if beside.is_file():
        with open(beside, "rb") as file:
            if WRITTEN_BY.encode() not in file.read(1000):
                said = (
                    f"is written beside {path.name}, and is another file, not written by "
                    f"fastnn: take another name"
                )
                raise FileExistsError(errno.EEXIST, said, str(beside))


# ------------------------------------------------------------------------- parts that writers share


def from_template(template: str, /, **parts: object) -> str:
    """Return the text of a file in ``fastnn/files/templates``, with the parts in the places
    ``$name``.
    """
    text = pkgutil.get_data("fastnn.files", f"templates/{template}") or b""
    return string.Template(text.decode()).substitute(parts)


def label_list(classes: Array) -> list[Any]:
    """Return a classifier's labels as Python's numbers, booleans or texts; ValueError for any other
    kind.
    """
    labels = [_plain_label(label) for label in classes.tolist()]
    if None in labels:
        right = "finite numbers, booleans or texts"
        raise ValueError(
            f"only labels that are {right} can be written, not {shown(classes.tolist())}"
        )
    return labels


def _plain_label(label: Any) -> Any:
    """Return a label as one of Python's own types, whose repr is code for it, whatever a subclass
    says; else None.
    """
    plains: dict[type, Any] = {
        bool: bool,
        int: int.__int__,
        float: float.__float__,
        str: str.__str__,
    }
    plain = next(
        (to_plain(label) for kind, to_plain in plains.items() if isinstance(label, kind)), None
    )
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def layers_of(model: Model) -> list[tuple[Array, Array | None, str | Value]]:
    """Return W (fan_in, fan_out), b (fan_out,) or None, and the activation of each layer."""
    network = model.network
    params = model.params
    parts = zip(network.activations, network.weights(params), network.biases(params), strict=True)
    return [
        (W, np.broadcast_to(b, W.shape[1]) if b.size else None, activation)
        for activation, W, b in parts
    ]


def formula(
    table: Mapping[str, Any], activation: str | Value, format: str
) -> tuple[Any, dict[str, float]]:
    """Return the entry of an activation in the table of a format, and its parameters by their
    names.

    Raises
    ------
    ValueError
        Where the format has none.
    """
    name = losses.name_of(activation)
    value = losses.line_of(activation, ACTIVATIONS).value
    if name not in table:
        raise ValueError(
            f"the format {format} has no activation {name!r}; it has {', '.join(table)}"
        )
    return table[name], dict(vars(value)) if value else {}
