"""Rows in CSR form: their numbers that are not 0, with their columns, row by row.

SciPy's matrices become such rows once, where they come in; SciPy is not imported for it, for
whoever passes one has done that. Compiled code takes places on trust, SciPy's and ours alike, so
all of them are checked before, and the arrays of places are copied: what a caller does later with
his matrix does not reach a kernel. Its numbers are used where they lie, if their dtype allows it.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.checking.arguments import cut
from fastnn.checking.values import refuse_complex, refuse_masked
from fastnn.memory import Array, read_only

MOST_SHARE = 0.1
"""The share of entries up to which rows stay in CSR form: with more of them, or in fewer columns
than `FEWEST_COLUMNS`, the first layer is as fast on dense rows."""
VECTOR = 16
"""Where the neurons of the first layer are a multiple of it, it is twice the share: the gradient
takes entries as they lie."""
FEWEST_COLUMNS = 64

CHUNK = 1_000_000
"""Entries that are scaled at once."""


class SparseRows:
    """Rows (n, n_columns) in CSR form, as kernels read them.

    Parameters
    ----------
    values : ndarray (n_entries,)
        The entries, row by row: the numbers that are not 0. Some may be 0 all the same.
    indices : ndarray (n_entries,)
        Their columns, integers in ascending order within a row.
    starts : ndarray (n + 1,)
        The first entry of each row, and behind them the number of entries.
    n_columns : int

    Attributes
    ----------
    values : ndarray (n_entries,)
    indices : ndarray of int32 (n_entries + 1,)
        A read-only copy with one number more.
    starts : ndarray of int64 (n + 1,)
        A read-only copy.
    shape : tuple
        (n, n_columns)

    Raises
    ------
    ValueError
        For places that are none of such rows.

    Notes
    -----
    Kernels take `indices` and `starts` on trust, and read and write wherever they lead. Whoever
    makes them writable again, or puts other arrays in their place, may crash the process.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.sparse import SparseRows
    >>> rows = SparseRows(np.array([5.0, 6.0]), np.array([2, 0]), np.array([0, 1, 2]), n_columns=3)
    >>> rows.toarray()
    array([[0., 0., 5.],
           [6., 0., 0.]])
    """

    __slots__ = ("__weakref__", "indices", "shape", "starts", "values")
    ndim = 2

    def __init__(self, values: Array, indices: Array, starts: Array, n_columns: int) -> None:
        # Copied before they are checked: another thread of the caller may write to them.
        places = np.pad(indices, (0, 1))
        starts = np.array(starts)
        if fault := fault_in(values, places[:-1], starts, n_columns):
            raise ValueError(f"these are no rows in CSR form: {fault}")
        places = places.astype(np.int32, copy=False)
        self._set(values, read_only(places), read_only(starts.astype(np.int64)), n_columns)

    def _set(self, values: Array, indices: Array, starts: Array, n_columns: int) -> None:
        self.values = values
        self.indices: NDArray[np.int32] = indices
        self.starts: NDArray[np.int64] = starts
        self.shape = (len(starts) - 1, n_columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the entries."""
        return self.values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> SparseRows:
        """Return some rows, by a slice, a mask or their numbers."""
        some = object.__new__(SparseRows)
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(len(self))
            starts = self.starts[first : max(first, stop) + 1]
            some._set(self.values, self.indices, starts, self.shape[1])
            return some
        rows = np.arange(len(self))[rows]
        first = self.starts[rows]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(self.starts[rows + 1] - first, out=starts[1:])
        shifts = np.repeat(first - starts[:-1], np.diff(starts))
        entries = np.arange(starts[-1]) + shifts
        places = self.indices[np.append(entries, 0)]
        some._set(self.values[entries], read_only(places), read_only(starts), self.shape[1])
        return some

    def astype(self, dtype: DTypeLike | None) -> SparseRows:
        """Return the same rows with entries of another dtype; None: of their own."""
        same = object.__new__(SparseRows)
        values = self.values if dtype is None else self.values.astype(dtype, copy=False)
        same._set(values, self.indices, self.starts, self.shape[1])
        return same

    def toarray(self, first: int = 0, stop: int | None = None) -> Array:
        """Return the rows as an array (n, n_columns), or their columns from `first` to `stop`."""
        stop = self.shape[1] if stop is None else stop
        dense = np.zeros((len(self), stop - first), self.dtype)
        here = slice(self.starts[0], self.starts[-1])
        columns = self.indices[here]
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        is_there = (first <= columns) & (columns < stop)
        dense[rows[is_there], columns[is_there] - first] = self.values[here][is_there]
        return dense

    def scaled(self, scales: Array) -> SparseRows:
        """Return the rows with each column times one of the scales (n_columns,)."""
        same = object.__new__(SparseRows)
        values = self.values.copy()
        for first in range(0, values.size, CHUNK):
            chunk = slice(first, first + CHUNK)
            values[chunk] *= scales[self.indices[:-1][chunk]]
        same._set(values, self.indices, self.starts, self.shape[1])
        return same

    def beside(self, array: Array) -> SparseRows:
        """Return the rows with the columns of an array (n, m) on their right."""
        m = array.shape[1]
        here = slice(self.starts[0], self.starts[-1])
        starts = self.starts - self.starts[0] + m * np.arange(len(self) + 1)
        values = np.empty(starts[-1], self.dtype)
        indices = np.empty(starts[-1], np.int32)
        places = starts[1:, None] - m + np.arange(m)
        is_old = np.ones(starts[-1], bool)
        is_old[places] = False
        values[is_old] = self.values[here]
        indices[is_old] = self.indices[here]
        values[places] = array
        indices[places] = self.shape[1] + np.arange(m)
        return SparseRows(values, indices, starts, self.shape[1] + m)


def fault_in(values: Array, indices: Array, starts: Array, n_columns: int) -> str:
    """Return what keeps arrays from being rows in CSR form, with columns in ascending order; ""
    if nothing does.
    """
    for name, array in (("values", values), ("indices", indices), ("starts", starts)):
        if array.ndim != 1:
            return f"{name} must have 1 dimension, not {array.ndim}"
        if name != "values" and array.dtype.kind not in "iu":
            return f"{name} must be integers, not {cut(array.dtype)}"
    if indices.size != values.size:
        return f"there are {values.size} values and {indices.size} indices"
    if not starts.size or starts[0] != 0 or starts[-1] != values.size:
        return f"starts must lead from 0 to the number of entries, {values.size}"
    if (starts[1:] < starts[:-1]).any():  # a difference of them may overflow
        return "starts must not decrease"
    if n_columns > np.iinfo(np.int32).max:
        return f"there are more than {np.iinfo(np.int32).max} columns"
    if values.size and not 0 <= indices.min() <= indices.max() < n_columns:
        return f"indices must be from 0 to {n_columns - 1}"
    if not _ascend(indices, starts):
        return "indices must ascend within a row"
    return ""


def _ascend(indices: Array, starts: Array) -> bool:
    """Return whether the columns ascend within each row, none of them there twice."""
    ascends = indices[1:] > indices[:-1]
    begins = starts[(starts > 0) & (starts < indices.size)] - 1  # of a row, in the pairs of entries
    ascends[begins] = True
    return bool(ascends.all())


def is_sparse(value: Any) -> bool:
    """Return whether a value is rows in CSR form, or what they are made of."""
    return isinstance(value, SparseRows) or is_matrix(value)


def is_matrix(value: Any) -> bool:
    """Return whether a value is one of SciPy's sparse matrices or arrays."""
    scipy_sparse = sys.modules.get("scipy.sparse")  # whoever has such a matrix has imported it
    return scipy_sparse is not None and bool(scipy_sparse.issparse(value))


_INDICES = ("indices", "indptr", "row", "col", "offsets")
"""Arrays of integers, in one format of sparse matrices or another; scipy cuts off what is behind a
decimal point."""


def checked_matrix(name: str, X: Any) -> Any:
    """Return a sparse matrix as CSR or CSC, of SciPy's own class, with indices within its shape.

    SciPy converts a matrix of any format in compiled code, which takes indices on trust: it reads
    and writes anywhere.
    """
    scipy_sparse = sys.modules["scipy.sparse"]
    kind = "array" if isinstance(X, scipy_sparse.sparray) else "matrix"
    form = X.format
    refuse_masked(name, getattr(X, "data", None))
    try:
        for part in _INDICES:
            dtype = getattr(getattr(X, part, None), "dtype", None)
            if dtype is not None and dtype.kind != "i":
                raise ValueError(f"{part} must be integers, not {cut(dtype)}")
        # shares the arrays; all sizes are checked, and COO's indices
        X = getattr(scipy_sparse, f"{form}_{kind}")(X)
        if form == "lil":
            lengths = [len(X.rows), *map(len, X.rows)]
            if lengths != [X.shape[0], *map(len, X.data)]:
                raise ValueError("rows and data differ in length")
        if form in ("lil", "dok"):  # which hold Python's objects
            numbers = itertools.chain.from_iterable(X.rows if form == "lil" else X.keys())
            if not all(isinstance(number, int | np.integer) for number in numbers):
                raise ValueError("numbers of rows and columns must be integers")
        if form == "bsr" and any(n % width for n, width in zip(X.shape, X.blocksize, strict=True)):
            raise ValueError(f"blocks of {X.blocksize} do not fill the shape {X.shape}")
        if form in ("csr", "csc", "bsr"):
            _check_indices(X)
        if form not in ("csr", "csc"):
            X = X.tocsr()
            _check_indices(X)
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{name} is a damaged sparse {kind} ({cut(form)}): {cut(error)}") from None
    return X


def _check_indices(X: Any) -> None:
    """Raise ValueError unless all indices of a compressed matrix are within its shape."""
    # scipy looks at that only where the last one is greater than 0
    if (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("indptr must be a non-decreasing sequence")
    X.check_format(full_check=True)


def sparse_rows(name: str, X: Any, dtype: DTypeLike | None = None) -> SparseRows:
    """Return rows in CSR form, or one of SciPy's sparse matrices, as rows of `dtype`; None:
    float32 stays, all else becomes float64.

    CSR is used as it is, as far as its numbers go; other formats are converted. Entries at one
    place are added up, as SciPy does it.

    Raises
    ------
    TypeError, ValueError
        For a matrix with places that are not its own, for other numbers than real ones, and for
        another number of dimensions than 2.
    """
    if isinstance(X, SparseRows):
        return X.astype(dtype)
    refuse_complex(name, X)
    if len(X.shape) != 2:
        raise ValueError(f"{name} must have 2 dimensions, not {len(X.shape)} (shape {X.shape})")
    matrix = checked_matrix(name, X).tocsr()
    n = int(matrix.indptr[-1])
    values = matrix.data[:n]
    indices = matrix.indices[:n]
    starts = matrix.indptr
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not {cut(values.dtype)}")
    if not _ascend(indices, starts):
        values, indices, starts = _in_order(values, indices, starts)
    if dtype is None:
        dtype = np.float32 if values.dtype.type is np.float32 else np.float64
    with np.errstate(over="ignore"):
        values = np.require(values, np.dtype(dtype).newbyteorder("="), ["C", "A"])
    return SparseRows(values.view(np.ndarray), indices, starts, matrix.shape[1])


def _in_order(values: Array, indices: Array, starts: Array) -> tuple[Array, Array, Array]:
    """Return the entries with ascending columns in each row, those at one place added up."""
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((indices, rows))  # a stable one: at one place the order stays
    rows = rows[order]
    indices = indices[order]
    is_new = np.ones(order.size, bool)
    is_new[1:] = (np.diff(rows) != 0) | (np.diff(indices) != 0)
    sums = np.zeros(np.count_nonzero(is_new), values.dtype)
    np.add.at(sums, np.cumsum(is_new) - 1, values[order])
    ends = np.cumsum(np.bincount(rows[is_new], minlength=len(starts) - 1))
    return sums, indices[is_new], np.concatenate([[0], ends])


def pays(X: SparseRows, width: int = 1) -> bool:
    """Return whether a first layer of so many neurons is faster on these rows than on dense
    ones; of any number without `width`.
    """
    n, n_columns = X.shape
    return may_pay(int(X.starts[-1] - X.starts[0]), n, n_columns, width)


def may_pay(n_entries: int, n: int, n_columns: int, width: int) -> bool:
    """Return whether a first layer of so many neurons is faster on n rows with so many entries than
    on dense ones.
    """
    most = MOST_SHARE if width % VECTOR else 2 * MOST_SHARE
    return n_columns >= FEWEST_COLUMNS and n_entries <= most * n * n_columns
