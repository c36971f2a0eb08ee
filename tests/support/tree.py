"""Write the tree of the package into its page of the documentation, from the first line of each
module.

Run it after a module came, went or changed its first line: ``python tests/support/tree.py
--write``.
"""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "development" / "tree.md"
BEGIN = "<!-- tree: begin -->\n"
END = "<!-- tree: end -->"


def first_line(module):
    """The first sentence of a module's docstring, or its first line if that is shorter."""
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    return docstring.splitlines()[0].split(". ")[0].rstrip(".").replace("``", "`")


def entries(folder, depth=1):
    """(depth, name, line) of a package's modules, and then of the packages in it."""
    for module in sorted(folder.glob("*.py")):
        if module.name != "__init__.py":
            yield depth, module.name, first_line(module)
    for package in sorted(file.parent for file in folder.glob("*/__init__.py")):
        yield depth, f"{package.name}/", first_line(package / "__init__.py")
        yield from entries(package, depth + 1)


def tree():
    lines = [(0, "fastnn/", first_line(ROOT / "fastnn" / "__init__.py")), *entries(ROOT / "fastnn")]
    indented = [("    " * depth + name, line) for depth, name, line in lines]
    width = max(len(name) for name, _ in indented)
    return "```text\n" + "".join(f"{name:{width}}  {line}\n" for name, line in indented) + "```\n"


def block():
    """The text between the marks of the page now."""
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":  # with --write
    PAGE.write_text(
        PAGE.read_text("utf-8").replace(BEGIN + block() + END, BEGIN + tree() + END), "utf-8"
    )
