"""The docstrings of the public names: complete, in numpydoc's form, each with an example that runs
by itself."""

import dataclasses
import doctest
import functools
import importlib
import inspect
import operator
import re

import numpy as np
import pytest
from pages import public_names

import fastnn
from fastnn import backends
from fastnn.checking import arguments

validation = pytest.importorskip("numpydoc.validate")
docscrape = pytest.importorskip("numpydoc.docscrape")
for package in ("sklearn", "rich", "matplotlib"):
    pytest.importorskip(package)

EXCUSED = {"SA", "ES", "RT02", "PR06", "PR08", "GL01", "GL02", "SS06"}
"""numpydoc's codes, or the beginnings of them, that ask for what is not our way: "See Also", a long
text, a summary in one line and so on."""
OF_SCIKIT_LEARN = re.compile(r"set_\w+_request|set_params|get_params|get_metadata_routing")


def methods(kind):
    """The public methods, properties and the like of a class that fastnn defines, where the most
    basic class does."""
    for name in dir(kind):
        owners = [
            base
            for base in kind.__mro__
            if name in vars(base) and base.__module__.startswith("fastnn.")
        ]
        if name.startswith("_") or OF_SCIKIT_LEARN.fullmatch(name) or not owners:
            continue
        value = vars(owners[-1])[name]
        is_field = type(value).__name__ in ("_tuplegetter", "member_descriptor", "OnRequest")
        if not is_field and (inspect.isroutine(value) or hasattr(type(value), "__get__")):
            yield name, owners[-1]


def public():
    """{the name by which a user finds it: the dotted name of where it is defined}"""
    homes = {}
    for name in public_names():
        thing = operator.attrgetter(name)(fastnn)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        homes.setdefault(f"{thing.__module__}.{thing.__qualname__}", name)
        if inspect.isclass(thing):
            for method, owner in methods(thing):
                homes.setdefault(
                    f"{owner.__module__}.{owner.__qualname__}.{method}", f"{name}.{method}"
                )
    return {name: home for home, name in homes.items()}


PUBLIC = public()


def test_all_public_names_are_looked_at():
    """Functions, classes, methods and properties."""
    some = "Network.pack train testing.check_backend plotting.save workloads.load History.to_dict"
    assert set(some.split()) <= set(PUBLIC)
    assert len(PUBLIC) > 180


@functools.cache
def validated(home):
    return validation.Validator(docscrape.get_doc_object(validation.Validator._load_obj(home)))


def is_constructor_documented(doc):
    """Whether a class documents what makes an object: as parameters or, where fastnn makes it, as
    attributes."""
    named = [one.name for part in ("Parameters", "Attributes") for one in doc.doc[part]]
    described = {name.strip() for names in named for name in names.split(",")}
    return not {name for name in doc.signature_parameters if not name.startswith("_")} - described


def violations(home):
    """What numpydoc finds, of the codes above."""
    doc = validated(home)
    found = []
    is_class = inspect.isclass(doc.obj)
    for code, text in validation.validate(home)["errors"]:
        excused = code in EXCUSED or code[:2] in EXCUSED
        if is_class:
            is_exception = issubclass(doc.obj, BaseException)  # made by fastnn, not by its user
            is_protocol = getattr(doc.obj, "_is_protocol", False)  # of which there are no objects
            excused |= code == "PR01" and (
                is_exception or is_protocol or is_constructor_documented(doc)
            )
        elif not callable(doc.obj):  # a property: the example of its class may show it
            excused |= code == "EX01"
        if not excused:
            found.append(f"{code}: {text}")
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_it_is_documented_with_the_shapes_of_its_arrays(name):
    assert violations(PUBLIC[name]) == []
    doc = validated(PUBLIC[name])
    described = [
        one for part in ("Parameters", "Returns", "Yields", "Attributes") for one in doc.doc[part]
    ]
    arrays = [f"{one.name}: {one.type}" for one in described if "array" in one.type]
    assert [said for said in arrays if not re.search(r"\(|shape", said)] == [], "without a shape"


CHECKED_TOGETHER = {"sizes", "activation", "output", "loss", "bias_init", "formula"}
"""Fields of networks and of functions as losses, which are checked with one another."""


def is_settings(name):
    """Whether this is a class of options, such as `Stop`, losses and optimizers."""
    thing = operator.attrgetter(name)(fastnn)
    return inspect.isclass(thing) and issubclass(thing, arguments.CheckedFields)


@pytest.mark.parametrize("name", list(filter(is_settings, PUBLIC)))
def test_each_field_of_settings_is_documented_and_checked(name):
    """numpydoc takes a default, which a class has as an attribute, for a description."""
    doc = validated(PUBLIC[name])
    written = docscrape.NumpyDocString(doc.raw_doc)
    names = ", ".join(one.name for part in ("Parameters", "Attributes") for one in written[part])
    described = names.split(", ")
    fields = {field.name for field in dataclasses.fields(doc.obj) if field.init}
    assert fields.difference(described) == set()
    assert fields - arguments._checks_of(doc.obj).keys() <= CHECKED_TOGETHER


@pytest.mark.parametrize("name", PUBLIC)
def test_its_example_runs_by_itself(name, tmp_path, monkeypatch):
    text = validated(PUBLIC[name]).raw_doc
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    if not examples.examples:
        return  # of a property; the test above asks for those of the others
    monkeypatch.chdir(tmp_path)
    for registry in ("_factories", "_made"):  # to which an example may add
        monkeypatch.setattr(backends, registry, dict(getattr(backends, registry)))
    said = []
    with np.printoptions():
        failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert not failed, "".join(said)
    assert "from fastnn" in text or "import fastnn" in text


@pytest.mark.parametrize(
    "name",
    ["checking.display", "cores", "measuring.work", "measuring.workloads", "training.callbacks"],
)
def test_examples_of_what_is_not_public_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, attempted = doctest.testmod(importlib.import_module(f"fastnn.{name}"))
    assert attempted
    assert not failed
