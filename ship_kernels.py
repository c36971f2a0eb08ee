"""Compile the kernels that a wheel brings along: ``python ship_kernels.py MACHINE FOLDER``; needs
ziglang.

For each level of processors one shared library with all entry points for both dtypes, and the
manifest that `shipped` reads. A level is compiled in a process of its own, by Numba told to compile
for that processor; for arm64, LLVM turns the same intermediate code into code for arm64, so an
x86-64 machine makes both wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

from fastnn import __version__
from fastnn.compiler import shipped
from fastnn.compiler.codegen import compiled_entry, letters
from fastnn.compiler.program import ENTRIES, sources_digest, symbol
from fastnn.fused.in_lanes import MOST_DOUBLE


class Level(NamedTuple):
    """A level of processors."""

    name: str
    cpu: str
    """The processor that LLVM compiles for."""
    features: str
    """Its features in LLVM's words."""
    flags: str
    """The features that a CPU must have, by their names in Linux' /proc/cpuinfo."""


def _x86_64_levels():
    """Yield the levels v2, v3 and v4 of x86-64, as its psABI defines them."""
    words = {
        "pni": "sse3",
        "lahf_lm": "sahf",
        "sse4_1": "sse4.1",
        "sse4_2": "sse4.2",
        "abm": "lzcnt",
        "bmi1": "bmi",
    }
    flags = []
    for name, more in (
        ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
        ("x86-64-v3", "abm avx avx2 bmi1 bmi2 f16c fma movbe"),
        ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
    ):
        flags += more.split()
        yield Level(
            name, name, ",".join(f"+{words.get(flag, flag)}" for flag in flags), " ".join(flags)
        )


LEVELS = {
    "x86_64": [*_x86_64_levels()][::-1],
    "aarch64": [Level("armv8-a", "cortex-a72", "+fp-armv8,+neon,-crc,-aes,-sha2", "fp asimd")],
}
"""{machine, as Python calls it: its levels, best first}"""

TRIPLES = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
GLIBC = "2.17"
"""The oldest C library that the wheel runs on: what manylinux_2_17 promises."""
SHARED = "fastnn_of_all_"
"""How the names of functions begin that several entry points have."""
PAUSE = {
    "call void @llvm.x86.sse2.pause()": "call void @llvm.aarch64.isb(i32 15)",
    "@llvm.readcyclecounter(": "@llvm.readsteadycounter(",  # that of arm64 stands still
    "declare void @llvm.x86.sse2.pause()": "declare void @llvm.aarch64.isb(i32)",
}
"""The instructions that code for x86-64 names and arm64 has by other names, see
`shared_numbers.relax`."""


def with_one_fma(text: str) -> str:
    """Make the fma of each type of vector one function; without the instruction it is a call of C
    for each number.
    """
    for n, kind, of in sorted(
        set(re.findall(r"<(\d+) x (float|double)> @llvm\.fma\.(v\w+)\(", text))
    ):
        vector = f"<{n} x {kind}>"
        intrinsic = f"@llvm.fma.{of}({vector} %a, {vector} %x, {vector} %c)"
        text = re.sub(rf"(call .*)@llvm\.fma\.{of}\(", rf"\1@fma.{of}(", text)
        body = f"{{\n  %y = call {vector} {intrinsic}\n  ret {vector} %y\n}}\n"
        text += f"\ndefine internal {vector} {intrinsic.replace('llvm.', '')} noinline {body}"
    return text


FUNCTION = re.compile(r'^define internal (.*?)@("[^"]+"|[\w.]+)(\(.*) \{\n((?:.*\n)*?)\}$', re.M)
CALLED = re.compile(r'@("[^"]+"|[\w.]+)')
NOTES = re.compile(r", ![\w.]+ !\d+|#\d+|!\d+")
"""What a module numbers: notes on instructions, and groups of attributes."""


def with_shared_functions(text: str) -> str:
    """Name functions such as `activate`, which most entry points have a copy of, by a hash of their
    code, so that the linker keeps one of those that are the same.

    These are functions that call none but LLVM's own and functions that are shared already.
    """
    for kind, name, arguments, body in FUNCTION.findall(text):
        called = CALLED.findall(body)
        if not all(other.startswith(("llvm.", SHARED)) for other in called):
            continue
        code = NOTES.sub("", kind + arguments + body)
        shared = SHARED + hashlib.sha256(code.encode()).hexdigest()[:16]
        before = f"define internal {kind}@{name}{arguments} {{"
        after = f"define linkonce_odr hidden {kind}@{name}{arguments} comdat {{"
        text = text.replace(before, after).replace(f"@{name}(", f"@{shared}(")
        text += f"\n${shared} = comdat any\n"
    return text


def compile_level(machine: str, level: Level, folder: pathlib.Path) -> None:
    """Compile all entry points into object files, in a process whose Numba compiles for this level
    or for x86-64-v3.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    options = {
        "cpu": level.cpu,
        "features": level.features,
        "opt": 3,
        "reloc": "pic",
        "codemodel": "default",
    }
    target = llvm.Target.from_triple(TRIPLES[machine]).create_target_machine(**options)
    signatures = {}
    for name, dtypes in ENTRIES.items():
        if name == "train_in_lanes" and MOST_DOUBLE == 0:
            continue  # at this level no networks train side by side
        for dtype in map(np.dtype, dtypes):
            overload, signature = compiled_entry(name, dtype)
            text = overload.library.get_llvm_str()
            if machine == "aarch64":
                for ours, theirs in PAUSE.items():
                    text = text.replace(ours, theirs)
            elif "+fma" not in level.features:
                text = with_one_fma(text)
            # twice: the fma of vectors, and then what calls nothing else
            text = with_shared_functions(with_shared_functions(text))
            module = llvm.parse_assembly(text)
            module.triple, module.data_layout = TRIPLES[machine], str(target.target_data)
            module.get_function(overload.fndesc.llvm_func_name).name = symbol(name, dtype.name)
            for thing in (*module.functions, *module.global_variables):
                if not (thing.is_declaration or thing.name.startswith("fastnn_")):
                    # each object has its own: names of Numba's may be the same in two
                    thing.linkage = "internal"
            folder.joinpath(f"{name}.{dtype.name}.o").write_bytes(target.emit_object(module))
            signatures[f"{name}.{dtype.name}"] = "".join(letters(signature))
    folder.joinpath("signatures.json").write_text(json.dumps(signatures), "utf-8")


def link(machine: str, objects: list[pathlib.Path], library: pathlib.Path) -> None:
    """Make a shared library of object files, which needs nothing but the C library."""
    target = f"{machine}-linux-gnu.{GLIBC}"
    options = (
        "-shared",
        "-nostdlib",
        "-Wl,-s",
        "-Wl,--gc-sections",
        "-Wl,-z,noexecstack",
        "-lm",
        "-lc",
    )
    command = (
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        target,
        "-o",
        library,
        *sorted(objects),
        *options,
    )
    with tempfile.TemporaryDirectory() as cache:
        variables = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        subprocess.run([str(part) for part in command], check=True, env={**os.environ, **variables})


def ship(machine: str, folder: pathlib.Path) -> None:
    """Compile and link all levels of a machine, and write the manifest."""
    if platform.machine() != "x86_64":
        sys.exit(f"the kernels of wheels are compiled on x86-64, and this is {platform.machine()}")
    folder.mkdir(parents=True, exist_ok=True)
    digest = sources_digest()
    levels = []
    for level in LEVELS[machine]:
        ours = level if machine == "x86_64" else LEVELS["x86_64"][1]
        variables = {"NUMBA_CPU_NAME": ours.cpu, "NUMBA_CPU_FEATURES": ours.features}
        with tempfile.TemporaryDirectory() as objects:
            command = (sys.executable, __file__, machine, objects, "--level", level.name)
            subprocess.run(command, check=True, env={**os.environ, **variables})
            found = pathlib.Path(objects)
            signatures = json.loads(found.joinpath("signatures.json").read_text("utf-8"))
            library = folder / f"{level.name}.so"
            link(machine, [*found.glob("*.o")], library)
        code = library.read_bytes()
        facts = {
            "file": library.name,
            "bytes": len(code),
            "sha256": hashlib.sha256(code).hexdigest(),
        }
        facts["signatures"] = signatures
        levels.append({**level._asdict(), "flags": level.flags.split(), **facts})
    if digest != sources_digest():
        sys.exit("the sources were edited while they were compiled")
    versions = {"fastnn": __version__, "numba": numba.__version__, "llvmlite": llvmlite.__version__}
    versions |= {"LLVM": ".".join(map(str, llvm.llvm_version_info)), "numpy": np.__version__}
    contents = {
        "versions": versions,
        "system": "linux",
        "machine": machine,
        "glibc": GLIBC,
        "sources": digest,
        "levels": levels,
    }
    manifest = {"sha256": shipped.checksum(contents), "contents": contents}
    bill = bill_of_materials(contents, importlib.metadata.version("ziglang"))
    for name, value in ((shipped.MANIFEST, manifest), (BILL, bill)):
        folder.joinpath(name).write_text(json.dumps(value, indent=1) + "\n", "utf-8")


BILL = "fastnn-kernels.cdx.json"
"""The file that `bill_of_materials` becomes, in the folder and in the wheel."""


def bill_of_materials(contents: dict[str, Any], linker: str) -> dict[str, Any]:
    """Return what the libraries are and what made them, in the words of CycloneDX 1.6.

    The wheel has it where PEP 770 says. Nothing of others is in it: LLVM, by Numba, makes the
    machine code, and zig, whose version is `linker`, links it.
    """
    versions = contents["versions"]
    makers = {name: version for name, version in versions.items() if name != "fastnn"}
    makers["ziglang"] = linker
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "name": "fastnn-numba",
                "version": versions["fastnn"],
                "purl": f"pkg:pypi/fastnn-numba@{versions['fastnn']}",
                "licenses": [{"license": {"id": "BSD-3-Clause"}}],
            },
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version}
                    for name, version in makers.items()
                ]
            },
        },
        "components": [
            {
                "type": "file",
                "name": f"fastnn/kernels/{level['file']}",
                "hashes": [{"alg": "SHA-256", "content": level["sha256"]}],
            }
            for level in contents["levels"]
        ],
    }


def main() -> None:
    """Compile the kernels of a machine; with ``--level`` the object files of one level."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machine", choices=LEVELS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--level", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.level is None:
        ship(options.machine, options.folder)
        return
    (level,) = (level for level in LEVELS[options.machine] if level.name == options.level)
    compile_level(options.machine, level, options.folder)


if __name__ == "__main__":
    main()
