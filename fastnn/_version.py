"""The version of the package, written here only; pyproject.toml and `fastnn.__version__` read it from here."""

__version__ = "0.1.0"
