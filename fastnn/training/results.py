"""The results of trainings: TrainingResult, and arrays of many, of which one result is a row."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.checking import display
from fastnn.checking.arguments import check_flag, check_integer
from fastnn.checking.hints import explains_keywords
from fastnn.checking.values import Names, check_column_names, column_names
from fastnn.errors import FitWarning, hide_frames, warn
from fastnn.memory import Array, aligned_zeros, read_only
from fastnn.network import Network
from fastnn.optimizers import AT_GAMMA, BayesianRegularization, Optimizer
from fastnn.state import BEST, LIMIT, RULE_BEST, STALE
from fastnn.training.generator import described, state_after_draw
from fastnn.training.history import History
from fastnn.training.inputs import (
    check_data,
    check_inputs,
    check_network,
    check_params,
)
from fastnn.training.state import Counters, TrainingState, TrainingStates, network_counters
from fastnn.training.steps import digest
from fastnn.training.stopping import (
    LABELED,
    Monitor,
    Score,
    StopReason,
    check_monitor,
    name_of,
    scorer,
)

if TYPE_CHECKING:
    from fastnn.training.options import TrainOptions


class OnRequest:
    """A field of a `TrainingResult` that its row of `Results` makes when it is asked for, and only
    then.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, result: Any, owner: type) -> Any:
        # Python asks here for what an object does not hold
        if result is None or "_row" not in vars(result):
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}")
        made = getattr(vars(result)["_row"], self._name)()
        return vars(result).setdefault(self._name, made)  # of two threads both get the first one's


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult(display.Shown):
    """A trained network, and everything that resuming its training needs.

    Attributes
    ----------
    network : Network
        The network that was trained.
    params : ndarray (n_params,)
        The parameters, read-only, float32 or float64: those after the last step, or the best ones
        for ``Stop(restore_best=True)``.
    state : TrainingState
        The end of the training: `resume`, or ``train(..., resume=result.state)``, continues from
        here, bit for bit.
    history : History
        The losses, scores and learning rates of the epochs.
    stop_reason : str
        "epochs" (all of them done), "tolerance", "validation", "callback", "time", "interrupted",
        "diverged"; those of `LevenbergMarquardt`, "goal", "gradient", "damping"; of
        `BayesianRegularization`, "goal", "converged", "collapsed"; "running" for a snapshot that a
        callback took, or that an error of a callback or a monitor carries.
    backend : str or Backend
        The back end of the training, and the default of `predict`.
    threads : int
        The most threads that were there to share a step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Adam, Network, train
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> result = train(Network((1, 8, 1), "tanh"), X, X**2, optimizer=Adam(0.1), epochs=100, seed=0)
    >>> bool(abs(result.predict(X) - X**2).mean() < 0.1)
    True
    >>> result.n_epochs, result.stop_reason, [W.shape for W in result.weights]
    (100, 'epochs', [(1, 8), (8, 1)])
    """

    network: Network
    params: Array
    state: TrainingState
    history: History
    stop_reason: StopReason
    backend: str | Backend = "numba"
    threads: int = 1

    if not TYPE_CHECKING:  # for type checkers they are fields as all others
        state = OnRequest()
        history = OnRequest()

    def __getstate__(self) -> dict[str, Any]:
        made = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in vars(self).items() if name != "_row"} | made

    def _repr_html_(self) -> str:
        network = self.network
        about = {
            "activation": network.activation,
            "output": network.output,
            "loss function": network.loss,
        }
        facts = {
            **self._facts(),
            **about,
            "parameters": f"{network.n_params:,} {self.params.dtype}",
        }
        return display.card(self, facts, self.history._chart())

    def _facts(self) -> dict[str, object]:
        backend = self.backend if isinstance(self.backend, str) else self.backend.name
        ended = {**self.history._facts(), "ended by": repr(self.stop_reason)}
        of_training = {"state": "none"} if self.state.index is None else ended
        return {
            "network": display.sizes_text(self.network.sizes),
            **of_training,
            "back end": backend,
        }

    @property
    def n_epochs(self) -> int:
        """Epochs that ended in this call, without one that has begun."""
        return len(self.history.loss)

    def jacobian(self, X: Any, *, backend: str | Backend | None = None) -> Array:
        """Compute the derivatives of the outputs by the inputs.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs, as for `predict`.
        backend : {"numba", "numpy"}, name or Backend, optional
            What computes them; where it is not given, what trained.

        Returns
        -------
        ndarray (n, n_outputs, n_inputs)
            Number (i, o, k) is the derivative of output o by input k, at row i. Where an activation
            has a kink, such as relu at 0, it is that of one side.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit; the text says what would.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, train
        >>> result = train(Network((2, 1)), np.eye(2), np.ones(2), params=[3.0, 4.0, 0.0], epochs=0)
        >>> result.jacobian([[0.5, 0.5]])
        array([[[3., 4.]]])
        """
        params = self._checked_params()
        if (names := column_names(X)) is not None:
            check_column_names(names, self.feature_names)
        X = check_inputs(self.network, X, params.dtype)
        by = get_backend(self.backend if backend is None else backend)
        compute = by.input_jacobian or get_backend("numpy").input_jacobian
        return cast(Any, compute)(self.network, params, X)

    def input_gradient(self, X: Any, *, backend: str | Backend | None = None) -> Array:
        """Compute the derivatives of the only output by the inputs; `jacobian` has those of
        several.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs, as for `predict`.
        backend : {"numba", "numpy"}, name or Backend, optional
            What computes them; where it is not given, what trained.

        Returns
        -------
        ndarray (n, n_inputs)
            The gradient at each row.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit, and for a network of several outputs.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, train
        >>> result = train(Network((2, 1)), np.eye(2), np.ones(2), params=[3.0, 4.0, 0.0], epochs=0)
        >>> result.input_gradient([[0.5, 0.5]])
        array([[3., 4.]])
        """
        self._checked_params()
        if self.network.n_outputs > 1:
            raise ValueError(
                f"the network has {self.network.n_outputs} outputs: jacobian has the derivatives "
                "of each"
            )
        return self.jacobian(X, backend=backend)[:, 0]

    @property
    def feature_names(self) -> Names | None:
        """The names of the columns of X if it was a data frame with texts as names, else None."""
        return self.state.feature_names

    @property
    def gamma(self) -> float | None:
        """How many parameters the data determined before the last step, by
        `BayesianRegularization`; else None.
        """
        is_bayesian = self.state.optimizer == BayesianRegularization.__name__
        return float(self.state.vectors[AT_GAMMA, 0]) if is_bayesian else None

    @property
    def weights(self) -> list[Array]:
        """The layers' W (fan_in, fan_out), views of `params`."""
        return self.network.weights(self.params)

    @property
    def biases(self) -> list[Array]:
        """The layers' b (fan_out,), (1,) or (0,), views of `params`."""
        return self.network.biases(self.params)

    def predict(
        self,
        X: Any,
        *,
        backend: str | Backend | None = None,
        assume_finite: bool = False,
        threads: int | None = None,
    ) -> Array:
        """Compute the network's outputs.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs. A frame must have the columns of the training frame, in the same order. If
            one of the two is not a frame with names, columns go by position.
        backend : {"numba", "numpy"}, name or Backend, optional
            Default: the back end of the training.
        assume_finite : bool
            Whether to skip the search of X for NaN and infinity.
        threads : int, optional
            How many threads share the rows, as in `fastnn.predict`.

        Returns
        -------
        ndarray (n, n_outputs)
            In the dtype of the training. It is (n, 1) for one output: ``predict(X)[:, 0]`` goes
            with targets (n,).

        Raises
        ------
        ValueError, TypeError
            For invalid input; the text says what would be right.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, train
        >>> result = train(Network((2, 3, 1)), np.zeros((4, 2)), np.zeros(4), epochs=1, seed=0)
        >>> result.predict(np.ones((5, 2))).shape
        (5, 1)
        """
        if (names := column_names(X)) is not None:
            check_column_names(names, self.feature_names)
        network, params, by = self._right
        if network is not self.network or params is not self.params or by is not self.backend:
            params = self._checked_params()
        if assume_finite is not False:
            check_flag("assume_finite", assume_finite)
        if backend is not None or isinstance(by := self.backend, str):
            by = get_backend(self.backend if backend is None else backend)
        try:
            X = check_inputs(self.network, X, params.dtype, assume_finite, by)
        except (TypeError, ValueError) as error:  # costs nothing where there is none
            hide_frames(error)
            raise
        if threads is not None:
            threads = check_integer("threads", threads, low=1)
            return by.predict(self.network, params, X, threads)
        return by.predict(self.network, params, X)

    @explains_keywords
    def score(
        self, X: Any, Y: Any, sample_weight: Any = None, *, monitor: Monitor | None = None
    ) -> float:
        """Score the outputs: the accuracy of labels, else R2, as scikit-learn's estimators do.

        Parameters
        ----------
        X : array-like or data frame (n, n_inputs)
            The inputs, as for `predict`.
        Y : array-like (n, n_outputs), (n,) for one output, or labels (n,)
            The targets, as for `fastnn.train`.
        sample_weight : array-like (n,), optional
            The weights of the rows.
        monitor : str or callable, optional
            Another score of ``Stop(monitor=...)``, such as "roc_auc"; not "loss".

        Returns
        -------
        float
            Greater is better. Labels are those of the losses cross_entropy and log_loss.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit, and for a score that does not suit the network or the rows.

        Examples
        --------
        >>> from fastnn import Network, train
        >>> X, y, network = [[0.0], [1.0], [2.0]], [0, 1, 1], Network((1, 2), output="softmax")
        >>> train(network, X, y, params=[0, 1, 0.5, 0], epochs=0).score(X, y)
        1.0
        """
        score = score_of_rows(
            self.network, self._checked_params().dtype, X, Y, sample_weight, monitor
        )
        return score(self.predict(X))

    # Network, parameters and back end that were found to fit, recognized by their identity: to look
    # at them again takes a tenth of the time of one row's prediction.
    _right: tuple[Any, Any, Any] = None, None, None

    def _checked_params(self) -> Array:
        """Return the checked `params` for a back end; check network and back end too."""
        check_network(self.network)
        if not isinstance(self.backend, str):  # a name from a file may be unknown here
            get_backend(self.backend)
        params = check_params(self.network, self.params)
        if params is self.params:
            self.__dict__["_right"] = self.network, params, self.backend
        return params

    def resume(self, X: Any, Y: Any, *, epochs: int, **options: Any) -> TrainingResult:
        """Continue this training.

        After a training of a epochs, resuming for b epochs gives the result of a + b epochs, bit
        for bit.

        Parameters
        ----------
        X, Y : array-like (n, n_inputs), (n, n_outputs)
            The same data as before; with ``new_rows=True`` other data, of any length.
        epochs : int
            The number of additional epochs.
        **options : dict
            Options of `fastnn.train`. Network, optimizer, batch size, shuffle, alpha, clip_norm,
            rates, dtype and back end stay the same unless given; `sample_weight`, `rows`,
            `validation_rows`, `stop` and `callbacks` do not.

        Returns
        -------
        TrainingResult
            With a new history; `Progress` and `n_epochs` count the epochs of this call.

        Raises
        ------
        ValueError, TypeError
            As in `fastnn.train`, and if the learning rate was a function of your own, which must be
            given again.

        Examples
        --------
        >>> from fastnn import Network, train
        >>> X, y, network = [[0.0], [1.0]], [0.0, 1.0], Network((1, 1))
        >>> result = train(network, X, y, epochs=3, seed=0).resume(X, y, epochs=2)
        >>> result.n_epochs, result.state.t
        (2, 5)
        >>> bool((result.params == train(network, X, y, epochs=5, seed=0).params).all())
        True
        """
        from fastnn.training import train

        return train(
            self.network,
            X,
            Y,
            epochs=epochs,
            resume=self.state,
            **{"backend": self.backend} | options,
        )

    def plot(self, title: str = "Loss", *, axes: Any = None) -> Any:
        """Draw the losses of the epochs with matplotlib.

        Parameters
        ----------
        title : str
            The title of the picture.
        axes : matplotlib.axes.Axes, optional
            The axes to draw in. Default: a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            The figure of `fastnn.plotting.loss_curves`; `fastnn.plotting.save` writes it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If no epoch ended, and for a result from a file without a history.

        Examples
        --------
        >>> from fastnn import Network, plotting, train
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=5, seed=0)
        >>> path = plotting.save(result.plot(), "loss.png")
        """
        from fastnn import plotting

        return plotting.loss_curves(self, title, axes=axes)

    def save(self, path: str | os.PathLike[str], *, state: bool = True) -> None:
        """Write the result to one .npz file for `fastnn.load`, or the network alone with
        ``state=False``.

        The file is written completely or not at all. It does not contain data, callbacks, stop
        rules, or a learning rate that is a function of your own.

        Parameters
        ----------
        path : str or path
            Used as given, without adding ".npz". An existing file is replaced.
        state : bool
            Whether to write the history and what resuming needs. False writes the network alone,
            about 1 kB more than its weights.

        Raises
        ------
        OSError
            When the file cannot be written.
        ValueError
            If the result has no state to write, and for a suffix of a format of `export`, such as
            ".onnx".

        Examples
        --------
        >>> import fastnn
        >>> result = fastnn.train(
        ...     fastnn.Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0
        ... )
        >>> result.save("model.npz")
        >>> fastnn.load("model.npz").n_epochs
        3
        """
        # Late, for readers make results. Writers in a room below this one would part the halves of
        # each format, and a process that only trains would import them all, with zipfile and json.
        from fastnn.files import model

        model.save(path, self, state=state)

    def export(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        jacobian: bool = False,
        learn: Optimizer | None = None,
    ) -> list[Path]:
        """Write the network for programs without fastnn, in the format that the suffix of the path
        or `format` names.

        See docs/howto/export.md on the formats.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : {"numpy", "c", "onnx", "safetensors"}, optional
            Default: by the suffix of the path, .py, .c, .onnx or .safetensors. "c" also writes a
            header; it replaces a header that fastnn wrote, but no other file.
        jacobian : bool
            Adds to "c" and "numpy" a function of the derivatives by the inputs.
        learn : Optimizer, optional
            Adds to "c" a function for a step of learning on one row by `SGD`, `Adam`, `AdamW` or
            `RMSprop`, with the bits of ``train(..., batch_size=1, shuffle=False)``. If the
            optimizer is of the class with which the result was trained, that training goes on;
            `read_back` returns to Python.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        ValueError, TypeError
            For an unknown format, for networks that the format cannot represent, and for an
            optimizer that has no step on one row in C.
        ImportError
            For "onnx" if the package onnx is not installed.
        OSError
            When a file cannot be written.

        Examples
        --------
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> [path.name for path in result.export("model.c")]
        ['model.c', 'model.h']
        """
        from fastnn.files import export  # late, as in `save`

        check_network(self.network)
        params = check_params(self.network, self.params)
        check_flag("jacobian", jacobian)
        model = export.Model(self.network, params, jacobian=jacobian)
        if learn is not None:
            from fastnn.files import learning  # late, for it calls `train`

            model = model._replace(learning=learning.begin(self, learn))
        return export.export(model, path, format)

    def read_back(
        self,
        data: bytes,
        learn: Optimizer,
        *,
        n_rows: int | None = None,
    ) -> TrainingResult:
        """Read the state of a training that went on in C, after ``export("net.c", learn=...)``.

        Parameters
        ----------
        data : bytes
            Those of ``struct net_state``.
        learn : Optimizer
            The one of the export.
        n_rows : int, optional
            How many rows C went through again and again. By default each one was new.

        Returns
        -------
        TrainingResult
            What ``resume(X, Y, epochs=..., new_rows=True, optimizer=learn, batch_size=1,
            shuffle=False)`` returns for these rows, bit for bit, without its history.

        Raises
        ------
        ValueError, TypeError
            For bytes that are not of the export of this result by `learn`; for a step within an
            epoch; for numbers that no step leaves, and for numbers that are not finite.

        Examples
        --------
        The state as the export writes it, before a step:

        >>> import struct
        >>> from fastnn import SGD, Network, train
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> source, header = result.export("net.c", learn=SGD(0.1))
        >>> words = source.read_text().split("struct net_state net_state = {")[1].split("u,")
        >>> head = struct.pack("<QQdd", int(words[0], 16), 0, 1.0, 1.0)
        >>> again = result.read_back(head + result.params.tobytes(), SGD(0.1))
        >>> bool((again.params == result.params).all())
        True
        """
        from fastnn.files import learning  # late, for it calls `train`

        return learning.read_back(self, data, learn, n_rows)

    def to_torch(self) -> Any:
        """Convert the network to a `torch.nn.Sequential` of Linear layers and activations, with
        copies of the weights.

        Returns
        -------
        torch.nn.Sequential
            In the dtype of the training.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        ValueError
            For the output exp, for which PyTorch has no module.

        Examples
        --------
        >>> import importlib.util
        >>> from fastnn import Network, train
        >>> result = train(Network((1, 3, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3, seed=0)
        >>> len(result.to_torch()) if importlib.util.find_spec(
        ...     "torch"
        ... ) else 3  # Linear, ReLU, Linear
        3
        """
        from fastnn.files import frameworks  # late, for its `from_torch` makes results

        return frameworks.to_torch(self)

    def to_keras(self) -> Any:
        """Convert the network to a `keras.Sequential` of Dense layers with activations, with copies
        of the weights.

        Returns
        -------
        keras.Sequential
            In the dtype of the training.

        Raises
        ------
        ImportError
            If Keras or its backend library is not installed.
        ValueError
            For the activation gelu, which has another formula in Keras.

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
        from fastnn.files import frameworks  # late, for its `from_keras` makes results

        return frameworks.to_keras(self)

    def function(self, *, jacobian: bool = False) -> Any:
        """Create a function of one row, ``f(x, out)``, for your own compiled code.

        See docs/howto/export.md. Numba code calls it by its address, without compiling anything of
        fastnn, and C code by `f.c_function` and `f.c_network`. It allocates nothing, holds no lock,
        may be called by several threads, and has the bits of `predict` of the back end "numba".
        Later changes of the parameters do not change it.

        Parameters
        ----------
        jacobian : bool
            Whether `out` also takes the derivatives of the outputs by x, behind these: output by
            output, with the bits of `jacobian`.

        Returns
        -------
        callable
            ``f(x, out)``, which returns None. It writes the outputs for x (n_inputs,) to `out`
            (n_outputs,), with derivatives (n_outputs * (1 + n_inputs),); both are contiguous and of
            the training's dtype. It cannot be pickled.

        Raises
        ------
        ValueError
            If the layers are so wide that a call would take more than 64 kB of the stack.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Network, train
        >>> result = train(Network((2, 3, 1)), np.zeros((4, 2)), np.zeros(4), epochs=1, seed=0)
        >>> f, out = result.function(), np.empty(1)
        >>> f(np.ones(2), out)
        >>> bool(out == result.predict(np.ones((1, 2))))
        True
        >>> f, out = result.function(jacobian=True), np.empty(1 + 2)
        >>> f(np.ones(2), out)
        >>> bool((out[1:] == result.jacobian(np.ones((1, 2)))[0, 0]).all())
        True
        """
        check_network(self.network)
        check_flag("jacobian", jacobian)
        return cast(Any, get_backend("numba")).function(
            self.network, check_params(self.network, self.params), jacobian
        )


BY_HEART = 0.9
"""The share of the number of targets above which gamma, so many effective parameters, says they
were memorized."""


def score_of_rows(
    network: Network, dtype: Any, X: Any, Y: Any, weight: Any, monitor: Monitor | None
) -> Score:
    """Return the function from the outputs of rows to what `TrainingResult.score` says of them;
    check the rows.
    """
    data = check_data(network, X, Y, weight, dtype=dtype)
    used = data.sample_weight > 0
    usual = "accuracy" if network.loss_name in LABELED else "r2"
    by = check_monitor("monitor", usual if monitor is None else monitor)
    if by == "loss":
        raise ValueError("score gives no loss: loss_and_gradient(network, params, X, Y) does")
    score = scorer(by, network, data.Y[used], data.sample_weight[used])
    return lambda outputs: score(outputs[used])


def by_heart(result: TrainingResult) -> bool:
    """Return whether Bayesian regularization ended with nearly as many parameters as there are
    targets.
    """
    gamma = result.gamma
    rows = result.state.index
    return (
        gamma is not None
        and rows is not None
        and gamma > BY_HEART * len(rows) * result.network.n_outputs
    )


def is_constant(result: TrainingResult) -> bool:
    """Return whether Bayesian regularization ended with less than a parameter for each output: a
    constant, nearly.
    """
    gamma = result.gamma
    return gamma is not None and (
        result.stop_reason == "collapsed" or 0 < gamma < result.network.n_outputs
    )


def warn_of_fit(results: Sequence[TrainingResult]) -> None:
    """Warn where some of the results of Bayesian regularization know their rows by heart, or are
    constants.
    """
    results = [*results]  # of a ManyResult each is made once
    warn_by_heart(results)
    _warn_of(
        [*map(is_constant, results)],
        ("the network is a constant", "networks are constants"),
        ", nearly: Bayesian regularization found nothing in Y that X tells (gamma is less than "
        "one for each output); "
        "take another start, by seed=, and leave such a network out of a mean of several",
    )


def warn_by_heart(results: Sequence[TrainingResult]) -> None:
    """Warn where some of the results know their rows by heart."""
    _warn_of(
        [*map(by_heart, results)],
        ("the network knows its rows", "networks know their rows"),
        " by heart: the data determine as many parameters (gamma) as there are targets, and "
        "nothing was learned that "
        "holds for other rows; make layers narrower, or take another start, by seed=",
    )


def _warn_of(wrong: list[bool], who: tuple[str, str], fault: str) -> None:
    if any(wrong):
        warn(
            FitWarning(
                f"{who[0] if len(wrong) == 1 else f'{sum(wrong)} of {len(wrong)} {who[1]}'}{fault}"
            )
        )


# -------------------------------------------------------------------------------- stores of results


class Store:
    """Results of members, by their places.

    `result` makes a whole one on request. The other methods give its parts; a store that has them
    at hand overrides these, for some thousand members are looked at in one call.
    """

    def result(self, k: int) -> TrainingResult:
        """Return member k's whole result."""
        raise NotImplementedError

    def network(self, k: int) -> Network:
        """Return its network."""
        return self.result(k).network

    def backend(self, k: int) -> Backend:
        """Return its back end for predictions; ValueError for a name that is not registered
        here.
        """
        return get_backend(self.result(k).backend)

    def params(self, k: int) -> Array:
        """Return its parameters (n_params,), read-only."""
        return self.result(k).params

    def feature_names(self, k: int) -> Names | None:
        """Return the names of the columns of its X."""
        return self.result(k).feature_names

    def history(self, k: int) -> History:
        """Return its history."""
        return self.result(k).history

    def n_epochs(self, k: int) -> int:
        """Return how many epochs ended."""
        return len(self.history(k).loss)

    def stop_reason(self, k: int) -> StopReason:
        """Return the reason why its training ended."""
        return self.result(k).stop_reason

    def has_state(self, k: int) -> bool:
        """Return whether it has a state and losses, unlike a network that was saved alone."""
        return True

    def optimizer(self, k: int) -> dict[str, Any]:
        """Describe its optimizer in types of JSON; empty where that is not known."""
        return self.result(k).state.counters.get("optimizer", {})

    def best_score(self, k: int) -> float | None:
        """Return the score of its parameters, lower is better, where they are those of the best
        epoch; else None.
        """
        result = self.result(k)
        best = result.state.best_params
        is_best = best is not None and np.array_equal(result.params, best)
        return result.state.counters.get("best_score") if is_best else None

    def predict(self, k: int, X: Array) -> Array:
        """Compute its outputs (n, n_outputs) of checked inputs."""
        return self.backend(k).predict(self.network(k), self.params(k), X)


class Row(NamedTuple):
    """The result of one member: its place in a store."""

    store: Store
    place: int

    def result(self) -> TrainingResult:
        """The whole result."""
        return self.store.result(self.place)

    def state(self) -> TrainingState:
        """The state, made anew, where the store holds arrays."""
        return arrays_of(self).state(self.place)

    def history(self) -> History:
        """The history."""
        return self.store.history(self.place)


class WholeResults(Store):
    """Whole results, such as a caller's own, whose parameters are checked at each prediction."""

    def __init__(self, results: Sequence[TrainingResult]) -> None:
        self._results = results

    def result(self, k: int) -> TrainingResult:
        """Return member k's whole result."""
        return self._results[k]

    def has_state(self, k: int) -> bool:
        """Return whether it has a state."""
        return self._results[k].state.index is not None

    def predict(self, k: int, X: Array) -> Array:
        """Compute its outputs of checked inputs."""
        return self._results[k].predict(X, assume_finite=True)


class Facts(NamedTuple):
    """What results keep of the options of their members: no data."""

    optimizer: Optimizer | dict[str, Any]
    """The optimizer, or its `Optimizer.to_dict`."""
    alpha: float
    batch_size: int | None
    """As it was asked for."""
    shuffle: bool
    feature_names: Names | None
    digest: int | None
    """The hash of the training rows; None for all rows."""
    draws: bool
    """Whether the weights were drawn."""
    monitor: str
    validated: bool
    keeps_best: bool
    """Whether the result has the parameters of the best epoch."""

    def __reduce__(self) -> tuple[Any, ...]:
        optimizer = self.optimizer  # its learning rate may be a function of the caller's
        if isinstance(optimizer, Optimizer) and callable(optimizer.learning_rate):
            optimizer = optimizer.to_dict()
        return Facts, (optimizer, *self[1:])


def facts_of(options: TrainOptions) -> Facts:
    """Return what results keep of the options of a member."""
    stop = options.stop
    return Facts(
        optimizer=options.optimizer,
        alpha=options.alpha,
        batch_size=options.batch_size,
        shuffle=options.shuffle,
        feature_names=options.feature_names,
        digest=None if options.rows is None else digest(options.rows),
        draws=options.params is None,
        monitor=name_of(stop.monitor),
        validated=options.validation_rows is not None or stop.validation is not None,
        keeps_best=stop.restore_best,
    )


NO_NUMBERS = np.zeros(0)


@dataclass(eq=False, repr=False, kw_only=True)
class Results(TrainingStates, Store):
    """The results of m trainings of one shape: where they have ended, the log of this call, and
    facts of their options, but not their data.
    """

    network_of_all: Network
    """The network of all members."""
    backend_of_all: Backend
    facts: list[Facts]
    """The different facts of members."""
    which: list[int]
    """(m,): the index of each member in `facts`."""
    reasons: list[StopReason]
    """(m,): why their trainings ended."""
    ended: list[int]
    """(m,): the epochs of this call."""
    loss: NDArray[np.float64]
    """(m, most epochs); of each column of the log (1, most epochs) where all have the same."""
    learning_rate: NDArray[np.float64]
    row_loss: NDArray[np.float64]
    """(1, 0) where no rows were scored."""
    score: NDArray[np.float64]
    """(1, 0) where the loss is the score."""
    seconds: float
    """The seconds of a member."""

    def result(self, k: int) -> TrainingResult:
        """Return member k's result, with state and history made on request."""
        result = TrainingResult.__new__(TrainingResult)
        vars(result).update(
            network=self.network_of_all,
            params=self.params(k),
            stop_reason=self.reasons[k],
            backend=self.backend_of_all,
            threads=self.threads,
            _row=Row(self, k),
        )
        return result

    def state(self, k: int) -> TrainingState:
        """Return member k's state, a copy."""
        facts = self.facts[self.which[k]]
        best = self._best_params(k)
        storage = aligned_zeros(self.storage[k].shape, self.storage.dtype)
        storage[...] = self.storage[k]
        return TrainingState(
            storage,
            self.n_params,
            self.t[k],
            self.beta_products[k].copy(),
            optimizer=name_of_optimizer(facts.optimizer),
            random_state=self.random_state(k),
            index=self.order_of(k),
            validation_rows=copy.copy(self.splits[k]),
            batch=self.batches[k],
            counters=self._counters(k, facts),
            best_params=None if best is None else best.copy(),
            feature_names=facts.feature_names,
        )

    def random_state(self, k: int) -> dict[str, Any]:
        """Return the state of member k's generator as NumPy describes it."""
        if k in self.owners:
            return copy.deepcopy(self.owners[k])
        if self.draws_again(k):
            return state_after_draw(
                self.seeds[k], self.network_of_all, self.facts[self.which[k]].draws
            )
        return described(self.words[k], self.held[k])

    def _counters(self, k: int, facts: Facts) -> Counters:
        """Return the counts and options that resuming needs."""
        row = self.rules[k]
        counters: Counters = {
            "epoch": self.epochs[k],
            "loss_sum": float(self.sums[k, 0]),
            "row_sum": float(self.sums[k, 1]),
            "optimizer": self.optimizer(k),
            "alpha": facts.alpha,
            "batch_size": facts.batch_size,
            "shuffle": facts.shuffle,
            **network_counters(self.network_of_all),
            "best_score": finite(row[BEST]),
        }
        if self.best_on[k] is not None:
            counters["best_on"] = self.best_on[k]
        if self.rate_factor[k] < 1:
            counters |= {"rate_factor": self.rate_factor[k], "rate_least": self.rate_least[k]}
        if row[LIMIT]:
            counters["rule_on"] = self.rule_on[k]
            counters["rule_best"] = finite(row[RULE_BEST])
            counters["rule_stale"] = int(row[STALE])
        if facts.digest is not None:
            counters["rows"] = facts.digest
        return counters

    def _best_params(self, k: int) -> Array | None:
        """Return the parameters (n_params,) of member k's best epoch; None if there is none, or
        none are kept.
        """
        return (
            self.best_params[k]
            if self.best_params.shape[1] and math.isfinite(self.rules[k, BEST])
            else None
        )

    def optimizer(self, k: int) -> dict[str, Any]:
        """Describe member k's optimizer in types of JSON."""
        optimizer = self.facts[self.which[k]].optimizer
        return optimizer.to_dict() if isinstance(optimizer, Optimizer) else optimizer

    def network(self, k: int) -> Network:
        """Return the network of all members."""
        return self.network_of_all

    def backend(self, k: int) -> Backend:
        """Return the back end that trained them."""
        return self.backend_of_all

    def feature_names(self, k: int) -> Names | None:
        """Return the names of the columns of X."""
        return self.facts[self.which[k]].feature_names

    def n_epochs(self, k: int) -> int:
        """Return member k's epochs of this call."""
        return self.ended[k]

    def stop_reason(self, k: int) -> StopReason:
        """Return the reason why its training ended."""
        return self.reasons[k]

    def best_score(self, k: int) -> float | None:
        """Return the score of its parameters, where they are those of the best epoch."""
        is_best = self.facts[self.which[k]].keeps_best and self._best_params(k) is not None
        return finite(self.rules[k, BEST]) if is_best else None

    def params(self, k: int) -> Array:
        """Return member k's parameters (n_params,), read-only."""
        best = self._best_params(k) if self.facts[self.which[k]].keeps_best else None
        return read_only(self.storage[k, 0, : self.n_params] if best is None else best)

    def history(self, k: int) -> History:
        """Return member k's history."""
        facts = self.facts[self.which[k]]
        n = self.ended[k]
        columns = self.loss, self.learning_rate, self.row_loss, self.score
        loss, rate, row_loss, score = (
            column[k if len(column) > 1 else 0, :n] for column in columns
        )
        if facts.validated:
            return History(loss, row_loss, self.seconds, rate, score, facts.monitor)
        return History(
            loss, NO_NUMBERS, self.seconds, rate, score if score.size else row_loss, facts.monitor
        )

    def rows(self, places: list[int]) -> Results:
        """Return copies of some members' results."""
        m = len(self.t)
        parts: dict[str, Any] = {
            "owners": {new: self.owners[k] for new, k in enumerate(places) if k in self.owners}
        }
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, np.ndarray) and len(value) == m:
                parts[part.name] = value[places]
            elif isinstance(value, list) and part.name != "facts":
                parts[part.name] = [value[k] for k in places]
        return replace(self, **parts)

    def without_histories(self) -> Results:
        """Return the same results without their histories."""
        nothing = np.zeros((1, 0))
        return replace(
            self,
            ended=[0] * len(self.t),
            loss=nothing,
            learning_rate=nothing,
            row_loss=nothing,
            score=nothing,
        )


def name_of_optimizer(optimizer: Optimizer | dict[str, Any]) -> str:
    """Return the name of an optimizer, or of one that is described."""
    return optimizer.name if isinstance(optimizer, Optimizer) else optimizer["name"]


def finite(value: float) -> float | None:
    """Return None for infinity ("no score yet"), which JSON lacks."""
    return float(value) if math.isfinite(value) else None


def arrays_of(row: Row) -> Results:
    """Return the arrays in which a result of a training is a row."""
    assert isinstance(row.store, Results)
    return row.store


def by_store(rows: Mapping[int, Row]) -> list[tuple[Results, list[int]]]:
    """Return each of the arrays in which members' results are rows, with the numbers of these
    members.
    """
    groups: dict[int, tuple[Results, list[int]]] = {}
    for number, row in rows.items():
        groups.setdefault(id(row.store), (arrays_of(row), []))[1].append(number)
    return [*groups.values()]
