"""A page that nothing links, an example that fails, a name that is not there: each fails the build
of a small site."""

import pathlib
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("sphinx_gallery", reason="nox -s docs -- browser installs it")

ROOT = pathlib.Path(__file__).parents[2]
STRICT = ("--fail-on-warning", "--nitpicky", "--keep-going", "--fresh-env")

GALLERY = "examples/gallery/plot_error_curve.py"
FAILS = "\nraise ArithmeticError('nothing to see')\n"
FILES = {
    "examples/gallery/GALLERY_HEADER.rst": "Gallery\n=======\n",
    GALLERY: (
        '"""\nTitle\n=====\n\nA picture.\n"""\n\nimport matplotlib.pyplot as '
        "plt\n\nplt.plot([1, 2])\n"
    ),
    "docs/index.md": "# A site\n\n```{toctree}\ngallery/index\npage\n```\n",
    "docs/page.md": "# A page\n\n[the first page](index.md)\n",
}


def build(site, file="docs/page.md", more=""):
    """Build a site with the configuration of the project's, and two pages and an example of its
    own."""
    ours = shutil.ignore_patterns(
        "_build", "gallery", "generated", "examples", "*.md", "*.rst", "images"
    )
    shutil.copytree(ROOT / "docs", site / "docs", ignore=ours)
    shutil.copytree(ROOT / "docs" / "_templates", site / "docs" / "_templates", dirs_exist_ok=True)
    for name, text in {**FILES, file: FILES.get(file, "") + more}.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    command = [sys.executable, "-m", "sphinx", *STRICT, "docs", "html"]
    return subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=600)


def test_a_site_in_order_is_built(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr


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
def test_the_build_fails_where(tmp_path, file, more, words):
    done = build(tmp_path, file, more)
    assert done.returncode
    assert words in done.stderr
