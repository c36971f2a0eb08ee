"""Sphinx's configuration of the site; ``nox -s docs`` builds it into ``docs/_build/html``."""

import os
import pathlib
import sys
import warnings

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

import gallery_pictures  # noqa: E402

import fastnn  # noqa: E402

project = "fastnn"
author = "the fastnn developers"
project_copyright = author
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.programoutput",
    "inherited_members",
    "links_out_of_docs",
    "names",
]
exclude_patterns = ["_build", "**/README.md"]
templates_path = ["_templates"]
nitpicky = True
# of scikit-learn's guide, in the docstring of `set_output`
nitpick_ignore = [("std:ref", "df_output_transform")]
# sphinx_gallery_conf holds a class, which cannot be pickled; nothing is lost
suppress_warnings = ["config.cache"]

# ---------------------------------------------------------------------------------------- reference

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say types, with shapes and units
autodoc_member_order = "bysource"
toc_object_entries_show_parents = (
    "hide"  # `fit()`, not `MLPClassifier.fit()`, in the list at the right
)
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {
    **{name: f"fastnn.{name}" for name in dir(fastnn)},
    "array-like": ":term:`array-like <numpy:array_like>`",
    "callable": ":py:func:`callable`",
    "data frame": "pandas.DataFrame",
    "dtype": ":py:class:`numpy.dtype`",
    "Estimator": "sklearn.base.BaseEstimator",
    "iterable": ":term:`python:iterable`",
    "ndarray": "numpy.ndarray",
    "RandomState": "numpy.random.RandomState",
    "sequence": ":term:`python:sequence`",
}
numpydoc_xref_ignore = "all"  # words of prose are no names
default_role = "name"  # of `names`: a link where the name is one of the reference, code elsewhere

# ------------------------------------------------------------------------------- other sites' names

intersphinx_mapping = {
    name: (address, str(HERE / "inventories" / f"{name}.inv"))
    for name, address in {
        "joblib": "https://joblib.readthedocs.io/en/latest/",
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "python": "https://docs.python.org/3/",
        "sklearn": "https://scikit-learn.org/stable/",
    }.items()
}

# ------------------------------------------------------------------------------------------ command

programoutput_prompt_template = "$ {command}\n{output}"
os.environ["COLUMNS"] = "96"

# ----------------------------------------------------------------------------------------- Markdown

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# ------------------------------------------------------------------------------------------ gallery

EXAMPLES = (  # in the order of the page
    "error_curve",
    "decision_boundaries",
    "digits",
    "early_stopping",
    "bayesian_regularization",
    "uncertainty",
    "intervals",
    "thousand_networks",
    "seeds",
    "learning_curves",
    "schedules",
    "optimizers",
    "population_based_training",
    "pendulum",
    "export_to_c",
    "wrong_kernel",
    "crossover",
)

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples" / "gallery")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "within_subsection_order": lambda file: [f"plot_{name}.py" for name in EXAMPLES].index(file),
    "backreferences_dir": "reference/examples",
    "doc_module": ("fastnn",),
    "plot_gallery": "True",
    "image_scrapers": (gallery_pictures.pictures,),
    "reset_modules": (gallery_pictures.look,),
    "show_signature": False,
    "download_all_examples": False,
}
warnings.filterwarnings("ignore", message=r".*FigureCanvasAgg is non-interactive")

# --------------------------------------------------------------------------------------------- HTML

html_theme = "pydata_sphinx_theme"
html_title = "fastnn"
html_static_path = [
    "_static",
    *(["_build/mathjax"] if (HERE / "_build" / "mathjax").is_dir() else []),
]
html_css_files = ["site.css"]
mathjax_path = "tex-svg-full.js"  # one file, fetched by `nox -s docs`; the fonts are in it
html_show_sourcelink = False
html_favicon = html_logo = "_static/logo.svg"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {
    "logo": {"text": "fastnn", "alt_text": "fastnn"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
}
html_sidebars = {"index": []}
