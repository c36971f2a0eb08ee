"""The commands of ``fastnn`` by their names, and the short ones themselves (typer and rich)."""

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from fastnn import __version__, plotting
from fastnn.checking import hints
from fastnn.cli.bench import bench
from fastnn.cli.console import File, check_output, err, new_table, option, out, progress, say, show
from fastnn.cli.demo import demo
from fastnn.cli.fit import fit
from fastnn.cli.predict import predict
from fastnn.cli.saved import MODEL, read_model
from fastnn.cli.verify import verify
from fastnn.cores import available_cores
from fastnn.files import export as files
from fastnn.gate import DEPRECATED, report
from fastnn.gate.compare import PAIRS, THRESHOLD, GateSettings, compare
from fastnn.measuring import machine
from fastnn.measuring.starting import ENTRY_POINTS, OF_A_DTYPE, OF_NONE, first_calls
from fastnn.measuring.timing import with_unit
from fastnn.memory import ALIGNMENT
from fastnn.training.results import TrainingResult

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


_VERSION = typer.Option(
    "--version", "-V", callback=_version, is_eager=True, help="Print the version and exit."
)


@app.callback()
def _main(version: Annotated[bool, _VERSION] = False) -> None:
    """Train small neural networks fast on a CPU.

    The Numba kernel runs the whole training loop; a readable NumPy reference trains to the same
    weights.
    """


def info() -> None:
    """Show versions, processor, cores and kernel cache."""
    for name, version in machine.versions().items():
        _fact(name, version)
    _fact("distribution", f"{hints.DISTRIBUTION} {machine.version(hints.DISTRIBUTION)}")
    _fact("  imported from", hints.FOLDER)
    if others := machine.other_distributions():
        _fact("  shared with", f"{', '.join(others)}, another project's: {hints.REMEDY}", "red")
    _fact("processor", machine.cpu_model())
    cpu = machine.cpu()
    if cpu.llvm_name is not None:
        _fact("  as LLVM calls it", cpu.llvm_name)
        _fact("  vector extensions", ", ".join(cpu.features) or "none that LLVM names")
    if cpu.override:
        _fact("  Numba was told", " ".join(cpu.override))
    try:
        cores = available_cores()
        _fact("cores", f"{cores.number}: {cores.reason}")
    except ValueError as error:  # what trains fails with it
        _fact("cores", str(error), "red")
    n = cpu.register_bytes
    register = "known to LLVM alone" if n is None else f"{n} bytes"
    _fact("vector width", f"{ALIGNMENT} bytes in the kernels, widest register {register}")
    _kernels()
    cache = machine.cache_state()
    _fact("kernel cache", str(cache.folder or "none"))
    can_be_written = "yes" if cache.writable else "no, but kernels that are there are used"
    _fact("  can be written", f"no: {cache.error}" if cache.error else can_be_written)
    on = "ON: equal bits are not promised in this process"
    _fact("flush to zero", on if machine.flush_to_zero() else "off")


def _kernels() -> None:
    """Describe where each kernel's machine code comes from."""
    kernels = machine.kernels()
    words = {
        "from the wheel": f"from the wheel, for {kernels.level}",
        "compiled": "compiled when first used",
    }
    used = {origin: ", ".join(titles) for origin, titles in kernels.origins.items() if titles}
    if len(used) == 1:
        used = dict.fromkeys(used, "all")
    parts = [f"{words.get(origin, origin)}: {titles}" for origin, titles in used.items()]
    _fact("kernels", "; ".join(parts))
    if kernels.problem:
        _fact("  of the wheel", f"not used: {kernels.problem}", "red")
    sizes = machine.side_by_side()
    if sizes is None:
        _fact("  side by side", "known once they are compiled")
    else:
        limits = [f"up to size {n} in {dtype}" for dtype, n in sizes.items() if n > 0]
        _fact("  side by side", ", ".join(limits) or "none")


def _fact(name: str, text: str, style: str | None = None) -> None:
    say(f"{name:<{FACT_NAMES}}{text}", style, indent=FACT_NAMES)


FACT_NAMES = 21  # Characters of the longest name, and two blanks


def warmup() -> None:
    """Compile all kernels into the disk cache.

    Later processes load them, and start at once. The kernels are those of float64 and float32 for
    one thread, several threads, many networks and single rows (`function()`), for shuffling, and
    for Levenberg-Marquardt. This takes about a minute, or a moment if they came with the wheel. The
    exit code is 1 if a kernel could not be stored.
    """
    dtypes = (np.dtype(np.float64), np.dtype(np.float32))
    table = new_table("dtype", *ENTRY_POINTS, "sum", texts=("dtype",))
    os.environ.setdefault("FASTNN_QUIET", "1")  # the progress says that kernels are compiled
    with progress("compiling", len(dtypes) * len(OF_A_DTYPE) + len(OF_NONE)) as advance:
        for dtype in dtypes:
            seconds = {}
            for name, elapsed in first_calls(dtype, OF_A_DTYPE):
                seconds[name] = elapsed
                advance()
            entries = [seconds.pop(name) for name in ENTRY_POINTS]
            table.add_row(dtype.name, *map(with_unit, (*entries, sum(entries))))
            for name, elapsed in seconds.items():
                table.add_row(f"  {name}", "", "", "", with_unit(elapsed))
        for name, elapsed in first_calls(np.float64, OF_NONE):
            table.add_row(name, "", "", "", with_unit(elapsed))
            advance()
    show("First calls, compiled or loaded", table)
    from fastnn.fused.backend import kernels_are_kept  # by now it is imported

    cache = machine.cache_state()
    if kernels_are_kept():
        if machine.cache_is_used():
            say(f"Kept in {cache.folder}")
        else:
            say("Nothing to keep: the wheel brought the kernels")
        return
    say(f"Not kept: {cache.error or f'no kernel could be added to {cache.folder}'}", "red")
    raise typer.Exit(1)


_TO = (
    f"The file to write, or a format, whose file then stands beside the model: "
    f"{', '.join(files.FORMATS)}."
)
_ESTIMATES = typer.Option(
    "--estimates", help="Estimate gaps in columns of a table, too, that had none in fit."
)


def export(
    model: Annotated[str, MODEL],
    to: Annotated[str, option("FILE|FORMAT", _TO)],
    estimates: Annotated[bool, _ESTIMATES] = False,
) -> None:
    """Write a saved model for programs without fastnn.

    MODEL is a file that `save` wrote: of a result of `train`, an MLP estimator or a table
    estimator. The suffix of FILE chooses the format: .py, .c, .onnx or .safetensors.
    """
    saved, formats = _to_export(read_model(model), estimates)
    path = Path(to)
    name = None
    if to in formats:
        path = Path(model).with_suffix(formats[to].suffix)
        name = to
    try:
        written = files.export(saved, path, name, formats)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from error
    for path in written:
        say(f"{path}  {path.stat().st_size:,} bytes")
    if note := files.note(saved, written[0], name, formats):
        say(note)


def _to_export(model: Any, estimates: bool) -> tuple[Any, dict[str, files.ExportFormat]]:
    """Return what is exported of a model, and the formats that there are."""
    if hasattr(model, "preparation_"):
        from fastnn.tabular import export

        return export.model_of(model, estimates), export.FORMATS
    if estimates:
        raise typer.BadParameter("it takes the model of a table", param_hint="--estimates")
    if isinstance(model, TrainingResult):
        return files.Model(model.network, model.params), files.FORMATS
    from fastnn.estimators.saving import model_of

    return model_of(model), files.FORMATS


_RATIO = option(
    "RATIO", "The ratio head / base of times from which on head counts as slower.", min=1.0
)
_SUMMARY = option("FILE", "Append the table as Markdown to a file, such as $GITHUB_STEP_SUMMARY.")


def gate(
    base: Annotated[str, option("CMD", "Command that measures the program before the change.")],
    head: Annotated[str, option("CMD", "Command that measures the program after it.")],
    pairs: Annotated[int, option("N", "The most runs of each command per round.", min=2)] = PAIRS,
    threshold: Annotated[float, _RATIO] = THRESHOLD,
    counts: Annotated[
        bool, typer.Option("--counts", help="Compare the counts only, and measure no times.")
    ] = False,
    json: Annotated[
        File, option("FILE", "Write all samples, ratios and verdicts to a file.")
    ] = None,
    plot: Annotated[File, option("FILE", "Draw the ratios into a .png, .svg or .pdf.")] = None,
    summary: Annotated[File, _SUMMARY] = None,
) -> None:
    """Fail if one program is slower than another (deprecated).

    It goes in 0.5: use pytest-benchmark or asv. Each command measures one version of the program,
    and prints JSON in the format of `fastnn bench --json -`. The shell runs the two commands
    alternately, in pairs. The exit code is 1 if a count is worse, or if the whole interval of a
    ratio is above the threshold in two rounds, and 2 if nothing could be compared.
    """
    err.print(f"DeprecationWarning: {DEPRECATED}", soft_wrap=True, markup=False, highlight=False)
    for name, path in (("--json", json), ("--plot", plot), ("--summary", summary)):
        check_output(path, name)
    with progress("first runs", 4 if counts else None) as advance:
        outcome = compare(base, head, GateSettings(pairs, threshold, timed=not counts), advance)
    show(report.TITLE, report.table(outcome))
    say(report.notes(outcome), "dim")
    color = "yellow" if outcome.gone else "green"
    say(report.conclusion(outcome), color if outcome.passed else "red")
    if json:
        report.save(outcome, json)
        say(f"All samples: {json}")
    if plot:
        say(f"Ratios: {plotting.save(report.draw(outcome), plot)}")
    if summary:
        with summary.open("a", encoding="utf-8") as file:
            file.write(report.markdown(outcome))
    if not outcome.passed:
        raise typer.Exit(1)


# In the order of the help.
for command in (fit, predict, export, demo, info, warmup, bench, verify, gate):
    app.command()(command)
