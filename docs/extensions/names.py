"""Single backquotes of docstrings: a link where the name is one of the reference, code elsewhere.

Names that are written with a role (``:class:``; in Markdown ``{py:class}``) are strict: an unknown one is a warning.
"""

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.nodes import make_refnode

MODULES = ("fastnn", "fastnn.testing")


def name(_role, rawtext, text, _line, inliner, _options=None, _content=()):
    """Make a reference that may turn out to lead nowhere."""
    env = inliner.document.settings.env
    options = {
        "refdomain": "py",
        "reftype": "obj",
        "reftarget": text.strip().removesuffix("()"),
        "refdoc": env.docname,
        "py:module": env.ref_context.get("py:module"),
        "py:class": env.ref_context.get("py:class"),
        "may_lead_nowhere": True,
    }
    return [pending_xref(rawtext, nodes.literal(rawtext, text, classes=["xref", "py"]), **options)], []


def public(app, env, node, content):
    """Lead to a public name that is written without its module; else leave the code alone, without a warning."""
    if not node.get("may_lead_nowhere"):
        return None
    objects = env.get_domain("py").objects
    for module in MODULES:
        if (full := f"{module}.{node['reftarget']}") in objects:
            found = objects[full]
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, full)
    return content


def setup(app):
    app.add_role("name", name)
    app.connect("missing-reference", public, priority=100)  # before the search of other sites
    return {"parallel_read_safe": True, "parallel_write_safe": True}
