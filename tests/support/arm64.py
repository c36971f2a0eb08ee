"""Train the stored trainings on an emulated arm64 and compare with hashes.json: `python
tests/support/arm64.py FOLDER`.

With ``--wheel FILE`` by the kernels of that wheel, without Numba, on a processor of arm64's first
version; else by those that Numba compiles there. For Debian and its kin, as root, with ``apt-get
install debootstrap qemu-user-static``. FOLDER keeps a small arm64 Debian with its Python and the
wheels, some 600 MB, for the next time.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

# a release of Debian and its Python
SUITE = "trixie"
PYTHON = "3.13"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # debootstrap is the administrator's
HERE = pathlib.Path(__file__).resolve().parent


def tool(*names):
    """The path of the first of these programs that there is."""
    found = filter(None, (shutil.which(name, path=SEARCHED) for name in names))
    return next(found, None) or sys.exit(
        f"{names[0]} is missing: apt-get install debootstrap qemu-user-static"
    )


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


def make_root(root):
    """An arm64 Debian with Python, its packages unpacked but not configured: nothing of it runs but
    Python."""
    if root.joinpath("complete").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    include = "--include=python3,libgomp1"
    with root.with_name("debootstrap.log").open("w") as log:
        command = tool("debootstrap"), "--foreign", "--arch=arm64", "--variant=minbase"
        run(*command, include, SUITE, root, stdout=log, stderr=log)
    for package in sorted(root.glob("var/cache/apt/archives/*.deb")):
        run("dpkg", "-x", package, root)
    root.joinpath("complete").touch()


def make_site(site, requirements):
    """The wheels of what fastnn needs, unpacked."""
    shutil.rmtree(site, ignore_errors=True)
    wheels = site / "wheels"
    platforms = [f"--platform={name}" for name in PLATFORMS]
    pip = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        f"--python-version={PYTHON}",
    )
    run(*pip, *platforms, "--implementation=cp", "--dest", wheels, *requirements)
    for wheel in wheels.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)
        wheel.unlink()


def copied(folder):
    """A copy of what compares the hashes, beside which there is no source tree: it imports what is
    installed."""
    shutil.rmtree(folder, ignore_errors=True)
    support = folder / "support"
    shutil.copytree(HERE / "data", support / "data")
    for name in ("same_bits.py", "machine_code.py", "hashes.json"):
        shutil.copy(HERE / name, support)
    return support


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("requirements", nargs="*", default=["numpy", "numba"])
    parser.add_argument("--wheel", type=pathlib.Path)
    options = parser.parse_args()
    folder = options.folder.resolve()
    root = folder / "root"
    site = folder / f"site{'-of-wheel' * bool(options.wheel)}"
    cache = folder / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    emulator = tool("qemu-aarch64-static", "qemu-aarch64")
    make_root(root)
    make_site(site, options.requirements)
    script = HERE / "same_bits.py"
    if options.wheel:
        zipfile.ZipFile(options.wheel).extractall(site)
        script = copied(folder / "tests") / script.name
    shutil.rmtree(cache, ignore_errors=True)
    environment = {"PYTHONPATH": site, "PYTHONDONTWRITEBYTECODE": 1, "FASTNN_CACHE_DIR": cache}
    settings = [part for name, value in environment.items() for part in ("-E", f"{name}={value}")]
    python = root / f"usr/bin/python{PYTHON}"
    oldest, strictly = (("-cpu", "cortex-a53"), ("-W", "error")) if options.wheel else ((), ())
    run(emulator, *oldest, "-L", root, *settings, python, *strictly, script, "--compare")
    sys.stderr.write("arm64 gives the hashes of hashes.json\n")


if __name__ == "__main__":
    main()
