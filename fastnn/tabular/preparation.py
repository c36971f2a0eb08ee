"""TablePreparation: the numbers that a network takes of a table as it is, by plain arrays that fit
has set.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from fastnn.checking.arguments import Faults, counted, cut, listed, short_errors, shown
from fastnn.checking.values import is_gap, known_names
from fastnn.errors import warn
from fastnn.estimators.validation import Constraints
from fastnn.memory import Array, Flags, Integers
from fastnn.sparse import VECTOR, SparseRows, may_pay
from fastnn.tabular.columns import Column, Table, as_numbers, check_words, kinds_of, with_numbers
from fastnn.tabular.doubts import may_be_names, reading_of
from fastnn.tabular.imputation import learn_imputation, rows_to_learn_from
from fastnn.tabular.ramps import Inputs, Matrix, learn_ramps, no_ramps

LIMIT = 3.0
"""The bound that squashed numbers come near to."""

LARGEST_SCALED = 1e9
"""Largest absolute value of a scaled number before it is squashed, which makes `LIMIT` of it to the
bit."""

MANY_EQUAL = 0.25
LEAST_SPREAD = 0.125
"""The part of the known numbers that must equal the median for their interquartile range to be
compared with that of the others, and the part of the latter that it must be to scale them."""
MOST_SPREAD = 16
"""Half the range scales them otherwise, up to so many interquartile ranges of the others: a number
far away does not flatten all else."""

FAR = 3.0
"""How far beyond the range of a column in `fit` a number must be for a warning, in widths of that
range."""

N_COPIES = 3
"""How many copies of the rows are made with more gaps, for members to learn from."""
FEWEST_GAPS = 0.01
"""The part of all numbers that must be missing for copies to be made."""

MOST_DOUBTED = 500
"""Columns of numbers up to which each is asked whether it may hold names: it takes 0.1 ms."""

CHUNK = 16_384
"""Rows whose matrix is made at once."""

COMMON = 0.05
"""The part of the rows that must have a pattern of gaps for networks to learn how sure they are
there."""

_WAYS = {
    "boolean": ("booleans", '.map({"True": True, "False": False})'),
    "number": ("numbers", "pandas.to_numeric"),
    "text": ("words", ".astype(str)"),
}
"""{kind of `kinds_of`: its name in errors, the way to such values}; booleans first, for they are
numbers too."""


def _words_for(kinds: set[str]) -> tuple[str, str]:
    """Return what a column of some kinds is called in errors, and the way to such values."""
    return next(words for kind, words in _WAYS.items() if kind in kinds)


class Rows(NamedTuple):
    """What is read of the rows of a table."""

    numbers: Array  # (n, n_numbers)
    gaps: Flags  # (n, n_numbers): where numbers are NaN
    # (n,) of each column of words: numbers of levels, -1 for gaps and unknown words
    codes: list[Integers]

    def part(self, rows: Any) -> "Rows":
        """Return some of the rows."""
        return Rows(self.numbers[rows], self.gaps[rows], [code[rows] for code in self.codes])

    def pattern(self) -> Flags:
        """Return where gaps and unknown words are (n, n_numbers + n_words)."""
        return np.column_stack([self.gaps, *(code < 0 for code in self.codes)])


class Levels(NamedTuple):
    """The levels of a column of words."""

    column: int
    levels: list[Any]  # sorted
    has_rest: bool
    """Whether rarer levels are one more, which unknown ones belong to."""
    is_one_number: bool
    """Whether the column is one number: -1 for the first of two levels, 1 for the second, 0 for
    unknown ones."""

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return 1 if self.is_one_number else len(self.levels) + self.has_rest

    def codes(self, column: Column) -> Integers:
        """Return the number of the level in each row (n,), -1 for gaps and unknown ones."""
        number_of = {level: k for k, level in enumerate(self.levels)}
        words = column.values.tolist()
        codes = np.fromiter(map(number_of.get, words, itertools.repeat(-1)), np.int64, len(words))
        if self.has_rest:
            rest = [i for i in np.flatnonzero(codes < 0) if not is_gap(words[i])]
            codes[rest] = len(self.levels)
        return codes

    def numbers(self, codes: Integers, columns: Integers | None = None) -> Matrix:
        """Return the numbers (n, width) of levels, or some columns of them."""
        if columns is None:
            columns = np.arange(self.width)
        if self.is_one_number:
            return np.array([-1, 1, 0], np.float32)[codes][:, None][:, columns]
        return (codes[:, None] == columns).astype(np.float32)


def in_chunks(make: Callable[[slice], Matrix], n: int) -> Matrix:
    """Return what `make` makes of n rows, `CHUNK` of them at once."""
    first = make(slice(CHUNK))
    if n <= CHUNK:
        return first
    whole = np.empty((n, first.shape[1]), np.float32)
    whole[:CHUNK] = first
    for start in range(CHUNK, n, CHUNK):
        chunk = slice(start, start + CHUNK)
        whole[chunk] = make(chunk)
    return whole


def _center_and_spread(known: Array) -> tuple[float, float]:
    """Return the median of the known numbers of a column, and what their distances from it are
    divided by.
    """
    low, center, high = np.quantile(known, (0.25, 0.5, 0.75))
    spread = high - low
    half_range = known.max() / 2 - known.min() / 2
    are_others = known != center
    if spread and np.count_nonzero(are_others) < (1 - MANY_EQUAL) * len(known):
        low, high = np.quantile(known[are_others], (0.25, 0.75))
        if spread < LEAST_SPREAD * (high - low):
            spread = min(half_range, MOST_SPREAD * (high - low))
    return center, spread or half_range


class TablePreparation(TransformerMixin, BaseEstimator):
    """A transformer from tables as they are to numbers for a network.

    `TabularClassifier` and `TabularRegressor` contain it. Alone, put it before another model in a
    Pipeline.

    Parameters
    ----------
    max_categories : int, default=200
        The most levels of a column of words; the rarest of more levels become one, with a warning
        that names the column.

    Attributes
    ----------
    centers_, factors_, means_ : ndarray of shape (n_numbers,)
        Of each column of numbers that is not constant: its median, 1 over its interquartile range
        (over half its range where that is 0, or tiny for many equal numbers: see Notes), and its
        mean after scaling.
    lows_, highs_ : ndarray of shape (n_numbers,)
        The least and the largest known number of each such column.
    has_gaps_ : ndarray of shape (n_numbers,)
        Whether numbers were missing in `fit`, of which the matrix then has a column.
    has_word_gaps_ : ndarray of shape (n_words,)
        Whether words were missing in `fit`.
    gap_patterns_ : ndarray of shape (n_patterns, n_numbers + n_words)
        Where gaps are, in columns of numbers and then of words, in the patterns that 5 % of the
        rows of `fit` have.
    imputation_ : Imputation
        The means of numbers and of levels, and the coefficients by which a missing number is
        estimated from the others and from levels.
    ramps_ : Ramps
        The ramps of columns of numbers, which are the last columns of the matrix: none after `fit`,
        those of `fit_with_gaps` with `bins`.
    number_columns_ : list of int
        The places of the columns of numbers.
    levels_ : list of Levels
        The places and levels of the columns of words.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of a data frame's columns, as texts, if they are others than 0, 1, 2 and so on.

    Notes
    -----
    A number x becomes ``s = (x - center) * factor`` and then ``s / sqrt(1 + (s / 3)^2)``, which is
    within -3 and 3 (Holzmüller et al., RealMLP, NeurIPS 2024). A missing number becomes the mean of
    a normal distribution, given the numbers and words that are known of its row, by at most 100
    columns; a column more says where that was, if `fit` saw it. A word becomes a 1 in the column of
    its level; two levels are one column of -1 and 1, if no word is missing. Unknown and missing
    words are zeros. Constant columns are left out. Booleans are words of two levels.

    Where more than a quarter of the known numbers equal the median, such as zeros, the
    interquartile range may tell how many they are, not how far the others lie apart. If it is less
    than an eighth of the interquartile range of the others, half the range takes its place, or
    16 interquartile ranges of the others if that is less.

    All is computed in float64 by NumPy's elementwise operations and sums over rows, and rounded to
    float32 once.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TablePreparation
    >>> X = [[1.0, "red"], [2.0, "blue"], [3.0, "red"], [None, "green"]]
    >>> TablePreparation().fit_transform(X).round(2)
    array([[-0.95,  0.  ,  0.  ,  0.  ,  1.  ],
           [ 0.  ,  0.  ,  1.  ,  0.  ,  0.  ],
           [ 0.95,  0.  ,  0.  ,  0.  ,  1.  ],
           [ 0.  ,  1.  ,  0.  ,  1.  ,  0.  ]], dtype=float32)
    """

    _parameter_constraints: ClassVar[Constraints] = {
        "max_categories": [Interval(Integral, 2, None, closed="left")]
    }

    _owner = ""  # the name of the estimator that contains it

    def __init__(self, max_categories: int = 200) -> None:
        self.max_categories = max_categories

    # ------------------------------------------------------------------------------------------ fit

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the columns of a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Numbers, booleans and words; None, NaN and NA are gaps.
        y : None
            Ignored.

        Returns
        -------
        self : TablePreparation
            The fitted transformer.

        Raises
        ------
        ValueError, TypeError
            For a column of dates, free text, infinity, words beside numbers, or other things, by
            its name.

        Examples
        --------
        >>> from fastnn import TablePreparation
        >>> TablePreparation().fit([[1.0, "red"], [2.0, "blue"]]).levels_[0].levels
        ['blue', 'red']
        """
        self._fit(X)
        return self

    def fit_with_gaps(
        self,
        X: Any,
        random_state: np.random.RandomState,
        targets: Array | None = None,
        bins: tuple[int, float] | None = None,
    ) -> list[Matrix]:
        """Learn the columns of a table; return its matrix without ramps, and copies with more gaps
        if 1 % of the numbers are missing.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            As for `fit`.
        random_state : RandomState
            Draws the gaps: in a copy a column's numbers are missing about twice as often.
        targets : ndarray of shape (n_samples, n_outputs), default=None
            What the model learns: by it a warning names columns of whole numbers that may be names.
        bins : tuple of int and float, default=None
            The most bins of a column of numbers, and the height of their ramps, which are then
            columns that `transform` adds; see `ramps_`. None: no ramps.

        Returns
        -------
        list of ndarray of shape (n_samples, n_numbers)
            The matrix of `transform` without ramps, and three or no copies.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TablePreparation
        >>> X = [[1.0, 2.0], [2.0, None], [3.0, 4.0]]
        >>> len(TablePreparation().fit_with_gaps(X, np.random.RandomState(0)))
        4
        """
        inputs, n_copies = self._fit_inputs(X, random_state, targets, bins)
        matrix = inputs.toarray() if isinstance(inputs, SparseRows) else inputs
        return np.split(matrix, n_copies)

    def _fit_inputs(
        self,
        X: Any,
        random_state: np.random.RandomState,
        targets: Array | None,
        bins: tuple[int, float] | None,
    ) -> tuple[Inputs, int]:
        """Learn the columns like `fit_with_gaps`; return the matrix and its copies as one, in CSR
        form where that pays, and how many they are.
        """
        rows = self._fit(X)
        n, n_numbers = rows.numbers.shape
        if targets is not None and len(targets) == n and n_numbers <= MOST_DOUBTED:
            self._warn_of_names(rows.numbers, targets)
        numbers = [self._numbers(rows)]
        if rows.gaps.size and rows.gaps.mean() >= FEWEST_GAPS:
            copies = (self._with_more_gaps(rows, random_state) for _ in range(N_COPIES))
            numbers += map(self._numbers, copies)
        inputs = self._made(numbers, rows.codes)
        if bins is not None and n_numbers:
            self.ramps_ = learn_ramps(numbers[0][:, :n_numbers], *bins)
        return inputs, len(numbers)

    @staticmethod
    def _with_more_gaps(rows: Rows, random_state: np.random.RandomState) -> Rows:
        """Return the rows with as large a share of each column's numbers missing besides."""
        more = random_state.random_sample(rows.gaps.shape) < rows.gaps.mean(axis=0)
        return rows._replace(numbers=np.where(more, np.nan, rows.numbers), gaps=rows.gaps | more)

    _validate_params = short_errors()(BaseEstimator._validate_params)

    def _fit(self, X: Any) -> Rows:
        """Learn the columns; return the rows."""
        table = Table(X)
        self.n_features_in_ = table.n_columns
        self._doubtful: list[int] = []
        self.__dict__.pop("feature_names_in_", None)
        if table.names is not None:
            self.feature_names_in_ = np.array(table.names, object)
        self.number_columns_ = []
        self.levels_ = []
        numbers = []
        codes = []
        faults = Faults()
        for j in range(table.n_columns):
            with faults.part(table.label(j)):
                column = table.column(j)
                if column.holds_numbers:
                    known = column.values[~np.isnan(column.values)]
                    if len(known) and (len(known) < table.n_rows or (known != known[0]).any()):
                        self.number_columns_.append(j)
                        numbers.append(column.values)
                elif (levels := self._levels(j, column)) is not None:
                    self.levels_.append(levels)
                    codes.append(levels.codes(column))
        with short_errors():
            faults.check()
        Z = np.array(numbers, np.float64).reshape(len(numbers), table.n_rows).T
        rows = Rows(Z, np.isnan(Z), codes)
        self._fit_numbers(rows)
        self._fit_gaps(rows)
        self.ramps_ = no_ramps()
        return rows

    def _fit_numbers(self, rows: Rows) -> None:
        k = rows.numbers.shape[1]
        self.has_gaps_: Flags = np.asarray(rows.gaps.any(axis=0))
        self.centers_ = np.zeros(k)
        self.factors_ = np.zeros(k)
        self.lows_ = np.zeros(k)
        self.highs_ = np.zeros(k)
        for i, column in enumerate(rows.numbers.T):
            known = column[~np.isnan(column)] if self.has_gaps_[i] else column
            self.centers_[i], spread = _center_and_spread(known)
            self.lows_[i] = known.min()
            self.highs_[i] = known.max()
            self.factors_[i] = 1 / spread if spread >= np.finfo(np.float64).tiny else 0.0
        columns = (self._scaled(column, i) for i, column in enumerate(rows.numbers.T))
        self.means_ = np.array([column[~np.isnan(column)].mean() for column in columns])

    def _fit_gaps(self, rows: Rows) -> None:
        """Learn where gaps are, and how they are estimated."""
        self.has_word_gaps_: Flags = np.array([(code < 0).any() for code in rows.codes], bool)
        rows = rows.part(rows_to_learn_from(len(rows.gaps), sum(self._widths)))
        gaps = rows.pattern()
        patterns, counts = np.unique(gaps[gaps.any(axis=1)], axis=0, return_counts=True)
        self.gap_patterns_: Flags = patterns[counts >= COMMON * len(gaps)]
        cells = self._cells(rows)
        words = [column[~np.isnan(column)] for column in cells.T[len(self.means_) :]]
        means = [column.mean() if len(column) else 0.0 for column in words]
        self.imputation_ = learn_imputation(cells, np.append(self.means_, means))

    def _warn_of_names(self, numbers: Array, targets: Array) -> None:
        """Warn once of the columns of numbers that seem to hold names."""
        columns = zip(self.number_columns_, numbers.T, strict=True)
        self._doubtful = [j for j, column in columns if may_be_names(column, targets)]
        if self._doubtful:
            fault = f"whole numbers of {self._named(self._doubtful)} may be names"
            why = "their targets do not lie between those of neighboring numbers"
            warn(UserWarning(f'{fault}, for {why}: if they are, say .astype("category")'))

    def _levels(self, j: int, column: Column) -> Levels | None:
        """Return the levels of a column of words; None of a constant one, or of gaps alone."""
        counts = Counter(column.values.tolist())
        n_gaps = sum(counts.pop(word) for word in list(counts) if is_gap(word))
        if not counts:
            return None
        check_words(column.label, counts, len(column.values) - n_gaps, self.max_categories)
        levels = sorted(counts)
        most = self.max_categories
        has_rest = len(levels) > most
        reading = None if column.is_category else reading_of(counts)
        if has_rest:
            way = "drop the column if it only numbers the rows"
            if reading:
                way = f"{reading.remedy} if texts such as {reading.example} are amounts"
            rest = f"all but the {counted(most - 1, 'most frequent one')} become one"
            rest += f" (max_categories={most})"
            warn(UserWarning(f"{column.label} has {len(levels)} levels: {rest}; {way}"))
            levels = sorted(sorted(levels, key=counts.__getitem__, reverse=True)[: most - 1])
        elif reading:
            fault = f"{column.label} holds words that read as numbers ({reading.example})"
            names = 'or say .astype("category") if they are names'
            warn(UserWarning(f"{fault}: {reading.remedy}, {names}"))
        if len(levels) < 2 and not n_gaps:
            return None
        is_one_number = len(levels) == 2 and not has_rest and not n_gaps
        return Levels(j, levels, has_rest, is_one_number)

    # ------------------------------------------------------------------------------------ transform

    def transform(self, X: Any) -> Matrix:
        """Make the numbers of a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            A frame's columns are taken by their names, in any order, if `fit` saw names; others are
            passed over, with a warning.

        Returns
        -------
        ndarray of shape (n_samples, n_numbers)
            The matrix, float32.

        Raises
        ------
        ValueError, TypeError
            For a column that is missing, or that holds words where it held numbers, or the reverse.

        Examples
        --------
        >>> from fastnn import TablePreparation
        >>> preparation = TablePreparation().fit([[1.0, "red"], [2.0, "blue"], [4.0, "red"]])
        >>> preparation.transform([[2.0, "red"]])
        array([[0., 1.]], dtype=float32)
        """
        return self._matrix(self._read(X))

    def _read(self, X: Any) -> Rows:
        """Read the rows of a table; warnings name the columns that have gaps and had none in `fit`,
        those with words that `fit` did not see, and those with numbers far from its own.
        """
        check_is_fitted(self)
        table = Table(X)
        places = self._places(table)
        numbers = np.empty((table.n_rows, len(self.number_columns_)))
        faults = Faults()
        for i, j in enumerate(self.number_columns_):
            with faults.part(table.label(places[j])):
                numbers[:, i] = self._column(table, places[j]).values
        with short_errors():
            faults.check()
        self._warn_of_far(numbers, table, places)
        gaps = np.isnan(numbers)
        new_gaps = []
        new_words = []
        codes = []
        if gaps.any():
            are_new = gaps.any(axis=0) & ~self.has_gaps_
            new_gaps = [self.number_columns_[i] for i in np.flatnonzero(are_new)]
        for one, has_gaps in zip(self.levels_, self.has_word_gaps_, strict=True):
            column = self._column(table, places[one.column], one.levels)
            codes.append(one.codes(column))
            counts = Counter(column.values[codes[-1] < 0].tolist())
            unknown = [word for word in counts if not is_gap(word)]
            if not has_gaps and len(unknown) < len(counts):
                new_gaps.append(one.column)
            if unknown:
                n_rows = sum(map(counts.__getitem__, unknown))
                example = f"{counted(n_rows, 'row')}, such as {shown(unknown[0])}"
                new_words.append(f"{column.label} ({example})")
        if new_gaps:
            self._warn_of_gaps(sorted(new_gaps))
        if new_words:
            where = cut(", ".join(new_words))
            warn(UserWarning(f"X has words that fit did not see, in {where}: they are of no level"))
        return Rows(numbers, gaps, codes)

    def _warn_of_far(self, numbers: Array, table: Table, places: list[int]) -> None:
        """Warn once of the columns with numbers that are far from those of `fit`."""
        most = FAR * (self.highs_ - self.lows_)
        least = self.lows_ - most
        largest = self.highs_ + most
        # fmin and fmax pass over NaN
        are_below = np.fmin.reduce(numbers, axis=0) < least
        are_above = np.fmax.reduce(numbers, axis=0) > largest
        columns = []
        for i in np.flatnonzero(are_below | are_above):
            column = numbers[:, i]
            far = column[(column < least[i]) | (column > largest[i])]
            example = f"{counted(len(far), 'row')}, such as {far[0]:.6g}"
            of_fit = f"fit saw {self.lows_[i]:.6g} to {self.highs_[i]:.6g}"
            label = table.label(places[self.number_columns_[i]])
            columns.append(f"{label} ({example}; {of_fit})")
        if columns:
            fault = f"X has numbers far from those of fit, in {cut(', '.join(columns))}"
            warn(UserWarning(f"{fault}: predictions and intervals do not hold there"))

    def _warn_of_gaps(self, places: list[int]) -> None:
        how = (
            "numbers are estimated from the other columns, words belong to no level, and "
            "intervals are wider there"
        )
        if self.imputation_.is_jacobi:
            how = (
                "a model of fastnn 0.3 puts one number in place of each, and its intervals do "
                "not hold: fit it again"
            )
        where = f"in columns that had no gap in fit, {self._listed(places)}"
        warn(UserWarning(f"X has gaps {where}: {how}"))

    def _named(self, places: list[int]) -> str:
        """Return "column" or "columns" and their names in messages, of many the first ones."""
        return f"column{'s' * (len(places) > 1)} {self._listed(places)}"

    def _listed(self, places: list[int]) -> str:
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        return listed([names[j] for j in places])

    def _places(self, table: Table) -> list[int]:
        """Return the place in a table of each column that `fit` saw."""
        of_fit = getattr(self, "feature_names_in_", None)
        estimator = self._owner or type(self).__name__
        if (of_fit is None or table.names is None) and table.n_columns != self.n_features_in_:
            expects = f"{estimator} is expecting {self.n_features_in_} features as input"
            raise ValueError(f"X has {table.n_columns} features, but {expects}")
        names = known_names(table.names, of_fit)
        if names is None or table.names is None:
            if of_fit is None and table.names is not None:
                fault = f"X has feature names, but {estimator} was fitted without feature names"
                warn(UserWarning(fault))
            if of_fit is not None and table.names is None:
                fault = "X does not have valid feature names"
                warn(UserWarning(f"{fault}, but {estimator} was fitted with feature names"))
            return list(range(table.n_columns))
        place_of = {name: j for j, name in enumerate(table.names)}
        lacking = [name for name in names if name not in place_of]
        if lacking:
            column = "column" if len(lacking) == 1 else "columns"
            others = [name for name in table.names if name not in names]
            raise ValueError(f"X lacks the {column} {listed(lacking, others)}, which fit saw")
        if table.n_columns > len(names):
            known = set(names)
            others = [name for name in table.names if name not in known]
            fault = "X has columns that fit did not see, not used here"
            warn(UserWarning(f"{fault}: {listed(others)}"))
        return [place_of[name] for name in names]

    def _column(self, table: Table, j: int, levels: list[Any] | None = None) -> Column:
        """Read column j of words, of which `fit` saw `levels`, or of numbers.

        Raises
        ------
        ValueError
            Unless it holds what `fit` saw there; booleans are numbers where it saw numbers.
        """
        column = table.column(j, as_words=levels is not None)
        kinds = {"number"} if levels is None else kinds_of(levels)
        held = with_numbers(column.kinds)
        if held and not held & kinds:
            raise ValueError(self._other_kind(column, table.names is None, j, levels))
        if levels is not None or column.holds_numbers:
            return column
        return column._replace(values=as_numbers(column.values, column.label))

    def _other_kind(
        self, column: Column, has_no_names: bool, j: int, levels: list[Any] | None
    ) -> str:
        """Return what `_column` says of a column that holds other things than in `fit`."""
        counts = Counter(word for word in column.values.tolist() if not is_gap(word))
        was, way = _words_for({"number"} if levels is None else kinds_of(levels))
        is_, _ = _words_for(with_numbers(column.kinds))
        right = f"make {was} of them, by {way}"
        if levels is None and (reading := reading_of(counts)):
            right = reading.remedy
        if has_no_names and hasattr(self, "feature_names_in_"):
            right = (
                f"it is taken for {self.feature_names_in_[j]!r}, since X has no names; "
                f"{right}, or give a frame"
            )
        before = was if levels is None else f"{was} ({shown(levels[0])})"
        now = f"{is_} ({shown(next(iter(counts)))})"
        return f"{column.label} held {before} in fit and holds {now} now: {right}"

    def _matrix(self, rows: Rows) -> Matrix:
        """Return the matrix (n, n_numbers) of rows."""
        return self._with_words(self._numbers(rows), rows.codes)

    def _numbers(self, rows: Rows) -> Matrix:
        """Return the part of the matrix of rows that is made of columns of numbers, with the flags
        of gaps.
        """

        def of_chunk(chunk: slice) -> Matrix:
            part = rows.part(chunk)
            scaled = self._scaled(part.numbers)
            if part.gaps.any():
                incomplete = np.flatnonzero(part.gaps.any(axis=1))
                cells = self._cells(part.part(incomplete), self._telling)
                scaled[incomplete] = self._completed_numbers(cells)
            flags = part.gaps[:, self.has_gaps_]
            return np.concatenate([scaled, flags], axis=1, dtype=np.float32)

        return in_chunks(of_chunk, len(rows.gaps))

    def _inputs(self, rows: Rows) -> Inputs:
        """Return the matrix of rows, in CSR form where that pays."""
        return self._made([self._numbers(rows)], rows.codes)

    def _made(self, numbers: list[Matrix], codes: list[Integers]) -> Inputs:
        """Return the matrix of rows and of their copies, of these numbers and the levels of each,
        in CSR form where that pays.
        """
        n_numbers = numbers[0].shape[1]
        n_columns = n_numbers + sum(levels.width for levels in self.levels_)
        if may_pay(n_numbers + len(codes), 1, n_columns, VECTOR):
            return self.ramps_.beside(self._entries(numbers, codes, n_columns))
        if len(numbers) == 1:
            return self._with_words(numbers[0], codes)
        return self._with_words(np.vstack(numbers), [np.tile(code, len(numbers)) for code in codes])

    def _entries(self, numbers: list[Matrix], codes: list[Integers], n_columns: int) -> SparseRows:
        """Return the matrix of `_made` in CSR form: one entry for each word."""
        n_words = np.zeros(len(numbers[0]), np.int64)
        for code in codes:
            n_words += code >= 0
        counts = [np.count_nonzero(part, axis=1) + n_words for part in numbers]
        starts = np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
        values = np.empty(starts[-1], np.float32)
        columns = np.empty(starts[-1], np.int32)
        begin = 0
        for part in numbers:
            for first in range(0, len(part), CHUNK):
                chunk = slice(first, first + CHUNK)
                cells, places = self._with_columns(part[chunk], [code[chunk] for code in codes])
                is_entry = cells != 0
                here = slice(begin, begin + int(np.count_nonzero(is_entry)))
                values[here] = cells[is_entry]
                columns[here] = places[is_entry]
                begin = here.stop
        return SparseRows(values, columns, starts, n_columns)

    def _with_columns(self, numbers: Matrix, codes: list[Integers]) -> tuple[Matrix, Array]:
        """Return the numbers of rows and one more for each column of words (n, n_numbers +
        n_words), and their columns in the matrix; 0 for a word of no level.
        """
        n, k = numbers.shape
        cells = np.ones((n, k + len(codes)), np.float32)
        columns = np.empty(cells.shape, np.int32)
        cells[:, :k] = numbers
        columns[:, :k] = np.arange(k)
        first = k
        for j, (levels, code) in enumerate(zip(self.levels_, codes, strict=True), k):
            if levels.is_one_number:
                cells[:, j] = levels.numbers(code)[:, 0]
                columns[:, j] = first
            else:
                cells[code < 0, j] = 0
                columns[:, j] = first + code
            first += levels.width
        return cells, columns

    def _with_words(self, numbers: Matrix, codes: list[Integers]) -> Matrix:
        """Return the matrix (n, n_numbers) of rows of these numbers and levels."""
        if not codes:
            return self._joined([numbers])

        def of_chunk(chunk: slice) -> Matrix:
            words = [
                levels.numbers(code[chunk])
                for levels, code in zip(self.levels_, codes, strict=True)
            ]
            return self._joined([numbers[chunk], *words])

        return in_chunks(of_chunk, len(numbers))

    @property
    def _widths(self) -> list[int]:
        """The number of cells of each column of numbers, and of words."""
        return [1] * len(self.means_) + [levels.width for levels in self.levels_]

    def _cells(self, rows: Rows, columns: Integers | None = None) -> Array:
        """Return scaled numbers and the numbers of levels (n, n_cells) of rows, NaN for gaps and
        unknown words; or some columns of them, all numbers among these.
        """
        first = len(self.means_)
        parts = [self._scaled(rows.numbers)]
        for levels, code in zip(self.levels_, rows.codes, strict=True):
            places = np.arange(first, first + levels.width)
            if columns is not None:
                places = np.intersect1d(places, columns)
            words = levels.numbers(code, places - first)
            parts.append(np.where(code[:, None] < 0, np.nan, words))
            first += levels.width
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def _completed(self, cells: Array) -> Array:
        """Return cells (n, n_cells) with estimates in place of gaps, but of 0.3's words."""
        means = self.imputation_.means
        known = cells[:, : len(means)]
        estimates = self.imputation_.fill(known - means) + means
        return np.where(np.isnan(known), estimates, known)

    @property
    def _telling(self) -> Integers:
        """The cells that estimates of numbers need: the numbers, and what they are made from."""
        return np.union1d(np.arange(len(self.means_)), self.imputation_.sources)

    def _completed_numbers(self, cells: Array) -> Array:
        """Return the numbers (n, n_numbers) of the `_telling` cells of rows, with estimates in
        place of gaps.
        """
        imputation = self.imputation_.part(self._telling)
        estimates = imputation.fill(cells - imputation.means) + imputation.means
        return np.where(np.isnan(cells), estimates, cells)[:, : len(self.means_)]

    def _inputs_of(self, cells: Array) -> Matrix:
        """Return the inputs of networks (n, n_inputs) of cells, NaN for gaps and unknown words."""
        k = len(self.means_)
        flags = np.isnan(cells[:, :k])[:, self.has_gaps_]
        words = np.nan_to_num(cells[:, k:])
        return self._joined([self._completed_numbers(cells[:, self._telling]), flags, words])

    def _joined(self, parts: list[Array]) -> Matrix:
        """Return parts (n, ...) of the inputs of a network as one matrix, with the ramps beside
        them; of a table of constants alone it is zeros.
        """
        matrix = parts[0]
        if len(parts) > 1:
            matrix = np.concatenate(parts, axis=1, dtype=np.float32)
        if not matrix.shape[1]:
            return np.zeros((len(matrix), 1), np.float32)
        inputs = self.ramps_.beside(matrix)
        assert isinstance(inputs, np.ndarray)
        return inputs

    def _scaled(self, numbers: Array, columns: int | slice = slice(None)) -> Array:
        """Return scaled numbers (n, k), or (n,) of one of the columns."""
        scaled = numbers - self.centers_[columns]
        with np.errstate(over="ignore"):
            scaled *= self.factors_[columns]
        np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED, out=scaled)
        divisors = scaled / LIMIT
        divisors *= divisors
        divisors += 1
        scaled /= np.sqrt(divisors, out=divisors)
        return scaled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
