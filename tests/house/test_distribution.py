"""What pip installs: one distribution, fastnn-numba, owns the package; another project's fastnn is
noticed."""

import ast
import importlib.metadata
import pathlib
import re
import shutil
import sys
import tomllib

import pytest
import survival
from pages import ROOT

import fastnn
from fastnn.checking import hints

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def package_of(requirement):
    return re.match(r"[\w-]+", requirement).group()


def test_the_package_knows_the_names_of_its_distribution_and_extras():
    assert PROJECT["name"] == hints.DISTRIBUTION
    optional = dict(PROJECT["optional-dependencies"])
    assert optional.pop("all") == [f"{PROJECT['name']}[{','.join(optional)}]"]
    brought = {(package_of(line), extra) for extra, lines in optional.items() for line in lines}
    assert brought <= set(hints.EXTRAS.items())


def test_every_package_that_is_imported_is_a_dependency_or_of_an_extra():
    declared = {*map(package_of, PROJECT["dependencies"]), *hints.EXTRAS}
    imported = set()
    for path in (ROOT / "fastnn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.partition(".")[0] for name in names}
    # comes with scikit-learn; loads the plugin; are converted to; runs the cells of a notebook
    by_others = {"scipy", "pytest", "skl2onnx", "torch", "keras", "IPython"}
    assert imported - set(sys.stdlib_module_names) - {"fastnn"} <= declared | by_others


def test_one_distribution_owns_the_package():
    """One distribution owns the command beside these tests, and the files unless they are the
    source's own."""
    named = {
        entry.dist.name
        for entry in importlib.metadata.entry_points(group="console_scripts", name="fastnn")
    }
    assert named <= {"fastnn-numba"}, hints.REMEDY
    assert set(importlib.metadata.packages_distributions().get("fastnn", named)) == named


BARE = re.compile(
    r"""(?<!un)install\b[^`\n&#;]*[\s"'=]fastnn(?![\w/-])|(?<![\w-])fastnn\[(?=[a-z])"""
)
"""An installation by the name fastnn, or an extra of it."""

PLACES = ("fastnn", "docs", "examples", "benchmarks", "tests", ".github", ".ci")


def texts():
    """Every file that people or pip read commands from."""
    for place in (ROOT / name for name in PLACES):
        files = (file for file in place.rglob("*") if "_build" not in file.parts)
        yield from (
            file for file in files if file.suffix in {".py", ".md", ".yml", ".json", ".sh", ""}
        )
    yield from (file for file in ROOT.iterdir() if file.suffix in {".py", ".md", ".toml", ".yaml"})


def test_no_text_installs_another_projects_package():
    files = [file for file in texts() if file.is_file() and file != pathlib.Path(__file__)]
    assert len(files) > 150
    found = [
        (file.name, line)
        for file in files
        for line in file.read_text("utf-8").splitlines()
        if BARE.search(line)
    ]
    assert found == []


@pytest.fixture
def site(tmp_path):
    """A folder like site-packages, with the package and what pip writes beside it."""
    shutil.copytree(hints.FOLDER, tmp_path / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    owned(tmp_path, hints.DISTRIBUTION, fastnn.__version__)
    return tmp_path


def owned(site, name, version):
    """Write what pip does for a distribution that owns the folder fastnn."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text("fastnn/__init__.py,,\n")


def run(site, *arguments):
    """Run an interpreter that finds the package there."""
    return survival.run(*arguments, cwd=site.parent, PYTHONPATH=site)


def test_a_second_owner_of_the_folder_is_told_of_where_files_are_missing(site):
    owned(site, "fastnn", "0.4.0")
    told = run(
        site, "-W", "error", "-c", "import fastnn; print(fastnn.__file__, fastnn.Network.__name__)"
    )
    assert (told.stdout.strip(), told.stderr) == (f"{site / 'fastnn' / '__init__.py'} Network", "")
    (site / "fastnn" / "losses.py").unlink()
    told = run(site, "-c", "from fastnn import Network").stderr
    assert "cannot import name 'losses' from 'fastnn'" in told
    assert "files of fastnn-numba are missing" in told
    assert hints.REMEDY in told


DOORS = (
    "testing",
    "plotting",
    "estimators",
    "measuring.workloads",
    "measuring.machine",
    "training.progress",
)


@pytest.mark.parametrize("door", DOORS)
def test_in_another_projects_package_ours_says_what_to_do(site, door):
    (site / "fastnn" / "__init__.py").write_text('__version__ = "0.3.0"\n')
    told = run(site, "-c", f"import fastnn.{door}")
    assert told.returncode == 1
    assert told.stderr.endswith(f"of another project's distribution, fastnn: {hints.REMEDY}\n")
