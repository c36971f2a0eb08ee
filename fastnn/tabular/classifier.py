"""TabularClassifier: classes of the rows of a table as it is."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastnn import plotting
from fastnn.checking.arguments import shown, store_parameters
from fastnn.checking.display import documented
from fastnn.checking.hints import explains_keywords
from fastnn.checking.values import refuse_complex, refuse_masked, refuse_missing
from fastnn.estimators.validation import Constraints
from fastnn.losses import CrossEntropy
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.base import BaseTabular
from fastnn.tabular.calibration import learn_unsmoothing
from fastnn.tabular.members import Rows, Sample, mean_outputs

LABEL_SMOOTHING = 0.1
"""The part of a target that is spread over all classes, if the caller gives none."""


@documented
class TabularClassifier(ClassifierMixin, BaseTabular):
    """A classifier for tables as they are: an ensemble of networks that learns well without
    settings.

    It prepares the columns (see `TablePreparation`), and trains the members with one call of
    `train_many`. Each member leaves out some rows, which judge it. The prediction is the mean of
    their probabilities.

    Parameters
    ----------
    label_smoothing : float, default=None
        The part of a row's target that is spread over all classes; None is 0.1.
    class_weight : dict, "balanced" or None, default=None
        Multiplies the weights of the rows of each class. "balanced": n_samples / (n_classes * rows
        of the class).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        The mean probabilities of each row by the members that left it out; NaN where all trained on
        it.
    oob_score_ : float
        Their accuracy: what to expect of new rows, or a little less, since all members predict
        those. From 40 rows on it is right on average; of one small table it may be far off.

    See Also
    --------
    TabularRegressor : The same for numbers.
    MLPClassifier : One network, with scikit-learn's parameters and numbers.

    Notes
    -----
    Members are networks of gelu layers of one width, which Adam trains in float32, with beta_2 =
    0.99. Inputs are multiplied by the root of width / columns: Adam at one rate is then Adam at the
    rates of the neural tangent kernel's parametrization (Jacot et al., NeurIPS 2018), which suit
    tables (Holzmüller et al., RealMLP, NeurIPS 2024). The inputs of columns that explain hardly
    more of a target's variance than noise would, by themselves and by their squares, are multiplied
    by less. Half of the members of "fast" take, besides, piecewise-linear features of numbers, by
    which they learn steps (Gorishniy et al., On Embeddings for Numerical Features, NeurIPS 2022).
    Of more than 10,000 rows, epochs become fewer and batches larger. The same seed gives the same
    bits on every machine, for any `n_jobs`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TabularClassifier
    >>> X = [[size, color] for size in np.linspace(0, 1, 50) for color in ("red", "blue")]
    >>> y = ["big" if size > (0.3 if color == "red" else 0.7) else "small" for size, color in X]
    >>> model = TabularClassifier("fast", random_state=0).fit(X, y)
    >>> model.predict([[0.5, "red"], [0.5, "blue"]]).tolist()
    ['big', 'small']
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **BaseTabular._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _bins = 8, 0.7

    def __init__(
        self,
        preset: str = "good",
        *,
        hidden_layer_sizes: Any = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        label_smoothing: float | None = None,
        validation_fraction: float | None = None,
        cv: Any = None,
        class_weight: Any = None,
        max_categories: int = 200,
        max_time: float | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        store_parameters(self, locals())

    @explains_keywords
    def predict(self, X: Any) -> Array:
        """Predict labels.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Columns as those of `fit`: of a frame by their names, in any order; others are passed
            over, with a warning.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The labels of the greatest probabilities.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1, 0] * 20
        ... )
        >>> model.predict([["blue"], ["red"]])
        array([0, 1])
        """
        p = self.predict_proba(X)  # first: it tells who has not been fitted
        return self.classes_[p.argmax(axis=1)]

    @explains_keywords
    def predict_proba(self, X: Any) -> Array:
        """Predict the classes' probabilities.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            As for `predict`.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1, 0] * 20
        ... )
        >>> model.predict_proba([["blue"]]).shape
        (1, 2)
        """
        inputs = self._inputs(X)
        return self._unsmoothing.probabilities(mean_outputs(self.estimators_, inputs))

    def _checked(self, y: Any) -> Array:
        """Return the labels (n,); raise ValueError for missing ones, several columns and several
        kinds.
        """
        refuse_masked("y", y)
        is_mixed = isinstance(y, (list, tuple)) and len({isinstance(label, str) for label in y}) > 1
        # else NumPy makes texts of numbers, and of gaps
        y = np.asarray(y, object if is_mixed else None)
        refuse_complex("y", y)
        if y.ndim == 2 and y.shape[1] > 1:
            fault = f"y has {y.shape[1]} columns where a row has one class"
            way = "by sklearn.multioutput.MultiOutputClassifier"
            raise ValueError(f"{fault}: fit a TabularClassifier for each column, {way}")
        y = column_or_1d(y, warn=True)
        refuse_missing(y)
        if y.dtype.kind == "O":
            kinds = sorted({type(label).__name__ for label in y.tolist()})
            if len(kinds) > 1:
                both = " and ".join(kinds)
                raise ValueError(
                    f"y holds labels of different kinds, {both}: .astype(str) makes them alike"
                )
            y = np.array(y.tolist()) if kinds in (["bool"], ["int"], ["float"]) else y
        check_classification_targets(y)
        return y

    def _learn_targets(self, y: Array) -> Array:
        if not len(y):
            raise ValueError("y is empty: give a label for each row of X")
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has only one class, {shown(self.classes_.item())}: there is nothing to tell "
                "apart"
            )
        return self._targets(y)

    def _smoothing(self) -> float:
        return LABEL_SMOOTHING if self.label_smoothing is None else self.label_smoothing

    def _targets(self, y: Array) -> Array:
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        targets = np.zeros((len(y), len(self.classes_)), np.float32)
        targets[np.arange(len(y)), encoder.transform(y)] = 1
        return targets

    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network:
        loss = CrossEntropy(label_smoothing=self._smoothing())
        return Network((n_inputs, *hidden, n_outputs), "gelu", output="softmax", loss=loss)

    def _labels(self, targets: Array) -> Rows:
        return targets.argmax(axis=1)

    def _score(self, targets: Array, outputs: Array) -> float:
        known = ~np.isnan(outputs[:, 0])
        return float((outputs[known].argmax(axis=1) == targets[known].argmax(axis=1)).mean())

    def _learn_from_left_out(
        self, sample: Sample, outputs: Array, counts: Array, random_state: np.random.RandomState
    ) -> None:
        labels = self._labels(sample.targets)
        self._unsmoothing = learn_unsmoothing(outputs, labels, sample.weight, self._smoothing())

    def _slopes(self, outputs: Array, slopes: Array) -> Array:
        return self._unsmoothing.slopes(outputs, slopes)

    def _draw_left_out(self, axes: Any) -> None:
        known = ~np.isnan(self._out_of_bag[:, 0])
        p = self.oob_decision_function_[known]
        right = p.argmax(axis=1) == self._truth[known]
        title = f"Rows left out, accuracy {self.oob_score_:.3f}"
        plotting.reliability(right, p.max(axis=1), title, axes=axes)

    def _set_out_of_bag(self, outputs: Array) -> None:
        super()._set_out_of_bag(outputs)
        self.oob_decision_function_ = self._unsmoothing.probabilities(outputs)
