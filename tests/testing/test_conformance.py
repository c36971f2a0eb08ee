"""check_backend(): whom it passes, what it skips, how it fails, what it writes; the pytest
plugin."""

import json
import os
import pickle
import re
import subprocess
import sys

import pytest
from mutants import Part, report_on
from ordinary import only

from fastnn import Backend, get_backend, register_backend, testing
from fastnn.fused import custom
from fastnn.losses import ACTIVATIONS, CUSTOM, HIDDEN, LOSSES
from fastnn.optimizers import OPTIMIZERS
from fastnn.reference import NumpyBackend
from fastnn.testing import check_backend, conformance_checks, find_backend
from fastnn.testing.conformance import run_checks


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_the_kernel_passes(every):
    """One check in `every` of the suite in float32; tests/cli/test_verify.py has all of it in
    float64."""
    checks = [*conformance_checks(["float32"])][::every]
    report = run_checks(checks, get_backend("numba"), raises=True)
    assert report.count("passed") == len(report.outcomes) == len(checks) > 250
    assert {check.kind for check in checks} == {"property", "gradient", "update", "training"}
    assert all(0 <= outcome.deviation <= 1 for outcome in report.outcomes)


def test_the_list_meets_every_name_of_the_registries():
    checks = list(conformance_checks())
    assert len({check.name for check in checks}) == len(checks)

    def met(kind, name):
        """What checks of a kind are about, of those with this name."""
        return {getattr(check, name) for check in checks if check.kind == kind} - {""}

    for kind in ("gradient", "training"):
        assert met(kind, "loss") - {*CUSTOM} == {*LOSSES}
        assert met(kind, "activation") - {*CUSTOM} == {*HIDDEN}
        assert {*CUSTOM} <= met(kind, "loss") | met(kind, "activation")
        assert met(kind, "dtype") == {"float32", "float64"}
    assert met("gradient", "output") == {*ACTIVATIONS}
    for kind in ("update", "training"):
        assert {name.split()[0] for name in met(kind, "optimizer")} == {*OPTIMIZERS}


def test_what_is_not_supported_is_skipped_and_counted():
    report = check_backend(
        only(activation="silu", loss="poisson", by="RMSprop"), dtypes=["float64"]
    )
    assert {o.check.activation for o in report.outcomes if o.verdict == "passed"} == {"", "silu"}
    assert report.count("passed") + report.count("skipped") == len(report.outcomes)
    assert (
        f"passes {report.count('passed')} checks; {report.count('skipped')} that it does not"
        in report.summary()
    )
    properties = {
        o.check.what for o in report.outcomes if (o.check.kind, o.verdict) == ("property", "passed")
    }
    assert {"the same steps from the same state give the same bits", "bias scalar"} <= properties


def test_functions_that_cannot_be_compiled_are_skipped(monkeypatch):
    """As by a wheel's kernels where there is no Numba."""

    def load_kernel(*arguments):
        raise ImportError("compiling a kernel needs numba", name="numba")

    functions = [check for check in conformance_checks(["float64"]) if "Custom" in check.what]
    assert {check.kind for check in functions} == {"gradient", "training"}
    custom.block_of.cache_clear()
    monkeypatch.setattr(custom, "IN_PYTHON", False)
    monkeypatch.setattr(custom, "load_kernel", load_kernel)
    report = run_checks(functions, get_backend("numba"), raises=True)
    assert report.count("skipped") == len(functions)
    report = run_checks(functions, get_backend("numpy"), raises=True)
    assert report.count("passed") == len(functions)


def test_a_report_as_json(tmp_path):
    report = report_on("Adam's moments swapped", ("float64",), "update")
    report.save(tmp_path / "report.json")
    checks = json.loads((tmp_path / "report.json").read_text("utf-8"))["checks"]
    assert len(checks) == len(report.outcomes)
    assert all(
        case["bound"] and (case["deviation"] is not None) is (case["verdict"] == "passed")
        for case in checks
    )
    failed = [case for case in checks if case["verdict"] == "failed"]
    assert {case["optimizer"] for case in failed if "optimizer" in case} == {"Adam"}
    assert all(case["message"] for case in failed)


def test_back_ends_by_name_by_path_and_as_objects():
    register_backend("mine", Part)
    assert find_backend("mine").name == "broken"
    assert find_backend("mutants:Part").name == "broken"
    assert find_backend("mutants:no_bias_gradient").name == "broken"
    assert find_backend("fastnn.reference:NumpyBackend").name == "numpy"
    assert find_backend(own := Part()) is own


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("fastnn.no_such_module:Backend", ValueError, "no module 'fastnn.no_such_module'"),
        ("mutants:with_batch", ValueError, "cannot be made: TypeError"),
        ("mutants:MUTANTS", TypeError, "is no back end: "),
        ("misses:Backend", ModuleNotFoundError, "no_such_module"),
    ],
)
def test_a_path_without_a_back_end_is_refused(path, error, words, tmp_path, monkeypatch):
    """tests/cli/test_verify.py has others. An import that a module misses is not hidden."""
    (tmp_path / "misses.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=words):
        find_backend(path)


def test_a_back_end_of_version_0_1_is_told_what_has_changed():
    with pytest.raises(
        TypeError,
        match=r"Old needs train_steps\(self, task, state, steps\).*docs/howto/backends\.md",
    ):

        class Old(NumpyBackend):
            def train_steps(self, network, optimizer, state, data, steps, alpha): ...


def test_a_back_end_of_version_0_3_is_told_what_to_write():
    """There it was any object with some methods, recognized by these and by their parameters."""

    class Kernel:
        name = "mine"
        supports = predict = loss_and_gradient = train_steps = lambda *arguments: True

    for ask in (find_backend, get_backend):
        with pytest.raises(
            TypeError,
            match=r"no back end.*`class MyBackend\(fastnn\.Backend\)`.*howto/backends\.md",
        ):
            ask(Kernel())
    with pytest.raises(
        TypeError, match=r"Kernel needs supports\(self, network, optimizer, alpha=0\.0, "
    ):

        class Kernel(NumpyBackend):
            def supports(self, network, optimizer): ...

    class Nameless(Backend):
        supports = predict = loss_and_gradient = train_steps = lambda *arguments, **options: True

    with pytest.raises(TypeError, match="has no name: write name = "):
        get_backend(Nameless())


def test_who_asks_for_what_is_gone_is_told_what_to_write():
    with pytest.raises(AttributeError, match=r"check_functions is gone: .* a back end of a few"):
        testing.check_functions  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'check_nothing'"):
        testing.check_nothing  # noqa: B018


FIVE_LINES = """
import mutants, pytest

@pytest.fixture(scope="session")
def fastnn_backend():
    return {backend}

def test_conformance(fastnn_check):
    fastnn_check()
"""
PROJECT = {  # {test file of another project: its text, and which of its tests are run}
    "right": (FIVE_LINES.format(backend="mutants.Part()"), "update or property"),
    "wrong": (FIVE_LINES.format(backend="mutants.mean_by_rows()"), "property"),
    "none": (
        "def test_conformance(fastnn_check):\n    fastnn_check()\n",
        "property and penalty and training",
    ),
    "policy": (
        "def test_policy_float64(fastnn_tolerances):\n"
        f"    assert fastnn_tolerances.UPDATE_ULPS == {testing.UPDATE_ULPS}\n",
        "policy",
    ),
}


def run_project(folder, *arguments):
    paths = [str(path) for path in sys.path if path]
    code = f"import sys; sys.path[:0] = {paths}; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = [
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "-q",
        "--strict-markers",
        "--no-fold-skipped",
        "-rA",
    ]
    command = [sys.executable, "-c", code, *options, *arguments]
    wide = {**os.environ, "COLUMNS": "1000"}
    return subprocess.run(
        command, cwd=folder, env=wide, capture_output=True, text=True, timeout=600
    ).stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The lines that pytest prints of another project's tests, in float64."""
    folder = tmp_path_factory.mktemp("project")
    for name, (text, _) in PROJECT.items():
        (folder / f"test_{name}.py").write_text(text)
    chosen = " or ".join(f"(test_{name} and ({which}))" for name, (_, which) in PROJECT.items())
    return run_project(folder, "-k", f"float64 and ({chosen})")


def verdicts(printed, name):
    """Return the words of a test file's tests: what became of each, its name and, but for those
    that passed, why."""
    lines = re.findall(rf"^([A-Z]+) test_{name}\.py::(.*?)(?: - (.*))?$", printed, re.M)
    return [(verdict, test.removeprefix("test_conformance"), why) for verdict, test, why in lines]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("right", {"PASSED", "SKIPPED"}),
        ("none", {"ERROR"}),
    ],
)
def test_what_becomes_of_the_tests_of_another_project(project, name, expected):
    assert {verdict for verdict, _, _ in verdicts(project, name)} == expected, project
    assert "define a fixture `fastnn_backend`" in project
    assert [verdict for verdict, _, _ in verdicts(project, "policy")] == ["PASSED"]


def test_each_check_is_a_test_of_its_own_that_fails_by_its_name(project):
    found = verdicts(project, "wrong")
    of_weights = "[property: a mean is divided by the sum of the weights, float64]"
    assert ("FAILED", of_weights) in [(verdict, test) for verdict, test, _ in found]
    assert re.search(r"^E +AssertionError: loss of broken: ", project, re.M)
    (reason,) = {why for verdict, _, why in found if verdict == "SKIPPED"}
    assert "broken does not support what this check is about" in reason


def test_declined_checks_are_counted_and_print_no_letters(project):
    """What ran has its letters: passed, failed, and an error where there is no back end."""
    letters = re.sub(r" +\[ *\d+%\]", "", project.partition("\n=")[0]).replace("\n", "")
    found = [verdict for name in PROJECT for verdict, *_ in verdicts(project, name)]
    assert found.count("SKIPPED") > 20
    assert len(letters) == len(found) - found.count("SKIPPED")
    assert set(letters) == set(".FE")


def test_the_plugin_costs_other_projects_nothing(tmp_path):
    """The plugin, where no test asks for it, imports no more of fastnn than its own module; NumPy
    neither."""
    loaded = "{name for name in sys.modules if name.split('.')[0] in ('fastnn', 'numpy', 'numba')}"
    test = (
        f"def test_nothing_is_imported():\n    assert {loaded} == {{'fastnn', "
        f"'fastnn.pytest_plugin'}}\n"
    )
    (tmp_path / "test_mine.py").write_text(f"import sys\n{test}")
    assert re.search(r"^1 passed", printed := run_project(tmp_path), re.M), printed


def test_checks_and_reports_are_shown_in_a_line_and_can_be_pickled():
    checks = list(conformance_checks(["float64"]))
    assert [pickle.loads(pickle.dumps(check)).name for check in checks] == [
        check.name for check in checks
    ]
    report = run_checks(checks[:3], get_backend("numpy"), raises=False)
    for it in (report, pickle.loads(pickle.dumps(report))):
        assert repr(it) == "<Report: back end numpy, passed 3, failed 0, skipped 0>"
        assert repr(it.outcomes[0]) == f"<Outcome: {checks[0].name}: passed>"
        assert repr(it.outcomes[0].check) == f"<Check: {checks[0].name}>"
        assert it.outcomes[0].check.run(get_backend("numpy")) == report.outcomes[0].deviation
