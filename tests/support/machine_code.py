"""What a kernel was compiled to: vector registers, and functions of the C library that it calls."""

import re
import struct

import numpy as np

_NAMES = """
acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp10 exp2 expm1 fma fmod hypot ldexp lgamma log log10
log1p log2 pow remainder round sin sinh sqrt tan tanh tgamma
"""  # noqa: E501
LIBM = {name + suffix for name in _NAMES.split() for suffix in ("", "f")}
MEMORY = {"memset", "memcpy", "memmove"}
"""The functions of the C library that any kernel may call."""


def libm_symbols(assembly):
    """The functions of C's mathematical library that some assembly refers to."""
    return sorted(LIBM & set(re.findall(r"[\w.]+", re.sub(r"[#;].*|//.*", "", assembly))))


def vector_registers(assembly):
    """Count each kind of vector register: {"zmm": 512 bits, "ymm": 256, "xmm": 128; arm64's is
    "v"}"""
    counts = {kind: len(re.findall(rf"%{kind}\d", assembly)) for kind in ("xmm", "ymm", "zmm")}
    return {**counts, "v": len(re.findall(r"\bv\d+\.[248]", assembly))}


def compiled_code(dtypes):
    """Describe the code that this process' Numba makes of the kernel, whether or not it ran from
    the disk cache."""
    from fastnn.compiler import codegen, tracing

    _, cpu, features = tracing.cpu_target.target_context.codegen().magic_tuple()
    libraries = [
        codegen.compiled_entry("train_steps", np.dtype(dtype))[0].library for dtype in dtypes
    ]
    assembly = "\n".join(library.get_asm_str() for library in libraries)
    return {
        "cpu": cpu,
        "features": len(features.split(",")) if features else 0,
        "registers": vector_registers(assembly),
        "libm": libm_symbols(assembly),
        "foreign": foreign_by_kernel(),
    }


def foreign_by_kernel():
    """What is `foreign` in each entry point that this process has compiled."""
    from fastnn.compiler.program import ENTRIES, entry_point

    made = {name: entry_point(name).overloads.values() for name in ENTRIES}
    return {
        name: [foreign(overload.library) for overload in made[name]] for name in made if made[name]
    }


def foreign(library):
    """The functions that a kernel's intermediate code declares, but for LLVM's, and the addresses
    that it holds."""
    import llvmlite.binding as llvm

    code = library.get_llvm_str()
    declared = {f.name for f in llvm.parse_assembly(code).functions if f.is_declaration} - {"sqrt"}
    # What is called by its address has it from an argument or a table, in a register; a constant is
    # of this process.
    addresses = [
        address for address in re.findall(r"inttoptr \(?i64 (\S+)", code) if address[0] != "%"
    ]
    return sorted(name for name in declared if not name.startswith("llvm.")) + addresses


def elf_symbols(code):
    """The names of an ELF file's symbols for 64 bits, little-endian: those that it defines, and
    those that it needs."""
    start, entry_size, n_sections = struct.unpack_from("<Q10xHH", code, 40)
    found = (set(), set())
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", code, start + k * entry_size) for k in range(n_sections)
    ]
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind == SYMBOL_TABLE:
            names_at = sections[link][4]
            for entry in range(offset, offset + size, 24):
                name, _, _, section = struct.unpack_from("<IBBH", code, entry)
                text = code[names_at + name : code.index(b"\0", names_at + name)].decode()
                found[section == 0].add(text)
    found[1].discard("")
    return found


SYMBOL_TABLE = 2  # SHT_SYMTAB
