"""Tests, linters and measurements, each in its own environment: ``nox -s tests``; ``nox --list``
shows them all.

What stands after ``--`` goes to the tool that a session runs. In `docs`, `build` and `measure` the
first word chooses.
"""

import itertools
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
LOWEST_PYTHON = PROJECT["project"]["requires-python"].removeprefix(">=")

PYTHONS = [
    f"python{line.split()[-1]}"
    for line in PROJECT["project"]["classifiers"]
    if ":: Python :: 3." in line
]
"""The commands of all versions of Python that fastnn is for."""

# An older wheel rather than a compiler: Numba's newest version has no wheel for Intel Macs.
os.environ.setdefault("PIP_PREFER_BINARY", "1")


def group(name):
    """The requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PROJECT, name)


def lowest():
    """The lowest declared version of everything that a user installs, as pins."""
    project = PROJECT["project"]
    lines = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    declared = [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.name != project["name"]
    ]
    return [
        f"{r.name}=={bound.version}"
        for r in declared
        for bound in r.specifier
        if bound.operator == ">="
    ]


def but_for(*names, extras=("sklearn", "many", "cli")):
    """The requirements of the package and of these extras, without those of these names."""
    project = PROJECT["project"]
    lines = itertools.chain(
        project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)
    )
    return [line for line in lines if Requirement(line).name not in names]


def choice(session, choices):
    """The function of `choices` that the first word after ``--`` names, else the first one, and the
    other words.
    """
    first, *others = session.posargs or [""]
    if first in choices:
        return choices[first], others
    if "" not in choices:
        session.error(f"say which after --: {', '.join(choices)}")
    return choices[""], session.posargs


def can_make_environments(python):
    """Whether there is such a Python, not only a shim of pyenv, with the module venv."""
    try:
        return (
            subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode
            == 0
        )
    except OSError:
        return False


ALL_CORES = ("-n", "auto", "--dist", "worksteal", "--durations", "20")
"""A worker for each core, idle ones take tests from busy ones; the slowest tests are printed."""


def run_tests(session, *arguments, **options):
    """Run pytest on the installed package; what stands after ``--`` on the command line goes to
    pytest.
    """
    # for all workers: two that start cold would compile the same kernels; 1: the cache keeps none
    # here
    session.run("fastnn", "warmup", success_codes=[0, 1])
    session.run("python", "-m", "pytest", *arguments, *session.posargs, **options)


@nox.session
def tests(session):
    """Run the tests."""
    session.install("-e.[all]", *group("test"))
    run_tests(session, *ALL_CORES)


QUICK = (
    "tests/test_layers.py",
    "tests/test_network.py",
    "tests/test_reference.py",  # against its formulas, and their derivatives
    "tests/fused/test_equality.py",  # the kernel and the reference
    "tests/fused/test_same_bits.py::test_first_steps_give_the_hashes",
    "tests/training/test_training.py",
    "tests/training/test_resume.py",
    "tests/estimators/test_same_as_scikit_learn.py",
    "tests/estimators/test_additions.py",
    "tests/files/test_model.py",
    "tests/files/test_export.py",
)
"""The tests of `quick`."""


@nox.session
def quick(session):
    """Run the tests of the core in float64 only, without threads."""
    session.install("-e.[sklearn]", "pytest", "hypothesis")
    session.run(
        "python", "-m", "pytest", "-k", "not float32 and not threads", *QUICK, *session.posargs
    )


@nox.session(python=LOWEST_PYTHON)
def tests_lowest(session):
    """Run the tests on the lowest declared versions of Python and of all dependencies."""
    session.install("-e.[all]", *lowest(), *group("test"))
    # old versions warn of what newer ones have put right
    run_tests(session, *ALL_CORES, "-W", "default")


@nox.session
def slow(session):
    """Run the slow tests, each all of what a quick one does in part, and those on clusters of loky,
    Dask and Ray.
    """
    session.install("-e.[all]", *group("test"), *group("bench"))
    # Ray, where it can be installed
    session.install(*group("distributed"), success_codes=range(256))
    clusters = "tests/many/test_clusters.py"
    # 5: there is none
    run_tests(session, *ALL_CORES, "-m", "slow", f"--ignore={clusters}", success_codes=[0, 5])
    run_tests(session, clusters, "-m", "slow or not slow", "-v", "-rP")


@nox.session
def nojit(session):
    """Run the kernel as plain Python, with the bits of the compiled one: gradients, hashes,
    coverage of ``fused/``.
    """
    session.install("-e.[all]", *group("test"))
    environment = {
        "NUMBA_DISABLE_JIT": "1",
        "COVERAGE_FILE": str(pathlib.Path(session.create_tmp(), "coverage")),
    }
    coverage = ("python", "-m", "coverage")
    config = "--rcfile=tests/support/nojit.coveragerc"
    session.run(
        *coverage, "run", config, "-m", "pytest", "-m", "nojit", *session.posargs, env=environment
    )
    session.run(*coverage, "report", config, env=environment)  # fails below 95 %


@nox.session
def arm64(session):
    """Compare the hashes of trained weights on an emulated arm64. Debian and root only; see
    tests/support/arm64.py.
    """
    session.install("pip")
    session.run(
        "python",
        "tests/support/arm64.py",
        session.create_tmp(),
        *PROJECT["project"]["dependencies"],
    )


@nox.session
def sklearn_suite(session):
    """Run scikit-learn's own tests of its MLP on MLPClassifier and MLPRegressor."""
    session.install("-e.[all]", "pytest", "pandas")
    session.run("python", "tests/support/sklearn_suite.py", *session.posargs)


@nox.session
def lint(session):
    """Check style, formatting, imports between modules, spelling, GitHub's workflows, and types."""
    session.install("-e.[all]", *group("lint"), *group("test"))
    session.run("ruff", "check")
    flat = ("--preview", "--select", "PLR0917,PLR1702")  # few positional parameters, shallow blocks
    session.run("ruff", "check", *flat, "fastnn")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("codespell")
    session.run("zizmor", "--offline", ".github")
    session.run("mypy")
    # which need these tools
    checks = ("tests/house/test_types.py",)
    session.run("python", "-m", "pytest", *checks)


@nox.session(default=False, venv_backend="none")
def size(session):
    """Count nodes and words by folder, beside those of a commit: ``-- main``."""
    session.run(sys.executable, "tests/support/size.py", *session.posargs)


@nox.session(default=False)
def replay(session):
    """Train a fixed list with a commit and with the working tree, and show what differs:
    ``-- main``; without a commit, it is that of tests/support/replay.txt.
    """
    session.install("-e.[all]")
    session.run("python", "tests/support/replay.py", *session.posargs)


SITE = pathlib.Path("docs", "_build")
MATHJAX = "mathjax@3.2.2"  # one file of it is a part of the site
STRICT = ("--fail-on-warning", "--nitpicky", "--keep-going", "--fresh-env", "--show-traceback")


@nox.session
def docs(session):
    """Build the site into docs/_build/html; ``-- browser`` opens it in Chromium, ``-- links``
    checks addresses.
    """
    session.install("-e.[all]", *group("docs"))
    run, arguments = choice(session, {"": build_site, "browser": open_site, "links": request_links})
    run(session, *arguments)


def build_site(session, *options):
    """Run Sphinx, and all examples: each warning is an error. Wants npm, for MathJax."""
    if not (script := SITE / "mathjax" / "tex-svg-full.js").exists():
        tmp = pathlib.Path(session.create_tmp())
        session.run("npm", "pack", "--silent", f"--pack-destination={tmp}", MATHJAX, external=True)
        shutil.unpack_archive(next(tmp.glob("mathjax-*.tgz")), tmp, filter="data")
        script.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp / "package" / "es5" / script.name, script)
    for old in (SITE / "html", pathlib.Path("docs", "reference", "generated")):
        shutil.rmtree(old, ignore_errors=True)  # pages of names that are gone
    session.run("python", "-m", "sphinx", *STRICT, *options, "docs", str(SITE / "html"))
    pages = [page for page in (SITE / "html").rglob("*.html") if "_modules" not in page.parts]
    session.log(f"{len(pages)} pages, besides the source code of the modules")


def open_site(session, *options):
    """Test the built site in a browser, and that its build fails where it must; pictures in
    docs/_build/screenshots.

    Wants the site, and a browser with its driver (Debian: apt-get install chromium
    chromium-driver).
    """
    session.install(*group("test"), *group("browser"))
    session.run("python", "-m", "pytest", "tests/site", "-v", *options)


def request_links(session, *options):
    """Request each external address that a page names: once a week in CI."""
    command = ("--builder", "linkcheck", "--keep-going", "-D", "plot_gallery=0")
    session.run("python", "-m", "sphinx", *command, *options, "docs", str(SITE / "linkcheck"))


@nox.session(reuse_venv=False)
def build(session):
    """Build sdist and wheel, and try them; ``-- wheels`` builds those with kernels, ``-- conda``
    the conda package.
    """
    run, arguments = choice(
        session, {"": build_sdist, "wheels": build_wheels, "conda": build_conda}
    )
    run(session, *arguments)


def build_sdist(session):
    """Build the sdist and from it the wheel, check both, and run the command from the installed
    wheel.
    """
    dist = pathlib.Path(session.create_tmp(), "dist")
    for old in dist.glob("*"):
        old.unlink()
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist))
    session.run("twine", "check", "--strict", *map(str, sorted(dist.iterdir())))
    (wheel,) = dist.glob("*.whl")
    session.install(f"{PROJECT['project']['name']}[all] @ {wheel.resolve().as_uri()}")
    session.chdir(session.create_tmp())  # away from the source tree
    session.run("fastnn", "info")
    owners = "importlib.metadata.packages_distributions()['fastnn']"
    owned = f"assert {owners} == ['{PROJECT['project']['name']}'], {owners}"
    session.run("python", "-c", f"import importlib.metadata, fastnn; fastnn.train; {owned}")


def build_wheels(session):
    """Build the wheels that bring kernels along, for Linux, into dist/; test them as installed,
    without Numba.
    """
    dist = pathlib.Path("dist")
    work = pathlib.Path(session.create_tmp()).resolve()
    for old in dist.glob("*-manylinux*.whl"):
        old.unlink()
    session.install("-e.", "build", "twine", "ziglang")
    for machine in ("x86_64", "aarch64"):
        kernels = str(work / machine)
        session.run("python", "ship_kernels.py", machine, kernels)
        command = ("python", "-m", "build", "--wheel", "--outdir", str(dist))
        session.run(*command, env={"FASTNN_WHEEL_KERNELS": kernels}, silent=True)
    x86_64, aarch64 = (
        str(next(dist.glob(f"*_{machine}.whl")).resolve()) for machine in ("x86_64", "aarch64")
    )
    session.run("twine", "check", "--strict", x86_64, aarch64)
    for path in (x86_64, aarch64):
        session.log(f"{pathlib.Path(path).name}: {os.path.getsize(path):,} bytes")
        assert os.path.getsize(path) < 2.5e6
    # Without Numba, and with it, for what is damaged is compiled.
    python = str(work / "environment/bin/python")
    session.run("python", "-m", "venv", "--clear", str(work / "environment"))
    session.run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        *but_for("numba", "llvmlite", "onnx"),
        external=True,
    )
    session.run(python, "-m", "pip", "install", "--quiet", "--no-deps", x86_64, external=True)
    session.run(
        python, "tests/support/installed.py", "without-numba", str(work / "tested"), external=True
    )
    session.install("--force-reinstall", "--no-deps", x86_64)
    session.run("python", "tests/support/installed.py", "with-numba", str(work / "tested"))
    if os.geteuid() == 0 and shutil.which("debootstrap") and shutil.which("qemu-aarch64-static"):
        script = (
            "python",
            "tests/support/arm64.py",
            str(work / "arm64"),
            *but_for("numba", "llvmlite", extras=()),
        )
        session.log(session.run(*script, f"--wheel={aarch64}", silent=True).splitlines()[-1])
    else:
        session.log(
            "the wheel for arm64 was not run: that takes root, debootstrap and qemu-user-static"
        )


def build_conda(session, *channel):
    """Build the package for conda into dist/conda from the sdist, and test it; `channel` replaces
    conda-forge.
    """
    session.install("build", "py-rattler-build")
    session.run("python", "-m", "build", "--sdist")
    session.run("python", "tests/support/conda_package.py", "dist/conda", *channel)


@nox.session(default=False, reuse_venv=False)
def release(session):
    """Do all of a release that needs no account: build and check dist/, install and try it, build
    the docs.
    """
    dist = pathlib.Path("dist")
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build", "twine", "nox")
    session.run("python", "-m", "build")
    session.run("python", "-m", "nox", "-s", "docs")
    session.run("python", "-m", "nox", "-s", "build", "--", "wheels")
    session.run("twine", "check", "--strict", *map(str, sorted(dist.iterdir())))
    session.run("python", "tests/support/release.py", str(dist))
    version = session.run("python", "tests/support/release.py", "--version", silent=True).strip()
    found = [python for python in PYTHONS if can_make_environments(python)]
    for python in found:
        with tempfile.TemporaryDirectory() as folder:
            session.run(python, "-m", "venv", folder, external=True)
            own = f"{folder}/bin/python"
            pip = (own, "-m", "pip", "install", "--quiet", "--find-links", dist.resolve().as_uri())
            session.run(*pip, f"{PROJECT['project']['name']}[all]=={version}", external=True)
            info = session.run(
                "env", "-C", folder, own, "-m", "fastnn", "info", external=True, silent=True
            )
            session.log(info)
            if "from the wheel" not in info:
                session.error(f"{python}: the kernels that came with the wheel are not used")
            session.run("env", "-C", folder, own, "-m", "fastnn", "demo", external=True)
    session.log(
        f"tried on {', '.join(found)}; not here: {', '.join(set(PYTHONS) - {*found}) or 'none'}"
    )


@nox.session(default=False)
def measure(session):
    """Measure ``-- peers``, ``tables``, ``scaling``, ``instructions``, ``history`` or
    ``asv``.
    """
    run, arguments = choice(session, MEASUREMENTS)
    run(session, *arguments)


def measure_by(name, *requirements, optional=()):
    """A function that installs what a script of benchmarks/ needs, and runs it with the arguments
    of the session.
    """

    def run(session, *arguments):
        session.install("-e.[all]", *requirements)
        for requirement in optional:  # what cannot be installed is skipped by name
            session.install(requirement, success_codes=range(256))
        session.run("python", "-m", f"benchmarks.{name}", *arguments)

    return run


def measure_peers(session, *arguments):
    """Measure fastnn beside other libraries; an older JAX has a folder of its own."""
    old = ("--quiet", "--upgrade", "--target=.benchmarks/jax-0.4.31", *group("jax-0.4.31"))
    session.run("python", "-m", "pip", "install", *old, success_codes=range(256))
    measure_by("peers", "threadpoolctl", optional=group("peers"))(session, *arguments)


def run_asv(session, *arguments):
    """Run asv in benchmarks/: ``-- asv continuous main HEAD`` fails where HEAD is slower."""
    session.install(*group("bench"), "virtualenv")
    session.chdir("benchmarks")
    session.run("asv", "machine", "--yes")
    session.run("asv", *arguments)


def measure_history(session, revisions="HEAD^!"):
    """Run asv on the commits of a range of git's that have no results yet, and publish its page in
    .asv/html.
    """
    session.install("-e.", *group("bench"), "virtualenv")
    name = "from fastnn.measuring import machine; print(machine.cpu_model())"
    cpu = session.run("python", "-c", name, silent=True).strip()
    cores = str(os.cpu_count())
    # Curves of one processor stay together, whatever the host's name or its kernel.
    machine = re.sub(r"[^a-z0-9]+", "-", f"{cpu} {cores} cores".lower()).strip("-")
    facts = {
        "os": platform.system(),
        "arch": platform.machine(),
        "cpu": cpu,
        "num_cpu": cores,
        "ram": "any",
    }
    has_commits = session.run(
        "git", "rev-list", "--first-parent", revisions, external=True, silent=True
    )
    session.chdir("benchmarks")
    session.run(
        "asv",
        "machine",
        "--yes",
        f"--machine={machine}",
        *(f"--{key}={fact}" for key, fact in facts.items()),
    )
    if has_commits:  # one process a curve, and ten samples at least in it
        quick = ("--attribute", "rounds=1", "--attribute", "warmup_time=0.05")
        options = ("--skip-existing-successful", "--show-stderr", f"--machine={machine}")
        session.run("asv", "run", revisions, *options, *quick)
    session.run("asv", "publish")


MEASUREMENTS = {
    "peers": measure_peers,
    # the presets for tables beside other libraries
    "tables": measure_by("tables", *group("tables")),
    # the presets in TabArena, by its splits and scores
    "tabarena": measure_by("tabarena", *group("tabarena")),
    "scaling": measure_by("scaling"),  # how time and memory grow with sizes and rows
    # of an iteration, counted by valgrind; of a commit beside it
    "instructions": measure_by("instructions"),
    "history": measure_history,  # commits by asv, and their page
    "asv": run_asv,
}
"""What `measure` can do; benchmarks/README.md has the figures."""
