"""The documentation tells the truth: its code runs, prints what it says, and its quotations are
there."""

import ast
import re
import tomllib
import warnings

import pytest
import tree
from pages import FENCE, ROOT, blocks, public_names, text

DOCS = ROOT / "docs"
PAGES = sorted(
    page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md") if "_build" not in page.parts
)
PAGES = ["README.md", *PAGES]
PROJECT = tomllib.loads(text("pyproject.toml"))
NOT_RUN = {
    # wants TensorBoard and MLflow: tests/training/test_callbacks.py has stand-ins
    "docs/howto/trackers.md",
    "docs/howto/engines.md",  # wants clusters: tests/many/test_clusters.py runs it
    "docs/development/recipes.md",  # parts of files: tests/house/test_recipes.py puts them there
    # compiles and prints a kernel: tests/fused/test_debugging.py runs its session
    "docs/development/debug.md",
}
WANTS = {
    "docs/howto/tables-explain.md": ["shap"],
    "docs/howto/web-service.md": ["fastapi", "httpx2"],
}
"""{page: packages besides those of the extras}"""
REFERENCE = "fastnn/reference.py"

LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`]+)`")


@pytest.fixture
def run_in(tmp_path, monkeypatch):
    """A function that runs code of a page in a namespace, in an empty folder."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    return lambda namespace, code, page="page": exec(compile(code, page, "exec"), namespace)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python\n" in text(page) and page not in NOT_RUN]
)
def test_code_runs_and_prints_what_the_page_says(page, run_in, capsys):
    for package in WANTS.get(page, ()):
        with warnings.catch_warnings(action="ignore"):  # its own, while it is imported
            pytest.importorskip(package)
    namespace = {"__name__": "__main__"}
    for code, expected in blocks(page):
        capsys.readouterr()
        run_in(namespace, code, page)
        assert expected in (None, capsys.readouterr().out)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not page.startswith("docs/development")]
)
def test_code_on_a_page_has_at_most_88_columns(page):
    """What a code block of the site shows beside its lists; pages for developers quote the package,
    which has 120."""
    code = (m[2] for m in FENCE.finditer(text(page)) if m[1] != "text")
    assert [line for body in code for line in body.splitlines() if len(line) > 88] == []


def test_the_sessions_of_nox_that_pages_name_are_there():
    """README has one command for the tests; `quick` runs files, and a function of one, that there
    are."""
    noxfile = ast.parse(text("noxfile.py"))
    sessions = {
        node.name
        for node in noxfile.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    pages = "".join(map(text, [*PAGES, "CONTRIBUTING.md"]))
    named = " ".join(re.findall(r"\bnox -s ([a-z_]+(?: [a-z_]+)*)(?= --|`|\n)", pages)).split()
    assert {"tests", "quick", "lint"} <= set(named) <= sessions
    chosen = re.findall(r"\bnox -s (?:docs|build|measure) -- (\w+)", pages)
    assert (
        {"links", "wheels", "peers"}
        <= set(chosen)
        <= set(re.findall(r'"(\w+)": ', text("noxfile.py")))
    )
    assert len(sessions) <= 16
    (quick,) = (
        n.value
        for n in noxfile.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "QUICK"
    )
    for path, _, function in (path.partition("::") for path in ast.literal_eval(quick)):
        assert f"def {function}" in text(path), path


def test_the_readmes_commands_print_what_it_says(run_in, run, capsys):
    """On the table of its Python example, in files."""
    namespace = {}
    code, _ = next(blocks("README.md"))
    run_in(namespace, code)
    homes, price = namespace["homes"], namespace["price"]
    homes[:1500].assign(sold=price[:1500] > 400).to_csv("homes.csv", index=False)
    homes[1500:].to_csv("new.csv", index=False)
    console = r"^```console\n(fastnn fit .*?)^```\n\n```text\n(.*?)^```$"
    ((commands, expected),) = re.findall(console, text("README.md"), re.DOTALL | re.MULTILINE)
    capsys.readouterr()
    printed = "".join(run(*command.split()[1:])[1] for command in commands.splitlines())
    assert printed == expected


def test_ci_runs_the_readmes_command_for_the_tests():
    """`.ci/run` takes its lines from README by a pattern, which finds these and no others."""
    if not (script := ROOT / ".ci" / "run").exists():
        pytest.skip("an archive of the sources has no .ci")
    (pattern,) = re.findall(r"\$\(grep -E '(.*)' README\.md\)", script.read_text("utf-8"))
    lines = [line for line in text("README.md").splitlines() if re.match(pattern, line)]
    assert lines == ["python -m pip install nox", "python -m nox -s tests"]


def test_the_readme_names_the_lowest_versions():
    project = PROJECT["project"]
    lowest = [f"Python{project['requires-python']}", *project["dependencies"]]
    lowest += project["optional-dependencies"]["sklearn"]
    words = " ".join(text("README.md").lower().split())
    assert [version for version in lowest if version.lower().replace(">=", " ") not in words] == []


def test_each_equation_stands_beside_a_line_of_the_reference():
    """In the column that is headed "line of `fastnn/reference.py`" of each table, or in the
    definitions of activations and losses."""
    sources = text(REFERENCE) + text("fastnn/definitions.py")
    lines = {line.strip() for line in sources.splitlines()}
    quoted = []
    for table in re.findall(r"(?:^\|.*\n)+", text("docs/tutorials/seed.md"), re.MULTILINE):
        heads, _, *rows = (line.split("|") for line in table.splitlines())
        columns = [i for i, head in enumerate(heads) if f"`{REFERENCE}`" in head]
        quoted += [code for row in rows for i in columns for code in CODE.findall(row[i])]
    assert len(quoted) > 15
    assert [line for line in quoted if line not in lines] == []


FILE = re.compile(
    r"`(?:fastnn/)?((?:checking|compiler|fused|many|files|tabular|testing|training|estimators)/\w+\.py)`"
)


@pytest.mark.parametrize(
    "page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"]
)
def test_links_and_names_of_files_lead_somewhere(page):
    """The changelog may name old files of the package."""
    assert [
        link
        for link in LINK.findall(text(page))
        if not (ROOT / page).parent.joinpath(link).exists()
    ] == []
    named = FILE.findall(text(page)) if page != "CHANGELOG.md" else []
    assert [name for name in named if not (ROOT / "fastnn" / name).exists()] == []


def test_the_order_of_imports_that_a_page_tells_is_that_of_the_contract():
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    layers = [set(re.findall(r"\w+", layer)) - {"__main__", "pytest_plugin"} for layer in contract]
    _, rest = text("CONTRIBUTING.md").split("| module or folder of `fastnn` | job |\n  |---|---|\n")
    rows = rest.split("\n\n")[0].splitlines()
    assert [set(CODE.findall(row.split("|")[1])) for row in rows] == [
        layer for layer in layers if layer
    ]


def test_pages_that_the_package_names_are_there():
    """In docstrings they are links of the site's reference."""
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "fastnn").rglob("*.py"))
    named = set(re.findall(r"\bdocs/[\w/-]+\.md\b", sources))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_each_public_name_has_a_page_of_reference():
    pages = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.rst"))
    listed = re.findall(r"^   (?:\w+\.)*\w+$", pages, re.MULTILINE)
    beside = {"gate.measure", "state.Data", "state.Steps", "state.Task"}
    assert sorted(name.strip() for name in listed) == sorted({*public_names(), *beside})


INDEX_LINE = re.compile(r"^- \[[^\]]+\]\(([\w/.-]+)\): \S.*\.$", re.MULTILINE)


def test_each_page_has_a_line_in_an_index():
    """A link and what the page is about, in the index of how-to guides, of tutorials or of
    explanations."""
    folders = [DOCS / name for name in ("tutorials", "howto", "explanation")]
    lines = [
        (folder / line).resolve()
        for folder in folders
        for line in INDEX_LINE.findall(text(folder / "index.md"))
    ]
    assert len(lines) == len(set(lines))
    pages = {page for folder in folders for page in folder.glob("*.md") if page.name != "index.md"}
    assert sorted(pages - set(lines)) == []


@pytest.mark.parametrize("room", ["compiler", "fused"])
def test_the_guide_to_the_kernel_has_each_of_its_files(room):
    _, rest = text("docs/explanation/kernel.md").split("## Two folders")
    named = re.findall(
        r"`(\w+\.py)`",
        re.search(rf"^\| `fastnn/{room}/` .*?\n\n", rest, re.MULTILINE | re.DOTALL)[0],
    )
    files = (
        file.name for file in (ROOT / "fastnn" / room).glob("*.py") if file.name != "__init__.py"
    )
    assert sorted(named) == sorted(files)


def test_the_page_of_the_tree_shows_the_package():
    assert tree.block() == tree.tree(), "python tests/support/tree.py --write renews it"


def missing_tests(named):
    """The tests, of pairs (file, function), that there are not."""
    return [
        pair
        for pair in sorted(set(named))
        if not re.search(rf"^def {pair[1]}\(", text(pair[0]), re.MULTILINE)
    ]


TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_promise_names_tests_that_exist():
    """docs/explanation/trust.md keeps its word."""
    items = re.split(r"^- ", text("docs/explanation/trust.md"), flags=re.MULTILINE)[1:]
    promises = [TEST.findall(item.split("\n\n")[0]) for item in items]
    assert len(promises) > 30
    assert all(promises), items[promises.index([]) if [] in promises else 0]
    assert missing_tests(pair for pairs in promises for pair in pairs) == []


def test_each_row_of_evidence_names_a_test_that_exists_or_a_command():
    """docs/explanation/evidence.md keeps its word, and so does what others promise, by links."""
    page = text("docs/explanation/evidence.md")
    rows = re.findall(r"^\| (?!promise|claim|--)(.*) \|$", page, re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    ours = [test for _, test, *numbers in cells if len(numbers) == 2]
    assert len(ours) > 30
    assert [
        test for test in ours if not TEST.search(test) and not re.search("`nox|`python", test)
    ] == []
    assert missing_tests(TEST.findall(page)) == []
    others = [row for row in cells if row[0].startswith(("Intel", "LightGBM", "PyTorch"))]
    assert len(others) == 3
    assert all("](https://" in row[2] for row in others)
