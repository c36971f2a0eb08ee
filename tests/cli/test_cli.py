"""The ``fastnn`` command: what it prints, what it writes, and how it fails."""

import io
import pathlib
import platform
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import seed_page
from survival import python

import fastnn
from fastnn import cli, workloads
from fastnn._version import __version__
from fastnn.compiler import cache
from fastnn.measuring import machine

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("matplotlib")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run(capsys, monkeypatch, set_columns, tmp_path):
    """Run the command in an empty folder; what it returns, prints, and prints on stderr."""
    set_columns(120)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def quick(monkeypatch):
    """The demo, timed once and briefly."""
    from fastnn.cli import demo_report as demo

    monkeypatch.setattr(demo, "ROUNDS", 1)
    monkeypatch.setattr(demo, "DIGITS_ROUNDS", 1)
    monkeypatch.setattr(demo, "TIMED_ITERATIONS", dict.fromkeys(demo.TIMED_ITERATIONS, 10))
    return demo


def uninstall(monkeypatch, package):
    """Make a package look as if it were not installed."""
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


def without_colors(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# -------------------------------------------------------------------------------------------------------------- basics


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(run, option):
    assert run(option)[:2] == (0, f"fastnn {__version__}\n")


def test_module_runs_as_the_command():
    command = [sys.executable, "-m", "fastnn", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"fastnn {__version__}\n"


COMMANDS = ["demo", "info", "warmup", "bench", "verify", "gate"]


def test_an_encoding_without_a_letter_ends_no_command():
    code = "from fastnn import cli; from fastnn.measuring import machine; "
    code += "machine.cpu_model = lambda: '5 \N{MICRO SIGN}m'; cli.main(['info'])"
    assert "5 ?m" in "\n".join(python(code, PYTHONIOENCODING="ascii"))


def test_help_lists_the_commands_a_newcomer_wants_first(run):
    code, out, _ = run("--help")
    assert code == 0
    assert re.findall(r"^  (\w+)  +[A-Z]", out.partition("Commands:")[2], re.M) == COMMANDS


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_whole_sentences_and_fits(run, set_columns, command, width):
    """No paragraph is broken where it was in the source, no type is shown for a flag, no summary is cut."""
    set_columns(width)
    out = run(*filter(None, [command]), "--help")[1]
    assert max(map(len, out.splitlines())) <= width
    assert not re.search(r"<\w|\[bold\]", out)
    if width > 60:
        assert "..." not in out.replace("[ARGS]...", "")
    for paragraph in out.partition("Options:")[0].split("\n\n")[1:]:
        for line in paragraph.splitlines()[:-1]:
            assert len(line) > min(width, 80) - 15, line


@pytest.mark.parametrize("option", ["--seed", "--output"])
def test_help_of_the_demo_explains_its_options(run, option):
    assert option in without_colors(run("demo", "--help")[1])


def test_help_of_bench_lists_the_workloads(run):
    told = "".join(run("bench", "--help")[1].split())  # lines are wrapped at hyphens too
    for name in workloads.names():
        assert f"{name} ({workloads.DESCRIPTIONS[name]})".replace(" ", "") in told


@pytest.mark.parametrize("arguments", [("dmeo",), ("demo", "--seed", "-1"), ("demo", "--seed", "x"), ("info", "x")])
def test_wrong_usage_ends_with_2(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in err


# ---------------------------------------------------------------------------------------------------------------- demo


def test_demo_prints_the_tutorials_numbers_and_saves_pictures(run, quick, tmp_path):
    code, out, err = run("demo", "--seed", "2", "--output", "new/folder")
    assert code == 0, err
    expected = seed_page.BY_SEED[2]
    for number in (expected.last_error, expected.output_110, expected.output_111):
        assert out.count(f"{number:.10f}") == 3  # the loop and both back ends
    for words in ("iterations a second", "times the tutorial's loop", "held-out digits", "time an epoch", "disk cache"):
        assert words in out
    assert out.count("Largest difference of a weight between the back ends") == 2
    accuracies = re.search(r"held-out digits\D+(0\.\d+)\D+(0\.\d+)", out)
    assert all(float(accuracy) >= 0.96 for accuracy in accuracies.groups())
    for name in ("error_curve.png", "digits_loss.png"):
        path = pathlib.Path("new/folder", name)
        assert str(path) in out
        assert (tmp_path / path).read_bytes().startswith(PNG)


def test_demo_writes_nothing_unless_it_is_told_where(run, quick, tmp_path):
    assert run("demo")[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_loses_no_digit_and_no_line_has_blanks_at_its_end(run, quick, monkeypatch, width):
    from fastnn.cli.console import out as console

    monkeypatch.setattr(type(console), "width", property(lambda self: width))
    code, out, _ = run("demo")
    assert code == 0
    assert "…" not in out
    for number in re.findall(r"\d\.\d{5,}", out):
        assert len(number) in (8, 12), number  # the digits' losses, the tutorial's numbers
    assert out.count("0.0343976601") == 3
    lines = [line for line in out.splitlines() if not line.startswith(tuple("│┃┏┡├└"))]
    assert all(line == line.rstrip() and len(line) <= width for line in lines if line)


def test_demo_times_nothing_when_the_answers_differ(run, quick, monkeypatch):
    drawn = quick.tutorial.initial_weights
    monkeypatch.setattr(quick.tutorial, "initial_weights", lambda seed: drawn(seed + 1))
    monkeypatch.setattr(quick, "interleaved", lambda *_: pytest.fail("timed"))
    code, out, err = run("demo")
    assert code == 2
    assert re.fullmatch(r"fastnn: .*relative distance.*nothing was timed\n", err)
    assert "iterations a second" not in out


def test_demo_reports_an_output_that_is_no_folder(run, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("demo", "--output", "file")
    assert code == 2
    assert err.startswith("fastnn: ")
    assert err.count("\n") == 1


# -------------------------------------------------------------------------------------------------------------- extras


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_missing_command_line_packages_are_named_with_their_extra(run, monkeypatch, package):
    uninstall(monkeypatch, package)
    monkeypatch.delitem(sys.modules, "fastnn.cli.app", raising=False)
    code, out, err = run("info")
    assert (code, out) == (2, "")
    assert err == f'fastnn: this needs {package}, which is not installed: python -m pip install "fastnn-numba[cli]"\n'


def test_missing_matplotlib_is_noticed_before_the_work(run, quick, monkeypatch):
    uninstall(monkeypatch, "matplotlib")
    monkeypatch.setattr(quick, "run_seed", lambda *_: pytest.fail("worked"))
    code, _, err = run("demo", "--output", "pictures")
    assert code == 2
    assert "fastnn-numba[cli]" in err
    assert err.count("\n") == 1


def test_missing_scikit_learn_leaves_the_tutorials_half(run, quick, monkeypatch):
    uninstall(monkeypatch, "sklearn")
    code, out, err = run("demo")
    assert code == 2
    assert "iterations a second" in out
    assert re.fullmatch(r"fastnn: .*scikit-learn.*fastnn-numba\[sklearn\].*\n", err)


def test_other_import_errors_are_not_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastnn.cli.app", None)
    with pytest.raises(ImportError):
        cli.main(["info"])


# ---------------------------------------------------------------------------------------------------------------- info


def test_info_shows_versions_processor_and_cache(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "kernels"))
    code, out, _ = run("info")
    assert code == 0
    assert re.search(rf"numpy +{re.escape(np.__version__)}", out)
    assert re.search(rf"python +{platform.python_version()}", out)
    assert str(tmp_path / "kernels") in out.replace("\n", "").replace(" ", "")
    assert re.search(r"can be written +yes", out)
    assert re.search(r"vector width +64 bytes", out)
    assert re.search(r"flush to zero +off", out)


def test_info_says_why_the_cache_cannot_be_used(run, tmp_path, monkeypatch):
    (tmp_path / "kernels").touch()
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "kernels"))
    code, out, _ = run("info")
    assert code == 0
    assert re.search(r"can be written +no: ", out)


@pytest.mark.parametrize(("command", "code"), [("info", 0), ("warmup", 1)])
def test_a_user_without_a_home_gets_no_traceback(run, monkeypatch, command, code):
    """One of a container whose number no table knows."""

    def fail():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pathlib.Path, "home", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, out, _ = run(command)
    assert found == code
    assert re.search(r"this user has no home: set\s+FASTNN_CACHE_DIR", out)


def test_processor_that_numba_is_told_to_compile_for():
    code = "from fastnn.measuring import machine; c = machine.cpu(); print(c.override, c.register_bytes)"
    environment = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    assert python(code, **environment) == ["('NUMBA_CPU_NAME=haswell', 'NUMBA_CPU_FEATURES=+avx2,+fma') 32"]
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
    (platform.system(), platform.machine()) != ("Linux", "x86_64") or platform.libc_ver()[0] != "glibc",
    reason="sets the flag through glibc's structure of x86-64",
)
def test_flush_to_zero_is_seen():
    code = "from fastnn.measuring import machine; print(machine.flush_to_zero())"
    assert python(code) == ["False"]
    assert python("from fastnn.measuring import machine" + FLUSH + "print(machine.flush_to_zero())") == ["True"]


def test_versions_name_what_is_missing(monkeypatch):
    real = machine.importlib.metadata.version

    def version(package):
        if package == "scikit-learn":
            raise machine.importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    assert machine.versions()["scikit-learn"] == "not installed"


# -------------------------------------------------------------------------------------------------- warm-up, progress


def test_warmup_compiles_both_dtypes_and_says_where(run, monkeypatch):
    monkeypatch.setattr("fastnn.compiler.loader._entries", {})  # an earlier test may have made kernels and kept none
    code, out, _ = run("warmup")
    assert code == 0
    assert len(re.findall(r"\d [mµ]?s ", next(line for line in out.splitlines() if "row orders" in line))) == 1
    assert cache.load("shuffle_rows.float64")
    for dtype in ("float64", "float32"):
        assert len(re.findall(r"\d [mµ]?s ", next(line for line in out.splitlines() if dtype in line))) == 4
    assert str(machine.cache().folder) in out


def test_warmup_ends_with_1_where_nothing_was_kept(run, tmp_path, monkeypatch):
    (tmp_path / "kernels").touch()
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "kernels"))
    for noted in ("_errors", "_warned"):  # or a later test would be warned of this folder
        monkeypatch.setattr(f"fastnn.compiler.cache.{noted}", [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, out, _ = run("warmup")
    assert code == 1
    assert re.search("Not kept: .*Not a directory", out.replace("\n", ""))


def test_a_log_is_told_now_and_then_how_far_a_command_is(capsys, monkeypatch):
    """Where stderr is no terminal there is no bar."""
    from fastnn.cli import console

    clock = iter([0.0, 2.0, 5.0, 5.0, 6.0, 11.0, 11.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("begin", 7) as advance:
        for what in ("a", "b", "c", None):
            advance(what)
    assert capsys.readouterr() == ("", "fastnn: b, 2 of 7\nfastnn: begin, 4 of 7\n")


def test_progress_bar_follows_the_training():
    from rich.console import Console

    from fastnn.training.progress import ProgressBar

    drawn = io.StringIO()
    with ProgressBar(Console(file=drawn, force_terminal=True, width=120)) as bar:
        result = fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, callbacks=[bar], backend="numpy")
    assert result.n_epochs == 3
    last = without_colors(drawn.getvalue())
    assert "epoch 3/3" in last
    assert f"loss {result.history.loss[-1]:.6g}" in last


def test_progress_on_request_draws_on_stderr(capsys):
    fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, progress=True, backend="numpy")
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err


def test_missing_rich_is_named_with_its_extra(monkeypatch):
    uninstall(monkeypatch, "rich")
    with pytest.raises(ImportError, match=r"fastnn-numba\[cli\]"):
        fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=1, progress=True, backend="numpy")


# ------------------------------------------------------------------------------------------------------------ pictures


def test_error_curve_is_the_tutorials_picture(tmp_path):
    from fastnn import plotting

    figure = plotting.error_curve({"a": [1.0, 0.5], "b": [1.0, 0.4]})
    (axes,) = figure.axes
    assert tuple(figure.get_size_inches()) == (10, 8)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "error")
    assert axes.get_title() == "Artificial Neural Networks Training"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert list(axes.lines[0].get_xdata()) == [0, 1]
    first, second = (plotting.save(figure, tmp_path / name).read_bytes() for name in ("1.png", "2.png"))
    assert first == second


def test_pictures_need_no_screen_and_leave_matplotlib_as_it_was():
    code = "import sys; from fastnn import plotting; plotting.loss_curves({'a': [2.0, 1.0]}, 't'); print(*sys.modules)"
    assert "matplotlib.pyplot" not in python(code)[0].split()
