"""The gallery's examples: each stands in the order of the page, has what its page needs, and
runs."""

import ast
import importlib
import pathlib
import re
import sys

import pytest
from survival import python

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "gallery").glob("plot_*.py"))

each = pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)


def test_the_page_has_each_example():
    """As docs/conf.py lists them, in the order of the page."""
    tree = ast.parse((ROOT / "docs" / "conf.py").read_text("utf-8"))
    (listed,) = (
        n.value
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "EXAMPLES"
    )
    assert len(EXAMPLES) >= 10
    assert sorted(f"plot_{name}" for name in ast.literal_eval(listed)) == [
        file.stem for file in EXAMPLES
    ]


@each
def test_an_example_has_what_its_page_needs(file):
    """A title, prose and a picture; seeds of what is drawn, and no downloads."""
    source = file.read_text("utf-8")
    title, underline, *_ = ast.get_docstring(ast.parse(source)).splitlines()
    assert underline == "=" * len(title)
    _, *cells = re.split(r"^# %%\n", source, flags=re.MULTILINE)
    assert all(cell.startswith("# ") for cell in cells), "each cell begins with prose"
    assert sum("plt.show()" in cell for cell in cells) == source.count("plt.subplots(") >= 1
    assert ".set_title(" in source
    assert "set_xlabel(" in source or "set_axis_off()" in source
    assert not re.search(r"\b(fetch_\w+|urlopen|urlretrieve|requests|https?://)", source)
    if re.search(r"\btrain\w*\(|\.fit\(|Population\(", source):
        assert re.search(r"\b(?:default_rng|RandomState|seed|random_state)\b", source)
    assert not re.search(r"RandomState\(\)|np\.random\.(?!RandomState)", source)


@pytest.mark.slow
@each
def test_an_example_runs(file):
    for package in ("sklearn", "matplotlib", "PIL"):
        pytest.importorskip(package)
    quietly = "import runpy, warnings; warnings.filterwarnings('ignore', '.*non-interactive'); "
    python(f"{quietly}runpy.run_path({str(file)!r})", MPLBACKEND="agg")


@pytest.fixture
def pictures(monkeypatch):
    """The module that makes the gallery's pictures, and matplotlib as it was afterwards."""
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("PIL")
    monkeypatch.syspath_prepend(ROOT / "docs" / "extensions")
    with matplotlib.rc_context({"backend": "agg"}):
        module = importlib.import_module("gallery_pictures")
        module.look({}, "plot_a.py")
        yield module
    sys.modules.pop("gallery_pictures")


def scraped(pictures, folder, **variables):
    (folder / "images").mkdir()
    block = {
        "example_globals": variables,
        "image_path_iterator": iter([str(folder / "images" / "plot_a_001.png")]),
    }
    return pictures.pictures(("code", "", 1), block, {"src_dir": str(folder)})


def assert_colors(folder, suffix, n_frames):
    """Both papers have their colors, but for what compression does, in the last of so many
    frames."""
    from PIL import Image

    for name, paper in ("plot_a_001", (255, 255, 255)), ("plot_a_001_dark", (0x14, 0x18, 0x1E)):
        with Image.open(folder / "images" / f"{name}.{suffix}") as image:
            assert getattr(image, "n_frames", 1) == n_frames
            image.seek(n_frames - 1)
            assert image.convert("RGB").getpixel((0, 0)) == pytest.approx(paper, abs=3)


def test_a_picture_is_saved_on_light_and_on_dark_paper(pictures, tmp_path):
    from matplotlib import pyplot as plt
    from matplotlib.colors import to_hex

    _, axes = plt.subplots(figsize=(2, 1))
    (line,) = axes.plot([1, 2], color="C0")
    points = axes.scatter([1, 2], [1, 2], c=["#ffffff", "#123456"])
    mesh = axes.pcolormesh([[1.0, 2.0]], cmap="gray")
    axes.set_title("A title")
    shown = scraped(pictures, tmp_path)
    assert shown.count(":alt: A title\n") == shown.count(".. image:: /images/plot_a_001") == 2
    assert shown.index("only-light") < shown.index("plot_a_001_dark.png") < shown.index("only-dark")
    assert_colors(tmp_path, "png", 1)
    assert plt.get_fignums() == []
    assert line.get_color() != to_hex("C0")
    assert to_hex(axes.title.get_color()) == pictures.DARK[pictures.INK]
    assert [to_hex(color) for color in points.get_facecolor()] == [
        pictures.DARK["#ffffff"],
        "#123456",
    ]
    assert [to_hex(color) for color in mesh.get_facecolor()] == ["#000000", "#ffffff"]


def test_an_animation_is_a_film_in_both(pictures, tmp_path):
    from matplotlib import pyplot as plt
    from matplotlib.animation import FuncAnimation

    figure, axes = plt.subplots(figsize=(2, 1))
    film = FuncAnimation(figure, lambda frame: axes.set_title(str(frame)), frames=3, interval=100)
    assert "plot_a_001_dark.webp" in scraped(pictures, tmp_path, film=film)
    assert_colors(tmp_path, "webp", 3)
    assert (tmp_path / "images" / "plot_a_001.png").exists(), "the thumbnail is made of it"
