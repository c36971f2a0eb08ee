"""The version, in the one place where it stands; pyproject.toml and `fastnn.__version__` read it from here."""

__version__ = "0.1.0"
