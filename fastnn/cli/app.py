"""The commands of ``fastnn`` by their names, and the short ones themselves (typer and rich)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from fastnn import __version__
from fastnn.checking import hints
from fastnn.cli.bench import bench
from fastnn.cli.console import new_table, out, progress, say, show
from fastnn.cli.demo import demo
from fastnn.cli.export import export
from fastnn.cli.gate import gate
from fastnn.cli.verify import verify
from fastnn.cores import available_cores
from fastnn.gate.report import with_unit
from fastnn.measuring import machine
from fastnn.measuring.timing import (
    ENTRY_POINTS,
    first_calls,
    first_function,
    first_members,
    first_method,
    first_shared_step,
    first_shuffle,
)
from fastnn.memory import ALIGNMENT

app = typer.Typer(
    name="fastnn",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"fastnn {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train small neural networks fast on a CPU.

    A NumPy reference that can be read in one sitting, and a fused Numba kernel that trains to the same weights.
    """


# --------------------------------------------------------------------------------------------------------------- info


def info() -> None:
    """Show versions, processor, cores and kernel cache."""
    for name, version in machine.versions().items():
        _fact(name, version)
    distribution = machine.distribution()
    _fact("distribution", f"{hints.DISTRIBUTION} {distribution.version}")
    _fact("  imported from", hints.FOLDER)
    if distribution.others:
        shared = f"{', '.join(distribution.others)}, another project's: {hints.REMEDY}"
        _fact("  shared with", shared, "red")
    cpu = machine.cpu()
    _fact("processor", cpu.model)
    if cpu.llvm_name is not None:
        _fact("  as LLVM calls it", cpu.llvm_name)
        _fact("  vector extensions", ", ".join(cpu.features) or "none that LLVM names")
    if cpu.override:
        _fact("  Numba was told", " ".join(cpu.override))
    register = "known to LLVM alone" if cpu.register_bytes is None else f"{cpu.register_bytes} bytes"
    try:
        cores = available_cores()
        _fact("cores", f"{cores.number}: {cores.reason}")
    except ValueError as error:  # what trains fails with it
        _fact("cores", str(error), "red")
    _fact("vector width", f"{ALIGNMENT} bytes in the kernels, widest register {register}")
    _kernels()
    cache = machine.cache()
    _fact("kernel cache", str(cache.folder or "none"))
    read_only = "no, but kernels that are there are used"
    _fact("  can be written", f"no: {cache.error}" if cache.error else "yes" if cache.writable else read_only)
    _fact("flush to zero", "ON: equal bits are not promised in this process" if machine.flush_to_zero() else "off")


def _kernels() -> None:
    """Describe where each kernel's machine code comes from."""
    kernels = machine.kernels()
    words = {"from the wheel": f"from the wheel, for {kernels.level}", "compiled": "compiled when first used"}
    found = {words.get(origin, origin): titles for origin, titles in kernels.origins.items() if titles}
    _fact("kernels", "; ".join(f"{o}: {'all' if len(found) == 1 else ', '.join(t)}" for o, t in found.items()))
    if kernels.problem:
        _fact("  of the wheel", f"not used: {kernels.problem}", "red")
    sizes = machine.side_by_side()
    known = ", ".join(f"up to size {n} in {dtype}" for dtype, n in (sizes or {}).items() if n > 0)
    _fact("  side by side", (known or "none") if sizes is not None else "known once they are compiled")


def _fact(name: str, text: str, style: str | None = None) -> None:
    say(f"{name:<{FACT_NAMES}}{text}", style, indent=FACT_NAMES)


FACT_NAMES = 21
"""Characters of the longest name, and two blanks."""

# ------------------------------------------------------------------------------------------------------------- warmup


def warmup() -> None:
    """Compile all kernels into the disk cache.

    Those that came with the wheel are there already. It compiles the kernels of both dtypes for one thread, for several
    threads, for many networks and for one row (result.function()), the one that shuffles rows, and Levenberg-Marquardt,
    so that later processes start at once. It takes about a minute, and ends with 1 if a kernel could not be kept.
    """
    dtypes = (np.dtype(np.float64), np.dtype(np.float32))
    table = new_table("dtype", *ENTRY_POINTS, "sum", texts=("dtype",))
    with progress("compiling", len(dtypes) * len(ENTRY_POINTS)) as advance:
        for dtype in dtypes:
            seconds = []
            for _, elapsed in first_calls(dtype):
                seconds.append(elapsed)
                advance()
            table.add_row(dtype.name, *map(with_unit, (*seconds, sum(seconds))))
            table.add_row("  threads", "", "", "", with_unit(first_shared_step(dtype)))
            table.add_row("  many", "", "", "", with_unit(first_members(dtype)))
            table.add_row("  one row", "", "", "", with_unit(first_function(dtype)))
        table.add_row("row orders", "", "", "", with_unit(first_shuffle()))
        table.add_row("Levenberg-Marquardt", "", "", "", with_unit(first_method()))
    show("First calls, compiled or loaded", table)
    cache = machine.cache()
    if machine.kernels_are_kept():
        say(f"Kept in {cache.folder}" if machine.cache_is_used() else "Nothing to keep: the wheel brought the kernels")
        return
    say(f"Not kept: {cache.error or f'no kernel could be added to {cache.folder}'}", "red")
    raise typer.Exit(1)


for command in (demo, info, warmup, export, bench, verify, gate):  # the order of the help
    app.command()(command)
