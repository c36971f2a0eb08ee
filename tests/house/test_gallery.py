"""The gallery's examples: each stands in the order of the page, has what its page needs, and
runs."""

import ast
import re

import pytest
from pages import ROOT
from survival import python

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
