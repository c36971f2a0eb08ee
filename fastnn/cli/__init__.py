"""The ``fastnn`` command: an error that the user can correct is one line on stderr, not a
traceback.

The commands themselves are in `fastnn.cli.app`; they need the extra ``cli``, this module does not.
"""

import io
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments in place of those of the process.

    Raises
    ------
    SystemExit
        With 0 if all went well; 1 if something is slower, a check fails or kernels could not be
        kept; 2 if the command could not be carried out, by wrong usage for example, with an
        explanation on stderr.
    """
    from fastnn.errors import FastnnError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # ASCII has no µ, and a number is worth more than its unit
            stream.reconfigure(errors="replace")
    try:
        from fastnn.cli.app import app

        app(args=None if arguments is None else list(arguments), prog_name="fastnn")
    except ImportError as error:
        _explain_import(error)
    except (FastnnError, OSError) as error:
        _fail(str(error) or type(error).__name__)


def _explain_import(error: ImportError) -> NoReturn:
    """Exit with the name of the extra to install; raise the error again where no extra has the
    package.
    """
    try:
        from fastnn.checking.hints import EXTRAS, missing_package
    except ImportError as foreign:  # the package around this one is another project's
        _fail(str(foreign))
    # explained where it was found
    if isinstance(error.__cause__, ImportError) or error.name == "fastnn":
        _fail(str(error))
    package = (error.name or "").partition(".")[0]
    if package in EXTRAS:
        _fail(str(missing_package(package)))
    raise error


def _fail(message: str) -> NoReturn:
    print(f"fastnn: {message}", file=sys.stderr)  # noqa: T201  there may be no rich
    raise SystemExit(2)
