"""predict and loss_and_gradient: one call of a back end, its input checked."""

from __future__ import annotations

from typing import Any, cast

from fastnn.backends import Backend, complete, get_backend
from fastnn.checking.arguments import check_flag, check_integer, check_number
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.inputs import check_data, check_inputs, check_memory, check_network, check_params


def predict(
    network: Network,
    params: Any,
    X: Any,
    *,
    backend: str | Backend = "numba",
    assume_finite: bool = False,
    threads: int | None = None,
) -> Array:
    """Compute the network's outputs.

    Parameters
    ----------
    network : Network
        Sizes and activations.
    params : array-like (n_params,)
        Its dtype is the one to compute in: float32, or float64 for everything else.
    X : array-like or data frame (n, n_inputs)
        Copied only if its dtype, byte order or memory layout requires it. One row x is ``x[None]``. The columns of a
        frame go by position; `TrainingResult.predict` compares their names.
    backend : {"numba", "numpy"}, name or Backend
        What computes.
    assume_finite : bool
        Skip the search of X for NaN and infinity.
    threads : int, optional
        How many threads share the rows, on the back end "numba", in blocks of 256; it shows in no bit of the result.
        Where it is not given, predictions that take longer than some 5 ms are shared by as many as there are cores that
        the process may use (`fastnn info`); in other threads than Python's main one they are not shared.

    Returns
    -------
    ndarray (n, n_outputs)
        In the dtype of `params`. It is (n, 1) for one output too: compare ``predict(...)[:, 0]`` with targets (n,),
        because NumPy subtracts (n,) from (n, 1) as a table (n, n).

    Raises
    ------
    ValueError, TypeError
        For input that does not fit; the text says what would.
    MemoryError
        Before anything is allocated, when the activations (of a block of rows at a time, all rows on "numpy") would not
        fit the machine.

    Examples
    --------
    >>> from fastnn import Network, predict
    >>> predict(Network((2, 1)), [1.0, 2.0, 0.5], [[1.0, 0.0], [0.0, 1.0]])  # W, and then b
    array([[1.5],
           [2.5]])
    """
    check_network(network)
    params = check_params(network, params)
    X = check_inputs(network, X, params.dtype, check_flag("assume_finite", assume_finite))
    backend = get_backend(backend)
    threads = None if threads is None else check_integer("threads", threads, low=1)
    check_memory(network, 1, len(X), params.dtype, backend, threads=threads or 1)
    return cast(Array, complete(backend).predict(network, params, X, threads))


def loss_and_gradient(
    network: Network,
    params: Any,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numba",
    assume_finite: bool = False,
    threads: int | None = None,
) -> tuple[float, Array]:
    """Compute the loss of all rows as one batch, and its gradient by the parameters.

    ``L = (1/s) [ sum_i w_i l_i + (alpha/2) sum W^2 ]``, s the sum of the weights for ``reduction="mean"``, 1 for "sum".

    Parameters
    ----------
    network : Network
        Sizes, activations, loss and reduction.
    params : array-like (n_params,)
        Its dtype is the one computed in: float32, or float64 for everything else.
    X : array-like or data frame (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets. Also (n,) for one output, and labels (n,) from 0, whole numbers of any dtype, for cross_entropy.
    sample_weight : array-like (n,), optional
        The weights of the rows, not negative; all 1 where it is not given.
    alpha : float
        Strength of the L2 penalty on the weights (not the biases).
    backend : {"numba", "numpy"}, name or Backend
        What computes.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity.
    threads : int, optional
        How many threads share each block of rows, on the back end "numba"; it shows in no bit of the result. Where it
        is not given, what takes longer than some 30 us is shared by as many as there are cores, and work for them:
        `train` says more.

    Returns
    -------
    loss : float
        The loss L.
    gradient : ndarray (n_params,)
        In the dtype of `params`. With ``bias_gradient="times_bias"`` it is the tutorial's, not the loss' derivative.

    Raises
    ------
    ValueError, TypeError
        For input that does not fit; the text says what would.
    MemoryError
        Before anything is allocated, when the activations (of a block of rows at a time, all rows on "numpy") would not
        fit the machine.

    Examples
    --------
    >>> from fastnn import Network, loss_and_gradient
    >>> loss, gradient = loss_and_gradient(Network((1, 1)), [1.0, 0.0], [[1.0], [2.0]], [0.0, 2.0])
    >>> loss  # half the mean of 1 and 0
    0.25
    >>> gradient
    array([0.5, 0.5])
    """
    check_network(network)
    params = check_params(network, params)
    assume_finite = check_flag("assume_finite", assume_finite)
    X = check_inputs(network, X, params.dtype, assume_finite)
    data = check_data(network, X, Y, sample_weight, assume_finite)
    backend = get_backend(backend)
    threads = None if threads is None else check_integer("threads", threads, low=1)
    check_memory(network, 3, len(X), params.dtype, backend, threads=threads)
    alpha = check_number("alpha", alpha, low=0)
    return cast("tuple[float, Array]", complete(backend).loss_and_gradient(network, params, data, alpha, threads))
