"""The methods by which a result hands on its network: to files, to other programs, PyTorch, Keras and compiled code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from fastnn.backends import get_backend
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.inputs import check_network, check_params


class Saving:
    """The methods `save`, `export`, `to_torch`, `to_keras` and `function` of a result."""

    network: Network
    params: Array

    def save(self, path: str | os.PathLike[str], *, state: bool = True) -> None:
        """Write all of this to one .npz file, to be read by `fastnn.load`, or the network alone with ``state=False``.

        The file is written whole or not at all. Data, callbacks and stop rules are not part of it, nor is a learning
        rate that is a function of your own.

        Parameters
        ----------
        path : str or path
            Taken as it is: no ".npz" is added. An existing file is replaced.
        state : bool
            Whether to write what resuming needs, and the history. False writes the network alone, some 1 kB more than
            its weights.

        Raises
        ------
        OSError
            When the file cannot be written.
        ValueError
            When the result has no state to write, and for a suffix of a format of `export`, such as ".onnx".

        Examples
        --------
        >>> import fastnn
        >>> result = fastnn.train(fastnn.Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> result.save("model.npz")
        >>> fastnn.load("model.npz").n_epochs
        3
        """
        from fastnn.files import model

        model.save(path, cast(Any, self), state=state)

    def export(self, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
        """Write the network for programs without fastnn, in the format of the path's suffix, or of that name.

        See docs/howto/export.md on the formats.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : {"numpy", "c", "onnx", "safetensors"}, optional
            The format; otherwise the path's suffix says which: .py, .c, .onnx or .safetensors. "c" writes a header
            besides, in place of one that fastnn wrote, but of no other file.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        ValueError, TypeError
            For an unknown format, and for what the format cannot hold.
        ImportError
            For "onnx" where the package onnx is not installed.
        OSError
            When a file cannot be written.

        Examples
        --------
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> [path.name for path in result.export("model.c")]
        ['model.c', 'model.h']
        """
        from fastnn.files import export

        check_network(self.network)
        return export.export(export.Model(self.network, check_params(self.network, self.params)), path, format)

    def to_torch(self) -> Any:
        """Make a `torch.nn.Sequential` of the network, of Linear layers and activations, with copies of the weights.

        Returns
        -------
        torch.nn.Sequential
            In the dtype of the training.

        Raises
        ------
        ImportError
            Where PyTorch is not installed.
        ValueError
            For the output exp, for which PyTorch has no module.

        Examples
        --------
        >>> import importlib.util
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 3, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> len(result.to_torch()) if importlib.util.find_spec("torch") else 3  # Linear, ReLU, Linear
        3
        """
        from fastnn.files import pytorch

        return pytorch.to_torch(cast(Any, self))

    def to_keras(self) -> Any:
        """Make a `keras.Sequential` of the network, of Dense layers with activations, with copies of the weights.

        Returns
        -------
        keras.Sequential
            In the dtype of the training.

        Raises
        ------
        ImportError
            Where Keras is not installed, or the library on which it is to compute.
        ValueError
            For the activation gelu, which Keras has as a layer's activation with another formula only.

        Examples
        --------
        >>> import importlib.util, os
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 3, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> if all(map(importlib.util.find_spec, ("keras", "torch"))):
        ...     os.environ["KERAS_BACKEND"] = "torch"
        ...     print(len(result.to_keras().layers))
        ... else:
        ...     print(2)
        2
        """
        from fastnn.files import keras

        return keras.to_keras(cast(Any, self))

    def function(self) -> Any:
        """Make a function of one row, ``f(x, out)``, for other people's compiled code.

        See docs/howto/export.md. Numba's code calls it by its address, without compiling anything of fastnn, C by
        `f.c_function` and `f.c_network`. It allocates nothing, holds no lock, may be called by several threads, and has
        the bits of the "numba" back end's `predict`. Later changes of the parameters do not change it.

        Returns
        -------
        callable
            ``f(x, out)``, which returns None. It writes the outputs (n_outputs,) for x (n_inputs,) to `out`; both are
            contiguous and of the training's dtype. It cannot be pickled.

        Raises
        ------
        ValueError
            When the layers are so wide that a call would take more than 64 kB of the stack.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, train
        >>> result = train(Network((2, 3, 1)), np.zeros((4, 2)), np.zeros(4), epochs=1, seed=0)
        >>> f, out = result.function(), np.empty(1)
        >>> f(np.ones(2), out)
        >>> bool(out == result.predict(np.ones((1, 2))))
        True
        """
        check_network(self.network)
        return cast(Any, get_backend("numba")).function(self.network, check_params(self.network, self.params))
