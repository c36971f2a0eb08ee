"""A page that nothing links, an example that fails, a name that is not there: each fails the build of a small site."""

import pathlib
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("sphinx_gallery", reason="nox -s docs -- browser installs it")

ROOT = pathlib.Path(__file__).parents[2]
STRICT = ("--fail-on-warning", "--nitpicky", "--keep-going", "--fresh-env")

INDEX = """# A site

```{toctree}
gallery/index
page
```
"""
EXAMPLE = '''"""
Title
=====

A picture.
"""

import matplotlib.pyplot as plt

plt.plot([1, 2])
'''


@pytest.fixture
def site(tmp_path):
    """A folder with the configuration of the project's site, and two pages and an example of its own."""
    docs, gallery = tmp_path / "docs", tmp_path / "examples" / "gallery"
    ours = shutil.ignore_patterns("_build", "gallery", "generated", "examples", "*.md", "*.rst", "images")
    shutil.copytree(ROOT / "docs", docs, ignore=ours)
    shutil.copytree(ROOT / "docs" / "_templates", docs / "_templates", dirs_exist_ok=True)
    gallery.mkdir(parents=True)
    gallery.joinpath("GALLERY_HEADER.rst").write_text("Gallery\n=======\n")
    gallery.joinpath("plot_error_curve.py").write_text(EXAMPLE)
    docs.joinpath("index.md").write_text(INDEX)
    docs.joinpath("page.md").write_text("# A page\n\n[the first page](index.md)\n")
    return tmp_path


def build(site):
    command = [sys.executable, "-m", "sphinx", *STRICT, "docs", "html"]
    return subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=600)


def test_a_site_in_order_is_built(site):
    done = build(site)
    assert done.returncode == 0, done.stderr


GALLERY, FAILS = "examples/gallery/plot_error_curve.py", "\nraise ArithmeticError('nothing to see')\n"
BREAKS = [  # a file, what is added to it, and what the build says
    (GALLERY, FAILS, "nothing to see"),
    ("docs/lonely.md", "# A lonely page\n", "lonely.md: WARNING: document isn't included in any"),
    ("docs/page.md", "[no page](nowhere.md)\n", "nowhere.md"),
    ("docs/page.md", "[no place](index.md#nowhere)\n", "nowhere"),
    ("docs/page.md", "{py:class}`fastnn.Nothing`\n", "fastnn.Nothing"),
    ("docs/page.md", "![a picture](nowhere.png)\n", "nowhere.png"),
    ("docs/page.md", "```{notte}\n```\n", "notte"),
]


@pytest.mark.parametrize(("file", "more", "words"), BREAKS)
def test_the_build_fails_where(site, file, more, words):
    path = site / file
    path.write_text((path.read_text() if path.exists() else "") + more)
    done = build(site)
    assert done.returncode
    assert words in done.stderr
