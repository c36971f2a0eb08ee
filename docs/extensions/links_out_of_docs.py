"""Links of Markdown pages to files outside ``docs/``, and of docstrings to pages, written as they
work in a repository.

A page that includes such a file (``contributing.md`` includes ``CONTRIBUTING.md``) stands in its
place. A gallery example leads to its page. Any other file leads to the repository where the build
knows its address (on GitHub), and is a download where not. A page that a docstring names,
``docs/howto/export.md``, is a link.
"""

import os
import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1]
ROOT = DOCS.parent
LINK = re.compile(r"\]\((?![a-z]+:|#|<)([^)#\s]+)(#[^)\s]*)?\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)$", re.MULTILINE)
PAGE = re.compile(r"(?<!`)\bdocs/((?:tutorials|howto|explanation)/[\w-]+)\.md")
REPOSITORY = os.environ.get("GITHUB_REPOSITORY")  # "owner/name", in a workflow


def standing_in():
    """Return {file outside of docs: the page that includes it}."""
    pages = (page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
    found = ((page, file) for page in pages for file in INCLUDE.findall(page.read_text("utf-8")))
    return {(page.parent / file).resolve(): page for page, file in found}


def rewritten(text, file, page, pages):
    """The text of a file that is shown on a page, with its links as that page has to have them."""

    def link(match):
        target = (file.parent / match[1]).resolve()
        anchor = match[2] or ""
        if target.is_relative_to(ROOT / "examples" / "gallery"):
            target = DOCS / "gallery" / f"{target.stem}.rst"
        elif not target.exists():
            return match[0]  # code that looks like a link, or a link that the build will warn of
        target = pages.get(target, target)
        if not target.is_relative_to(DOCS) and REPOSITORY:
            kind = "tree" if target.is_dir() else "blob"
            return f"](https://github.com/{REPOSITORY}/{kind}/main/{target.relative_to(ROOT).as_posix()}{anchor})"
        if target.is_dir():
            target /= "__init__.py"  # a folder cannot be downloaded
        return f"]({pathlib.PurePath(os.path.relpath(target, page.parent)).as_posix()}{anchor})"

    return LINK.sub(link, text)


def on_a_page(app, docname, source):
    """Rewrite the links of a page."""
    page = pathlib.Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        source[0] = rewritten(source[0], page, page, standing_in())


def in_an_included_file(app, path, _parent, source):
    """Rewrite the links of a file that a page includes."""
    file = pathlib.Path(app.srcdir, path).resolve()
    if file.suffix == ".md":
        source[0] = rewritten(
            source[0], file, pathlib.Path(app.env.doc2path(app.env.docname)), standing_in()
        )


def in_a_docstring(_app, _what, _name, _thing, _options, lines):
    """Make links of the pages that a docstring names."""
    lines[:] = [PAGE.sub(r":doc:`/\1`", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", in_a_docstring)
    app.connect("source-read", on_a_page)
    app.connect("include-read", in_an_included_file)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
