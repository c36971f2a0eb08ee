"""Pictures of trainings: what can be drawn, and what is said of the rest."""

import sys

import numpy as np
import pytest
from survival import python

from fastnn import Network, Stop, plotting, train, train_many

pytest.importorskip("matplotlib")

X = np.linspace(-1, 1, 20).reshape(10, 2)
STOP = {"stop": Stop(validation=0.3)}
both_kinds = pytest.mark.parametrize("draw", [plotting.loss_curves, plotting.error_curve])


def trained(backend="numpy", **options):
    return train(
        Network((2, 1)), X, X[:, :1], **{"epochs": 4, "seed": 0, "backend": backend, **options}
    )


def lines_of(figure):
    (axes,) = figure.axes
    return axes.get_lines()


def drawn(figure):
    return {line.get_label(): line.get_ydata() for line in lines_of(figure)}


@both_kinds
def test_a_training_is_drawn_as_it_is(draw, backend):
    result = trained(backend, **STOP)
    for figure in (draw(result), draw(result.history), result.plot()):
        curves = drawn(figure)
        assert list(curves) == ["training", "validation"]
        np.testing.assert_array_equal(curves["training"], result.history.loss)
        np.testing.assert_array_equal(curves["validation"], result.history.validation_loss)


@both_kinds
def test_several_are_drawn_by_their_labels_and_numbers_alone_are_a_curve(draw, backend):
    without = trained(backend)
    results = {"a": trained(backend, **STOP), "b": without.history, "c": [3.0, 2.0]}
    curves = drawn(draw(results))
    assert list(curves) == ["a", "a, validation", "b", "c"]
    np.testing.assert_array_equal(curves["b"], without.history.loss)
    np.testing.assert_array_equal(curves["c"], [3.0, 2.0])
    np.testing.assert_array_equal(drawn(draw(np.array([3.0, 2.0])))["training"], [3.0, 2.0])


@pytest.mark.parametrize(
    ("m", "drawn_of_them", "options"), [(3, 3, {}), (100, 40, {}), (2, 2, STOP)]
)
def test_many_results_draw_themselves(m, drawn_of_them, options, backend):
    options = {"seed": range(m), "epochs": 4, "backend": backend} | options
    many = train_many(Network((2, 3, 1)), X, X[:, :1], **options)
    best = many[many.best()].history
    losses = best.validation_loss if "stop" in options else best.loss
    for figure in (many.plot(), plotting.member_curves(many.history)):
        *others, last = lines_of(figure)
        assert len(others) == drawn_of_them
        assert last.get_label() == f"member {many.best()}, the best"
        np.testing.assert_array_equal(last.get_ydata(), losses)
        label = "validation loss" if "stop" in options else "loss"
        assert figure.axes[0].get_ylabel() == label


@both_kinds
def test_curves_are_drawn_in_axes_of_ones_own(draw):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    left, right = figure.subfigures(1, 2)[0].subplots(1, 2)
    assert draw([3.0, 2.0], "mine", axes=right) is figure
    assert (right.get_title(), len(right.lines), len(left.lines)) == ("mine", 1, 0)
    assert tuple(figure.get_size_inches()) == (3, 2)
    with pytest.raises(
        TypeError, match=r"axes must be matplotlib's, as plt.subplots\(\) makes them, not 3"
    ):
        draw([3.0, 2.0], axes=3)


@both_kinds
def test_without_matplotlib_it_says_what_to_install(draw, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'matplotlib.*install "fastnn-numba\[cli\]"'):
        draw([2.0, 1.0])


def test_error_curve_is_the_tutorials_picture(tmp_path):
    figure = plotting.error_curve({"a": [1.0, 0.5], "b": [1.0, 0.4]})
    (axes,) = figure.axes
    assert tuple(figure.get_size_inches()) == (10, 8)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "error")
    assert axes.get_title() == "Artificial Neural Networks Training"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert list(axes.lines[0].get_xdata()) == [0, 1]
    first = plotting.save(figure, tmp_path / "1.png").read_bytes()
    assert plotting.save(figure, tmp_path / "2.png").read_bytes() == first


DRAWS_AND_PRINTS_MODULES = """
import sys
from fastnn import plotting
plotting.loss_curves({"a": [2.0, 1.0]}, "t")
print(*sys.modules)
"""


def test_pictures_need_no_screen_and_leave_matplotlib_as_it_was():
    assert "matplotlib.pyplot" not in python(DRAWS_AND_PRINTS_MODULES)[0].split()


def test_predictions_are_points_beside_the_line_where_they_are_true():
    true = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0]])
    predicted = np.array([[1.5, 5.0], [2.0, 6.0], [2.5, 8.0]])
    *points, line = lines_of(plotting.predictions(true, predicted))
    for k, of_column in enumerate(points):
        np.testing.assert_array_equal(
            [of_column.get_xdata(), of_column.get_ydata()], [predicted[:, k], true[:, k]]
        )
    assert (len(points), list(line.get_xdata()), list(line.get_ydata())) == (2, [1, 8], [1, 8])


def test_reliability_has_a_point_for_a_tenth_of_the_rows():
    confidence = np.linspace(0.5, 1, 100)
    _, points = lines_of(plotting.reliability(np.arange(100) % 10 < 7, confidence))
    np.testing.assert_allclose(points.get_ydata(), 0.7)
    np.testing.assert_allclose(points.get_xdata(), confidence.reshape(10, 10).mean(axis=1))


@pytest.mark.parametrize("draw", [plotting.predictions, plotting.reliability])
@pytest.mark.parametrize("rows", [([1.0, 0.0], [1.0]), ([], [])])
def test_what_is_not_of_the_same_rows_is_refused(draw, rows):
    with pytest.raises(ValueError, match="must be "):
        draw(*rows)
