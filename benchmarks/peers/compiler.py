"""C code of this folder, compiled into a library of its own."""

import ctypes
import pathlib
import shutil
import subprocess
import tempfile

FOLDER = pathlib.Path(__file__).parent


def compiler() -> str:
    """The C compiler; ImportError where there is none."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not found:
        raise ImportError("no C compiler here")
    return found


def compiled(source: str, *flags: str) -> ctypes.CDLL:
    """The library that the compiler makes of a file with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "library.so")
        command = [compiler(), *flags, "-shared", "-fPIC", "-o", str(library), str(FOLDER / source), "-lm"]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(library))


def version() -> str:
    """What the compiler says it is."""
    output = subprocess.run([compiler(), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return output.splitlines()[0]
