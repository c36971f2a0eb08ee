"""The table of where the best peer gets ahead, of the last measurement of peers: ``python -m benchmarks.crossover``.

Nothing is measured: the figures are those of the crossover chart, read from ``benchmarks/results/peers.json``.
"""

from __future__ import annotations

import json
import pathlib
import sys

from benchmarks.peers.charts import crossover_ratios

RESULTS = pathlib.Path(__file__).parent / "results" / "peers.json"


def table(found: dict) -> str:
    """Return the ratios as Markdown, a row for each width of the layers, a column for each number of rows a step."""
    ratios, about = crossover_ratios(found), found.get("crossover about", found["about"])
    batches = sorted({batch for _, batch in ratios})
    heads = [f"{batch:,} row{'s' * (batch > 1)} a step" for batch in batches]
    lines = [f"| width | {' | '.join(heads)} |", "|---|" + "---|" * len(batches)]
    for width in sorted({width for width, _ in ratios}):
        cells = (ratios.get((width, batch)) for batch in batches)
        lines.append(f"| {width:,} | {' | '.join('-' if cell is None else f'{cell[0]:.1f}' for cell in cells)} |")
    rivals = sorted({rival for _, rival in ratios.values()})
    said = f"Measured on {about['date']} on {about['cpu']}, {about['cores']} cores. "
    return "\n".join([*lines, "", f"{said}The best peer was {' or '.join(rivals)}."])


def main() -> int:
    """Print the table."""
    print(table(json.loads(RESULTS.read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
