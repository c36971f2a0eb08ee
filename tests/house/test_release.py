"""What `nox -s release` checks before a release: each fault that is put into a good one is named."""

import datetime
import io
import json
import pathlib
import re
import tarfile
import tomllib
import zipfile

import pytest
import release

import fastnn

TODAY = datetime.date(2030, 5, 17)


@pytest.fixture
def project(tmp_path):
    """A project of version 1.2.0 in which all is as it must be."""
    texts = {
        "fastnn/__init__.py": '__version__ = "1.2.0"\n',
        "CHANGELOG.md": "## [Unreleased]\n\n## [1.2.0] - 2030-05-16\n\n## [1.1.0] - 2029-01-01\n",
        "CITATION.cff": 'version: "1.2.0"\ndate-released: 2030-05-16\n',
        "README.md": "Printed on 2030-05-01 by `fastnn demo` on one CPU\n",
        "docs/howto/many.md": "Printed on 2030-04-01 by `searches`\n",
        "benchmarks/results/peers.json": json.dumps({"about": {"date": "2030-05-02"}}),
        "benchmarks/results/instructions.json": json.dumps({"date": "2030-05-02"}),
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_good_project_has_no_fault(project):
    assert release.version(project) == "1.2.0"
    assert [*release.other_versions(project), *release.stale_figures(TODAY, project)] == []


def test_this_one_says_its_version_in_all_places():
    assert release.version() == fastnn.__version__
    assert not [text for text in release.other_versions() if "CITATION" in text and fastnn.__version__ not in text]


def test_the_recipe_for_conda_asks_for_what_the_project_asks_for():
    project = tomllib.loads((release.ROOT / "pyproject.toml").read_text("utf-8"))
    text = (release.ROOT / "conda" / "recipe.yaml").read_text("utf-8")
    asked = dict(re.findall(r"^    - ([\w-]+) >=(\S+)$", text, re.MULTILINE))
    asked["matplotlib"] = asked.pop("matplotlib-base")
    optional = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [line for extra, lines in optional.items() if extra != "all" for line in lines]
    wanted.append(f"python{project['project']['requires-python']}")
    assert asked == dict(line.split(">=") for line in wanted)
    assert f'version: "{fastnn.__version__}"' in text


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("CHANGELOG.md", "## [1.2.0] - 2030-05-16\n", "", "the newest section with a date is 1.1.0, not 1.2.0"),
        ("CHANGELOG.md", " - 2030-05-16", "", "the newest section with a date is 1.1.0, not 1.2.0"),
        ("CITATION.cff", "1.2.0", "1.1.0", "CITATION.cff: says"),
        ("CITATION.cff", "2030-05-16", "2030-05-15", "not version 1.2.0 of 2030-05-16"),
    ],
)
def test_another_version_is_named(project, name, old, new, told):
    change(project / name, old, new)
    assert any(told in fault for fault in release.other_versions(project))


@pytest.mark.parametrize(
    ("name", "old", "told"),
    [
        ("README.md", "2030-05-01", "README.md, fastnn demo: measured 502 days ago"),
        ("docs/howto/many.md", "2030-04-01", "docs/howto/many.md, searches: measured"),
        ("benchmarks/results/peers.json", "2030-05-02", "peers.json: measured"),
        ("benchmarks/results/instructions.json", "2030-05-02", "instructions.json: measured"),
    ],
)
def test_old_figures_are_named(project, name, old, told):
    change(project / name, old, "2028-12-31")
    (fault,) = release.stale_figures(TODAY, project)
    assert fault.startswith(told)


def wheel(folder, version="1.2.0", without=(), **contents):
    path = folder / f"fastnn_numba-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in {*release.IN_EACH_WHEEL} - {*without}:
            archive.writestr(name, contents.get(pathlib.PurePath(name).stem, ""))
    return path


def sdist(folder, without=()):
    path = folder / "fastnn_numba-1.2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in {*release.IN_EACH_SDIST} - {*without}:
            name = name if "." in name or name == "LICENSE" else f"{name}/any.md"  # a folder
            archive.addfile(tarfile.TarInfo(f"fastnn_numba-1.2.0/{name}"), io.BytesIO())
    return path


def faults(archive):
    return list(release.faults(archive, "1.2.0", ["/home/somebody/fastnn"]))


def test_good_archives_have_no_fault(tmp_path):
    assert faults(wheel(tmp_path)) == faults(sdist(tmp_path)) == []


@pytest.mark.parametrize("name", release.IN_EACH_WHEEL)
def test_what_a_wheel_lacks_is_named(tmp_path, name):
    assert faults(wheel(tmp_path, without=[name])) == [f"fastnn_numba-1.2.0-py3-none-any.whl: lacks {name}"]


@pytest.mark.parametrize("name", release.IN_EACH_SDIST)
def test_what_an_sdist_lacks_is_named(tmp_path, name):
    assert faults(sdist(tmp_path, without=[name])) == [f"fastnn_numba-1.2.0.tar.gz: lacks {name}"]


def test_an_archive_of_another_version_is_named(tmp_path):
    assert faults(wheel(tmp_path, "1.1.0")) == ["fastnn_numba-1.1.0-py3-none-any.whl: not of version 1.2.0"]


def test_a_path_of_the_machine_is_named(tmp_path):
    (fault,) = faults(wheel(tmp_path, py="b'\0/home/somebody/fastnn/fused/kernels.py"))
    assert fault.endswith("fastnn/py.typed holds a path of this machine, /home/somebody/fastnn")


def test_an_sdist_and_wheels_are_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "other_versions", lambda: iter(()))
    monkeypatch.setattr(release, "stale_figures", lambda today: iter(()))
    monkeypatch.setattr(release, "version", lambda: "1.2.0")
    wheel(tmp_path)
    (fault,) = release.complaints(tmp_path, TODAY)
    assert "an sdist and wheels are wanted" in fault
    sdist(tmp_path)
    assert list(release.complaints(tmp_path, TODAY)) == []
