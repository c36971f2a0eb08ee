"""Pictures in files: their formats, by the endings of their names, and the same bytes at each time."""

import pytest

from fastnn import plotting

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_a_picture_is_saved_under_any_kind_of_path(kind, tmp_path):
    path = tmp_path / "new" / "loss.png"
    assert plotting.save(plotting.loss_curves([0.9, 0.5, 0.3]), kind(path)) == path
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_no_figure_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"figure must be a matplotlib Figure.* not 'loss.png'"):
        plotting.save("loss.png", plotting.loss_curves([1.0]))


@pytest.mark.parametrize(
    ("name", "begins"), [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_the_ending_of_a_name_is_the_format(tmp_path, name, begins):
    figures = [plotting.loss_curves([3.0, 2.0]) for _ in range(2)]
    first, again = (plotting.save(figure, tmp_path / str(i) / name) for i, figure in enumerate(figures))
    assert first.read_bytes().startswith(begins)
    assert again.read_bytes() == first.read_bytes()


def test_another_ending_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of .png, .svg, .pdf, not in '.xyz'"):
        plotting.save(plotting.loss_curves([3.0, 2.0]), tmp_path / "new" / "a.xyz")
    assert not (tmp_path / "new").exists()
