"""Text as a terminal shows it, and packages that look as if they were not installed."""

import re
import sys


def uninstall(monkeypatch, package):
    """Make a package look as if it were not installed."""
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


def without_colors(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
