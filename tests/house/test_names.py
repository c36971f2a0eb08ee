"""The names that a user finds by tab, by ``help`` and by ``from fastnn import *``."""

import inspect
import pydoc

import pytest
from survival import python, run

import fastnn
from fastnn import ACTIVATIONS, LOSSES, OPTIMIZERS
from fastnn.schedules import SCHEDULES
from fastnn.training.stopping import STOP_REASONS

STAR = """
import sys
sys.modules |= {before}
import fastnn
print(*dir(fastnn))
from fastnn import *
print(Network.__name__, "MLPClassifier" in globals(), "testing" in globals(), "importlib" in globals())
print(*sorted({{"sklearn", "scipy", "matplotlib", "numba", "joblib", "rich"}} & {{*sys.modules}}))
[getattr(fastnn, name) for name in dir(fastnn)]
print(*dir(fastnn))
"""  # noqa: E501


def test_dir_shows_public_names_only_before_and_after_they_are_used():
    """And a star brings those with which scikit-learn would not come."""
    pytest.importorskip("sklearn")
    before, *with_star, after = python(STAR.format(before={}))
    assert before == after == " ".join(dir(fastnn))
    assert {"Network", "train", "workloads", "MLPClassifier"} <= set(before.split())
    internal = "Any TYPE_CHECKING annotations contextlib importlib os network"
    assert set(before.split()).isdisjoint(internal.split())
    assert with_star == ["Network False True False", ""]
    estimators = "MLPClassifier MLPRegressor TablePreparation TabularClassifier TabularRegressor"
    of_sklearn = {*estimators.split(), "register_onnx_converters"}
    assert set(dir(fastnn)) - set(fastnn.__all__) == of_sklearn


def test_what_modules_and_classes_hold_is_there_after_importing_the_package():
    names = ("testing.check_backend", "plotting.save", "workloads.load", "Progress.result")
    assert python("import fastnn\n" + "".join(f"fastnn.{name}\n" for name in names)) == []


def test_listing_names_imports_nothing():
    code = (
        "import fastnn, sys; dir(fastnn), fastnn.__all__; print({'numpy', 'fastnn.network'} & "
        "{*sys.modules})"
    )
    assert python(code) == ["set()"]


def test_without_scikit_learn_a_star_brings_the_same_and_the_estimators_say_what_to_install():
    assert python(STAR.format(before={"sklearn": None}))[1] == "Network False True False"
    told = run(
        "-c", "import sys; sys.modules['sklearn'] = None; from fastnn import MLPClassifier"
    ).stderr
    assert "\nImportError: the estimators need scikit-learn" in told
    assert told.endswith('python -m pip install "fastnn-numba[sklearn]"\n')


def test_each_name_has_one_home():
    """The stub is the list: what it imports is there, in the module that it names."""
    for name in dir(fastnn):
        thing = getattr(fastnn, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__module__.startswith(fastnn._homes()[name])


FORMULAS = [line.formula for table in (ACTIVATIONS, LOSSES) for line in table.values()]
REASONS = [f'"{reason}"' for reason in STOP_REASONS]
OF_FITS = [reason for reason in REASONS if reason != '"running"']
IN_HELP = {
    "Network": [*ACTIVATIONS, *LOSSES, *OPTIMIZERS, *SCHEDULES, *FORMULAS],
    "train": OPTIMIZERS,
    "TrainingResult": REASONS,
    "MLPClassifier": OF_FITS,
    "MLPRegressor": OF_FITS,
}


@pytest.mark.parametrize("name", IN_HELP)
def test_help_lists_what_there_is(name):
    told = pydoc.plain(pydoc.render_doc(getattr(fastnn, name)))
    assert [words for words in IN_HELP[name] if words not in told] == []
    assert "%(" not in told


def test_the_tables_in_help_are_made_when_they_are_read():
    code = (
        "import fastnn, sys; fastnn.Network((3, 1)); before = 'fastnn.optimizers' in sys.modules; "
    )
    assert python(code + "print(before, 'iRprop-' in fastnn.Network.__doc__)") == ["False True"]
