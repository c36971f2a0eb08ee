"""The ``fastnn`` command: its version, its help, what it says where something is missing, `info`
and `warmup`."""

import pathlib
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from survival import python
from terminal import uninstall, without_colors

from fastnn import __version__, cli, workloads
from fastnn.cli import console
from fastnn.compiler import cache
from fastnn.compiler.program import ENTRIES
from fastnn.cores import available_cores
from fastnn.measuring import machine

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("matplotlib")


def test_version(run):
    """In this process, and of the module that runs as the command."""
    version = f"fastnn {__version__}\n"
    assert run("--version")[:2] == run("-V")[:2] == (0, version)
    assert (
        subprocess.check_output([sys.executable, "-m", "fastnn", "--version"], text=True) == version
    )


OPTIONS = {"demo": ["--seed", "--output"], "verify": ["--backend", "--dtype", "--json"]}
COMMANDS = ["fit", "predict", "export", "demo", "info", "warmup", "bench", "verify", "gate"]


def test_an_encoding_without_a_letter_ends_no_command():
    code = "from fastnn import cli; from fastnn.measuring import machine; "
    code += "machine.cpu_model = lambda: '5 \N{MICRO SIGN}m'; cli.main(['info'])"
    assert "5 ?m" in "\n".join(python(code, PYTHONIOENCODING="ascii"))


def test_help_lists_the_commands_a_newcomer_wants_first_and_the_workloads(succeed):
    out, _ = succeed("--help")
    assert re.findall(r"^  (\w+)  +[A-Z]", out.partition("Commands:")[2], re.M) == COMMANDS
    told = "".join(succeed("bench", "--help")[0].split())  # lines are wrapped at hyphens too
    for name in workloads.names():
        assert f"{name} ({workloads.DESCRIPTIONS[name]})".replace(" ", "") in told


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_whole_sentences_and_fits(succeed, set_columns, command, width):
    """No paragraph is broken where it was in the source, no type is shown for a flag, no summary is
    cut."""
    set_columns(width)
    out, _ = succeed(*filter(None, [command]), "--help")
    for option in OPTIONS.get(command, []):
        assert option in without_colors(out)
    assert max(map(len, out.splitlines())) <= width
    assert not re.search(r"<\w|\[bold\]", out)
    if width > 60:
        assert "..." not in out.replace("[ARGS]...", "")
    for paragraph in out.partition("Options:")[0].split("\n\n")[1:]:
        for line in paragraph.splitlines()[:-1]:
            assert len(line) > min(width, 80) - 15, line


@pytest.mark.parametrize(
    "arguments", [("dmeo",), ("demo", "--seed", "-1"), ("demo", "--seed", "x"), ("info", "x")]
)
def test_wrong_usage_ends_with_2(refused, arguments):
    refused(*arguments)


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_missing_command_line_packages_are_named_with_their_extra(run, monkeypatch, package):
    """Other import errors are not hidden."""
    uninstall(monkeypatch, package)
    monkeypatch.delitem(sys.modules, "fastnn.cli.app", raising=False)
    code, out, err = run("info")
    assert (code, out) == (2, "")
    assert err == (
        f"fastnn: this needs {package}, which is not installed: python -m pip install "
        f'"fastnn-numba[cli]"\n'
    )
    monkeypatch.setitem(sys.modules, "fastnn.cli.app", None)
    with pytest.raises(ImportError):
        cli.main(["info"])


def test_info_shows_versions_processor_and_cache(succeed, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "kernels"))
    out, _ = succeed("info")
    assert str(tmp_path / "kernels") in out.replace("\n", "").replace(" ", "")
    cores = available_cores()
    for line in (
        f"numpy +{re.escape(np.__version__)}",
        f"python +{platform.python_version()}",
        "can be written +yes",
        "vector width +64 bytes",
        f"cores +{cores.number}: {cores.reason}\n",
        "flush to zero +off",
    ):
        assert re.search(line, out)


WRONG = "the environment variable FASTNN_NUM_THREADS must be a whole number from 1 on, not '0'"


@pytest.mark.parametrize(
    ("variable", "said"),
    # the first as Dask and Ray do
    [("OMP_NUM_THREADS=1", "1: OMP_NUM_THREADS=1"), ("FASTNN_NUM_THREADS=0", WRONG)],
)
def test_info_says_what_limits_the_cores(succeed, monkeypatch, variable, said):
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv(*variable.split("="))
    out, _ = succeed("info")
    assert re.search(rf"cores +{said}\n", out)


@pytest.fixture
def kernels(run):
    """All kernels, from the cache that the tests share: those that this process has it does not
    compile again."""
    run("warmup")


@pytest.mark.parametrize(
    ("folder", "command", "code", "said"),
    [
        ("a file", "info", 0, "can be written +no: "),
        ("a file", "warmup", 1, "Not kept: .*Not a directory"),
        (None, "info", 0, "this user has no home: set +FASTNN_CACHE_DIR"),
        (None, "warmup", 1, "Not kept: this user has no home: set FASTNN_CACHE_DIR"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_cache_that_cannot_be_used_is_told_with_the_reason(
    run, kernels, monkeypatch, folder, command, code, said
):
    """The folder is a file, or the user one of a container whose number no table knows."""

    def fail():
        raise RuntimeError("Could not determine home directory.")

    for noted in ("_errors", "_warned"):  # of which no later test is warned
        monkeypatch.setattr(f"fastnn.compiler.cache.{noted}", [])
    for name in ("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pathlib.Path, "home", fail)
    if folder:
        pathlib.Path(folder).touch()
        monkeypatch.setenv("FASTNN_CACHE_DIR", folder)
    found, out, _ = run(command)
    assert found == code
    assert re.search(said, re.sub(r"\n *", " ", out))


def test_processor_that_numba_is_told_to_compile_for():
    code = (
        "from fastnn.measuring import machine; c = machine.cpu(); print(c.override, "
        "c.register_bytes)"
    )
    environment = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    assert python(code, **environment) == [
        "('NUMBA_CPU_NAME=haswell', 'NUMBA_CPU_FEATURES=+avx2,+fma') 32"
    ]
    assert python(code, **environment | {"NUMBA_CPU_FEATURES": ""})[0].endswith(" None")


FLUSH = """
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library("m"))
environment = (ctypes.c_uint32 * 8)()  # glibc, x86-64: the last word is MXCSR
libm.fegetenv(environment)
environment[7] |= 0x8040  # flush to zero, denormals are zero
libm.fesetenv(environment)
"""


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64")
    or platform.libc_ver()[0] != "glibc",
    reason="sets the flag through glibc's structure of x86-64",
)
def test_flush_to_zero_is_seen():
    said = "print(machine.flush_to_zero())"
    code = f"from fastnn.measuring import machine\n{said}\n{FLUSH}\n{said}"
    assert python(code) == ["False", "True"]


def test_versions_name_what_is_missing(monkeypatch):
    def version(package):
        raise machine.importlib.metadata.PackageNotFoundError(package)

    assert machine.versions()["numpy"] == np.__version__
    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    assert machine.versions()["scikit-learn"] == "not installed"


WARM = """
from fastnn import cli
from fastnn.compiler.loader import origins
try:
    cli.main(["warmup"])
except SystemExit as end:
    assert not end.code
print(*sorted(origins))
"""


def test_warmup_leaves_no_kernel_to_be_compiled_later_and_says_where_they_are():
    *lines, kernels = python(WARM, COLUMNS=120)
    assert kernels.split() == sorted(
        f"{name}.{dtype}" for name, dtypes in ENTRIES.items() for dtype in dtypes
    )
    assert all(map(cache.load, kernels.split()))
    for row, n_times in {"row orders": 1, "float64": 4, "float32": 4}.items():
        assert (
            len(re.findall(r"\d [mµ]?s ", next(line for line in lines if row in line))) == n_times
        )
    assert str(machine.cache_state().folder) in "".join(lines)


def test_progress_without_a_terminal_says_of_what(monkeypatch, capsys):
    monkeypatch.setattr(console, "SILENCE", 0.0)
    with console.progress("the tutorial's network", 42) as advance:
        advance()
    assert capsys.readouterr().err == "fastnn: the tutorial's network, 1 of 42 steps\n"
