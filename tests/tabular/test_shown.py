"""The card of an estimator in a notebook, and its picture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_tables import FRAME, NUMBERS, TARGETS, fit, unfitted


def test_the_card_says_how_each_column_was_read(kind):
    model = fit(kind)
    html = model._repr_html_()
    for name, told in (
        ("column size", "number, with gaps"),
        ("column count", "number"),
        ("column color", "3 levels, with gaps: blue, green, red"),
        ("column always", "always the same, left out"),
        ("networks", "4 of 12-32-32-32-"),
        ("rows", "60, 24 of them left out"),
        (
            {"classifier": "accuracy", "regressor": "R²"}[kind] + ", rows left out",
            f"{model.oob_score_:.4g}",
        ),
        ("seconds", f"{model.fit_seconds_:.3g}"),
    ):
        place = html.index(f">{name}</th>")
        assert told in html[place : place + 120]
    assert "<svg" in html
    assert "fastnn-card" in model._repr_mimebundle_()["text/html"]
    html = unfitted(kind)._repr_html_()
    assert "sk-estimator" in html
    assert "fastnn-card" not in html


def test_names_are_escaped_and_many_columns_are_cut_short():
    X = np.random.RandomState(0).rand(40, 30)
    html = fit("regressor", X, X[:, 0])._repr_html_()
    assert "column 19" in html
    assert "column 20" not in html
    assert "and 10 other columns" in html
    assert "column column" not in html
    assert "&lt;b&gt;" in fit("regressor", FRAME.rename(columns={"size": "<b>"}))._repr_html_()
    words = [f"street {k % 30}" for k in range(60)]
    facts = fit("regressor", FRAME.assign(rows=words))._facts()  # a column has no fact's place
    assert facts["rows"] == "60, 24 of them left out"
    assert facts["column rows"] == "30 levels: street 0, street 1, street 10, ..."


def test_the_picture_has_losses_and_rows_left_out(kind):
    pytest.importorskip("matplotlib")
    model = fit(kind)
    losses, rows = model.plot().axes
    assert len(losses.get_lines()) == 5
    assert (
        rows.get_xlabel()
        == {"classifier": "probability that was given", "regressor": "predicted"}[kind]
    )
    if kind == "regressor":
        points = rows.get_lines()[0]
        known = ~np.isnan(model.oob_prediction_)
        assert_array_equal(points.get_xdata(), model.oob_prediction_[known])
        assert_allclose(points.get_ydata(), NUMBERS[known], atol=1e-6)
    y = TARGETS[kind]
    # no rows are left out
    assert len(unfitted(kind).fit(FRAME, y, X_val=FRAME, y_val=y).plot().axes) == 1


def test_several_targets_are_drawn_in_one_unit():
    pytest.importorskip("matplotlib")
    model = fit("regressor", y=np.column_stack([NUMBERS, 1000 * NUMBERS]))
    rows = model.plot().axes[1]
    assert "in standard deviations" in rows.get_title()
    assert len(rows.get_lines()) == 3
