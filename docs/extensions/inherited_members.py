"""Inherited members on a class' page: behind its own, in the order of their sources, where autodoc
sorts by names.
"""

import inspect

from sphinx.pycode import ModuleAnalyzer

import fastnn


def order_of(module):
    """Return the order of a module's definitions, {dotted name: place}: autodoc sorts by this very
    dictionary.
    """
    analyzer = ModuleAnalyzer.for_module(module)
    analyzer.analyze()
    return analyzer.tagorder


def put_in_order(kind):
    """Give the members that a class inherits from classes of fastnn places in the order of its own
    module.
    """
    places = order_of(kind.__module__)
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("fastnn."):
            theirs = order_of(base.__module__)
            prefix = f"{base.__qualname__}."
            inherited = [name.removeprefix(prefix) for name in theirs if name.startswith(prefix)]
            for name in sorted(inherited, key=lambda name: theirs[prefix + name]):
                places.setdefault(f"{kind.__qualname__}.{name}", len(places))


def put_all_in_order(_app):
    """Do so for all public classes, before the first page is read."""
    for name in dir(fastnn):
        if inspect.isclass(kind := getattr(fastnn, name)):
            put_in_order(kind)


def setup(app):
    app.connect("builder-inited", put_all_in_order)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
