"""Labels: looked up where that is surely enough, and refused in scikit-learn's words."""

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.preprocessing import LabelBinarizer
from small_estimators import SMALL, X_IRIS, Y_IRIS, assert_same

import fastnn
from fastnn.estimators.labels import binarizer_of, numbers_of, ones_at, targets_of

FLOWERS = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
VECTORS = {
    **{kind.__name__: Y_IRIS.astype(kind) for kind in (np.int64, np.int8, np.uint16, np.float64, np.float32)},
    "big endian": Y_IRIS.astype(">i4"),
    "yes or no": Y_IRIS > 0,
    "one": np.full(150, -3),
    "gaps": np.where(Y_IRIS == 1, 70, -5),
    "text": FLOWERS,
    "long text": FLOWERS.astype("<U30"),
    "text in objects": FLOWERS.astype(object),
}


@pytest.mark.parametrize("name", VECTORS)
def test_binarizer_is_scikit_learns(name):
    y = VECTORS[name]
    mine, reference = binarizer_of(y), LabelBinarizer().fit(y)
    assert vars(mine).keys() == vars(reference).keys()
    assert (mine.y_type_, mine.sparse_input_) == (reference.y_type_, reference.sparse_input_)
    assert mine.classes_.dtype == reference.classes_.dtype
    np.testing.assert_array_equal(mine.classes_, reference.classes_)
    number = numbers_of(y, mine.classes_)
    if y.dtype != object:
        np.testing.assert_array_equal(ones_at(number, mine.classes_, mine.y_type_), reference.transform(y))
    for known in (number, None):
        np.testing.assert_array_equal(targets_of(y, mine, known), reference.transform(y))


LATER = {
    "unknown": np.where(Y_IRIS == 2, 9, Y_IRIS),
    "below": Y_IRIS - 1,
    "fewer": Y_IRIS % 2,
    "fractions": Y_IRIS + 0.5,
    "whole floats": Y_IRIS * 1.0,
    "text": FLOWERS,
    "objects": Y_IRIS.astype(object),
    "text in objects": FLOWERS.astype(object),
    "column": Y_IRIS[:, None],
    "several": np.eye(3, dtype=int)[Y_IRIS],
    "NaN": np.full(150, np.nan),
}


def assert_end_the_same(ours, others, call):
    """Assert that a call raises the same error of both estimators, or leaves the same weights."""
    ends = []
    for mlp in (ours, others):
        try:
            ends.append(call(mlp))
        except (ValueError, TypeError) as error:
            ends.append((type(error), str(error)))
    if isinstance(ends[1], tuple):
        assert ends[0] == ends[1]
    else:
        assert_same(*ends)


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("first", [Y_IRIS, FLOWERS], ids=["numbers", "text"])
@pytest.mark.filterwarnings("ignore")
def test_labels_of_a_later_call(name, warm_start, first):
    fitted = (m.MLPClassifier(**SMALL, warm_start=warm_start).fit(X_IRIS, first) for m in (fastnn, theirs))
    assert_end_the_same(*fitted, lambda mlp: mlp.partial_fit(X_IRIS, LATER[name]))


@pytest.mark.parametrize(
    "classes", [[0, 1, 2], (2, 1, 0), [0.0, 1.0, 2.0], [0, 1], [0, 1, 2, 3], ["0", "1", "2"], [0, "1"]], ids=str
)
@pytest.mark.filterwarnings("ignore")
def test_classes_of_a_later_call(classes):
    begun = (m.MLPClassifier(**SMALL).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2]) for m in (fastnn, theirs))
    assert_end_the_same(*begun, lambda mlp: mlp.partial_fit(X_IRIS, Y_IRIS, classes=classes))


@pytest.mark.parametrize("n_yes", [1, 2, 149])
@pytest.mark.filterwarnings("ignore")
def test_a_class_of_one_row_cannot_be_split(n_yes):
    ends = []
    for module in (fastnn, theirs):
        mlp = module.MLPClassifier(**SMALL, early_stopping=True)
        try:
            ends.append(mlp.fit(X_IRIS, np.arange(150) < n_yes))
        except ValueError as error:
            ends.append(str(error))
    if isinstance(ends[1], str):
        assert ends[0] == ends[1]
    else:
        assert_same(*ends)
