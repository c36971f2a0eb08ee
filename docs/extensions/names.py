"""Single backquotes of docstrings and pages: a link where the name is one of the reference, code
elsewhere.

In a Markdown page the first mention in a section is a link, calls such as `Stop(validation=0.2)`
included. Names that are written with a role (``:class:``; in Markdown ``{py:class}``) are strict:
an unknown one is a warning.
"""

import pathlib
import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.nodes import make_refnode

MODULES = ("fastnn", "fastnn.testing")
NAME = re.compile(r"(?:fastnn\.)?([A-Za-z_][\w.]*)(?:\(.*\))?")
AMBIGUOUS = {"predict", "load", "save"}
"""Names of methods too: in a page they are no link unless ``fastnn.`` stands before them."""


def reference(env, target, content):
    """Make a reference that may turn out to lead nowhere: then the content stays as it is."""
    options = {
        "refdomain": "py",
        "reftype": "obj",
        "reftarget": target,
        "refdoc": env.docname,
        "py:module": env.ref_context.get("py:module"),
        "py:class": env.ref_context.get("py:class"),
        "may_lead_nowhere": True,
    }
    return pending_xref("", content, **options)


def name(_role, rawtext, text, _line, inliner, _options=None, _content=()):
    """Return the reference that single backquotes of a docstring make."""
    content = nodes.literal(rawtext, text, classes=["xref", "py"])
    return [reference(inliner.document.settings.env, text.strip().removesuffix("()"), content)], []


def in_pages(app, doctree):
    """Make references of the names in the sections of a Markdown page."""
    env = app.env
    if pathlib.Path(env.doc2path(env.docname)).suffix != ".md":
        return
    seen = set()
    for code in list(doctree.findall(nodes.literal)):
        found = NAME.fullmatch(code.astext())
        # a heading, or a link already
        if not found or not isinstance(code.parent, nodes.paragraph):
            continue
        if found[1] in AMBIGUOUS and not found[0].startswith("fastnn."):
            continue
        section = code.parent
        while section.parent is not None and not isinstance(section, nodes.section):
            section = section.parent
        if (id(section), found[1]) not in seen:
            seen.add((id(section), found[1]))
            code.replace_self(reference(env, found[1], code.deepcopy()))


def public(app, env, node, content):
    """Lead to a public name that is written without its module; else leave the code alone, without
    a warning.
    """
    if not node.get("may_lead_nowhere"):
        return None
    objects = env.get_domain("py").objects
    for module in MODULES:
        if (full := f"{module}.{node['reftarget']}") in objects:
            found = objects[full]
            return make_refnode(
                app.builder, node["refdoc"], found.docname, found.node_id, content, full
            )
    return content


def setup(app):
    app.add_role("name", name)
    app.connect("doctree-read", in_pages)
    app.connect("missing-reference", public, priority=100)  # before the search of other sites
    return {"parallel_read_safe": True, "parallel_write_safe": True}
