"""The card of an estimator in a notebook, and its picture."""

import numpy as np
import pytest
from small_tables import both, mixed

FRAME, LABELS, NUMBERS = mixed()
TARGETS = {"classifier": LABELS, "regressor": NUMBERS}


@pytest.fixture(params=TARGETS)
def kind(request):
    return request.param


def fit(kind, **options):
    return both()[kind][0].fit(FRAME, TARGETS[kind], **options)


def test_the_card_says_how_each_column_was_read(kind):
    model = fit(kind)
    html = model._repr_html_()
    for name, told in (
        ("column size", "number, with gaps"),
        ("column count", "number"),
        ("column color", "3 levels: blue, green, red"),
        ("column always", "always the same, left out"),
        ("networks", "4 of 12-32-32-32-"),
        ("rows", "60, 24 of them left out"),
        ({"classifier": "accuracy", "regressor": "R²"}[kind] + ", rows left out", f"{model.oob_score_:.4g}"),
        ("seconds", f"{model.fit_seconds_:.3g}"),
    ):
        place = html.index(f">{name}</th>")
        assert told in html[place : place + 120]
    assert "<svg" in html
    assert "fastnn-card" in model._repr_mimebundle_()["text/html"]


def test_an_estimator_that_is_not_fitted_has_the_diagram_alone(kind):
    html = both()[kind][0]._repr_html_()
    assert "sk-estimator" in html
    assert "fastnn-card" not in html


def test_names_are_escaped_and_many_columns_are_cut_short():
    X = np.random.RandomState(0).rand(40, 30)
    html = both()["regressor"][0].fit(X, X[:, 0])._repr_html_()
    assert "column 19" in html
    assert "column 20" not in html
    assert "and 10 other columns" in html
    assert "column column" not in html
    frame = FRAME.rename(columns={"size": "<b>"})
    assert "&lt;b&gt;" in both()["regressor"][0].fit(frame, NUMBERS)._repr_html_()


def test_a_column_has_no_fact_s_place():
    """Of the name of a fact, or of many levels: the first of them are shown."""
    words = [f"street {k % 30}" for k in range(60)]
    facts = both()["regressor"][0].fit(FRAME.assign(rows=words), NUMBERS)._facts()
    assert facts["rows"] == "60, 24 of them left out"
    assert facts["column rows"] == "30 levels: street 0, street 1, street 10, ..."


def test_the_picture_has_losses_and_rows_left_out(kind):
    pytest.importorskip("matplotlib")
    model = fit(kind)
    losses, rows = model.plot().axes
    assert len(losses.get_lines()) == 5
    assert rows.get_xlabel() == {"classifier": "probability that was given", "regressor": "predicted"}[kind]
    if kind == "regressor":
        points = rows.get_lines()[0]
        known = ~np.isnan(model.oob_prediction_)
        np.testing.assert_array_equal(points.get_xdata(), model.oob_prediction_[known])
        np.testing.assert_allclose(points.get_ydata(), NUMBERS[known], atol=1e-6)


def test_it_is_the_same_after_loading(kind, tmp_path):
    pytest.importorskip("matplotlib")
    model = fit(kind)
    model.save(tmp_path / "table.npz")
    again = type(model).load(tmp_path / "table.npz")
    old, new = ([line.get_xydata().tolist() for line in one.plot().axes[1].get_lines()] for one in (model, again))
    assert old == new
    assert again._facts() == model._facts()


def test_without_rows_left_out_there_are_losses_alone(kind):
    pytest.importorskip("matplotlib")
    model = fit(kind, X_val=FRAME, y_val=TARGETS[kind])
    assert len(model.plot().axes) == 1


def test_several_targets_are_drawn_in_one_unit():
    pytest.importorskip("matplotlib")
    model = both()["regressor"][0].fit(FRAME, np.column_stack([NUMBERS, 1000 * NUMBERS]))
    rows = model.plot().axes[1]
    assert "in standard deviations" in rows.get_title()
    assert len(rows.get_lines()) == 3
