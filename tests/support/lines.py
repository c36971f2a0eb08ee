"""Lines of code: those that hold neither documentation nor comments nor nothing; by room, with the number of files.

Run ``python tests/support/lines.py``, or with other folders: ``python tests/support/lines.py fastnn/compiler tests``.
"""

import ast
import io
import pathlib
import sys
import tokenize

PACKAGE = pathlib.Path(__file__).parents[2] / "fastnn"
CODE = tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING


def lines_of_code(text):
    """Lines of a file that hold code: a text that stands by itself, such as a docstring, is none."""
    tree, tokens = ast.parse(text), tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for t in tokens if t.type in CODE for line in range(t.start[0], t.end[0] + 1)}
    alone = (n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
    texts = [n for n in alone if isinstance(n.value.value, str)]
    return len(lines - {line for n in texts for line in range(n.lineno, n.end_lineno + 1)})


def by_room(folder):
    """{the room: [lines of code of each of its files]}"""
    rooms = {}
    for file in sorted(folder.rglob("*.py")):
        rooms.setdefault(file.parent, []).append(lines_of_code(file.read_text("utf-8")))
    return rooms


if __name__ == "__main__":
    for folder in [pathlib.Path(name) for name in sys.argv[1:]] or [PACKAGE]:
        rooms = by_room(folder)
        rows = [(room.relative_to(folder.parent), len(files), sum(files), max(files)) for room, files in rooms.items()]
        rows.append(("all", sum(r[1] for r in rows), sum(r[2] for r in rows), max(r[3] for r in rows)))
        for room, n_files, n_lines, longest in [("room", "files", "lines", "longest"), *rows]:
            sys.stdout.write(f"{room!s:24} {n_files!s:>6} {n_lines!s:>8} {longest!s:>8}\n")
