"""What `nox -s release` checks before a release: each fault that is put into a good one is
named."""

import datetime
import io
import json
import re
import tarfile
import tomllib
import zipfile

import pytest
import release

import fastnn

TODAY = datetime.date(2030, 5, 17)
GOOD = {
    "fastnn/__init__.py": '__version__ = "1.2.0"\n',
    "CHANGELOG.md": "## [Unreleased]\n\n## [1.2.0] - 2030-05-16\n\n## [1.1.0] - 2029-01-01\n",
    "CITATION.cff": 'version: "1.2.0"\ndate-released: 2030-05-16\n',
    "README.md": "Printed on 2030-05-01 by `fastnn demo` on one CPU\n",
    "docs/howto/many.md": "Printed on 2030-04-01 by `searches`\n",
    "benchmarks/results/peers.json": json.dumps({"about": {"date": "2030-05-02"}}),
    "benchmarks/results/instructions.json": json.dumps({"date": "2030-05-02"}),
}
"""The files of a project of version 1.2.0 in which all is as it must be."""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The root of a good project, which is the one that is released."""
    for name, text in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return tmp_path


def test_the_recipe_for_conda_has_the_version_and_asks_for_what_the_project_asks_for():
    project = tomllib.loads((release.ROOT / "pyproject.toml").read_text("utf-8"))
    text = (release.ROOT / "conda" / "recipe.yaml").read_text("utf-8")
    asked = dict(re.findall(r"^    - ([\w-]+) >=(\S+)$", text, re.MULTILINE))
    asked["matplotlib"] = asked.pop("matplotlib-base")
    optional = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [line for extra, lines in optional.items() if extra != "all" for line in lines]
    wanted.append(f"python{project['project']['requires-python']}")
    assert asked == dict(line.split(">=") for line in wanted)
    assert release.version() == fastnn.__version__
    assert f'version: "{fastnn.__version__}"' in text


FAULTS = [  # a file, what is replaced in it, and what is told
    (
        "CHANGELOG.md",
        " - 2030-05-16",
        "",
        "CHANGELOG.md: the newest section with a date is 1.1.0, not 1.2.0",
    ),
    (
        "CITATION.cff",
        "1.2.0",
        "1.1.0",
        "CITATION.cff: says [('1.1.0', '2030-05-16')], not version 1.2.0 of 2030-05-16",
    ),
    ("README.md", "2030-05-01", "2028-12-31", "README.md, fastnn demo: measured 502 days ago"),
    ("benchmarks/results/peers.json", "2030-05-02", "2028-12-31", "peers.json: measured"),
]


@pytest.mark.parametrize(("name", "old", "new", "told"), FAULTS)
def test_another_version_and_old_figures_are_named(root, tmp_path_factory, name, old, new, told):
    assert old in GOOD[name]
    (root / name).write_text(GOOD[name].replace(old, new), "utf-8")
    assert next(release.complaints(tmp_path_factory.mktemp("dist"), TODAY)).startswith(told)


def wheel(folder, version="1.2.0", without="", content=""):
    path = folder / f"fastnn_numba-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in {*release.IN_EACH_WHEEL} - {without}:
            archive.writestr(name, content)
    return path


def sdist(folder, without=""):
    path = folder / "fastnn_numba-1.2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in {*release.IN_EACH_SDIST} - {without}:
            name = name if "." in name or name == "LICENSE" else f"{name}/any.md"  # a folder
            archive.addfile(tarfile.TarInfo(f"fastnn_numba-1.2.0/{name}"), io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("make", "names"), [(wheel, release.IN_EACH_WHEEL), (sdist, release.IN_EACH_SDIST)]
)
def test_what_an_archive_lacks_is_named(tmp_path, make, names):
    for name in ("", *names):
        archive = make(tmp_path, without=name)
        assert [*release.faults(archive, "1.2.0", [])] == [f"{archive.name}: lacks {name}"] * bool(
            name
        )


def test_another_version_and_a_path_of_the_machine_are_named_of_an_archive(tmp_path):
    archive = wheel(tmp_path, "1.1.0", content="b'\0/home/somebody/fastnn/fused/kernels.py")
    first, *faults = release.faults(archive, "1.2.0", ["/home/somebody/fastnn"])
    assert first == "fastnn_numba-1.1.0-py3-none-any.whl: not of version 1.2.0"
    told = (
        f"{name} holds a path of this machine, /home/somebody/fastnn"
        for name in release.IN_EACH_WHEEL
    )
    assert set(faults) == {f"{archive.name}: {text}" for text in told}


def test_a_good_project_has_no_fault_with_an_sdist_and_wheels(root, tmp_path_factory):
    dist = tmp_path_factory.mktemp("dist")
    wheel(dist)
    (fault,) = release.complaints(dist, TODAY)
    assert "an sdist and wheels are wanted" in fault
    sdist(dist)
    assert list(release.complaints(dist, TODAY)) == []
