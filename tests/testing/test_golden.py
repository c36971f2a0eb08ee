"""Both back ends compute today what the reference once computed from stored numbers; nothing is drawn."""

import golden
import pytest
from numpy.testing import assert_array_equal

from fastnn.testing.tolerances import assert_within, find_difference, longest_sum
from fastnn.testing.trainings import measured_growth

FILES = sorted(golden.FOLDER.glob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_trainings(path, backend):
    """Weights and losses lie within the bound of rounding, which is measured by trainings of the reference."""
    course, at, params, loss = golden.load(path)
    assert tuple(at) == golden.AT
    assert abs(params[-1] - course.params).max() > 0.05
    found, losses = golden.weights_along(course, at, backend, course.params)
    n = longest_sum(course.network, int((course.steps.stop - course.steps.start).max()))
    growth = measured_growth(lambda start: golden.weights_along(course, at, "numpy", start), course.params, n)
    for step, mine, right, bound in zip(at, found, params, growth.params_bound, strict=True):
        _, difference = find_difference(course.network, mine, right, bound)
        assert difference is None, f"after {step} steps {difference.between(backend, 'the file')}"
    assert_within(losses, loss, growth.loss_bound, "loss, step", "the file")


def test_golden_trainings_are_of_everything():
    """Every name is met that existed when they were written."""
    courses = [golden.load(path).course for path in FILES]
    layers = [layer for course in courses for layer in course.network.layers]
    assert len(courses) >= 12
    assert len({layer.activation for layer in layers}) >= 12
    assert len({course.network.loss for course in courses}) >= 6
    assert len({course.optimizer.name for course in courses}) >= 5
    assert {course.network.bias for course in courses} == {"vector", "scalar", "none"}
    assert {course.params.dtype.name for course in courses} == {"float32", "float64"}
    assert sum(path.stat().st_size for path in FILES) < 300_000


def test_a_file_is_written_as_it_is_read(tmp_path):
    golden.write("tanh", tmp_path / "tanh.npz")
    course, at, params, _ = golden.load(tmp_path / "tanh.npz")
    assert_array_equal(golden.weights_along(course, at, "numpy", course.params)[0], params)
