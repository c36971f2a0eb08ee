"""What a kernel was compiled to: vector registers, and functions of the C library that it calls."""

import re
import struct

import numpy as np

LIBM = set(
    re.findall(
        r"\w+",
        """
        acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp10 exp2 expm1 fma fmod hypot ldexp lgamma
        log log10 log1p log2 pow remainder round sin sinh sqrt tan tanh tgamma
        """,
    )
)
LIBM |= {name + "f" for name in LIBM}
MEMORY = {"memset", "memcpy", "memmove"}
"""The functions of the C library that any kernel may call."""


def libm_symbols(assembly):
    """The functions of C's mathematical library that some assembly refers to."""
    return sorted(LIBM & set(re.findall(r"[\w.]+", re.sub(r"[#;].*|//.*", "", assembly))))


def vector_registers(assembly):
    """Count each kind of vector register: {"zmm": 512 bits, "ymm": 256, "xmm": 128; arm64's is "v"}"""
    counts = {kind: len(re.findall(rf"%{kind}\d", assembly)) for kind in ("xmm", "ymm", "zmm")}
    return {**counts, "v": len(re.findall(r"\bv\d+\.[248]", assembly))}


def compiled_code(dtypes):
    """Describe the code that this process' Numba makes of the kernel, whether or not it ran from the disk cache."""
    from fastnn.compiler import codegen, tracing

    _, cpu, features = tracing.cpu_target.target_context.codegen().magic_tuple()
    overloads = [codegen.compiled_entry("train_steps", np.dtype(dtype))[0] for dtype in dtypes]
    assembly = "\n".join(overload.library.get_asm_str() for overload in overloads)
    return {
        "cpu": cpu,
        "features": len(features.split(",")) if features else 0,
        "registers": vector_registers(assembly),
        "libm": libm_symbols(assembly),
    }


def elf_symbols(code):
    """The names of an ELF file's symbols for 64 bits, little-endian: those that it defines, and those that it needs."""
    start, entry_size, n_sections = struct.unpack_from("<Q10xHH", code, 40)
    found = (set(), set())
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, start + k * entry_size) for k in range(n_sections)]
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
