"""
Where fastnn stops being the right choice
=========================================

The wider a network and the more rows a step has, the more of the time goes into
products of matrices, which all do alike, and the less there is to save. A clone of
fastnn has the results of its last comparison with JAX and PyTorch on such networks;
`nox -s measure -- peers` makes it anew, in minutes on a quiet machine. Here they are
read and drawn.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

FILE = Path("benchmarks", "results", "peers.json")
clone = next(
    (
        folder
        for folder in (Path.cwd(), *Path.cwd().parents)
        if (folder / FILE).exists()
    ),
    None,
)
if clone is None:
    raise SystemExit(
        f"{FILE} is not here: this example wants to be run in a clone of fastnn"
    )
stored = json.loads((clone / FILE).read_text())
about = stored["about"]
print(
    f"Measured on {about['date']} on one {about['cpu']} with {about['cores']} cores;",
    about["versions"],
)

# %%
# The median time of a step, in microseconds, by width, rows a step and program:

times = {}
for name, programs in stored["crossover"].items():
    width, batch = (
        int(word) for word in name.replace(",", "").split() if word.isdigit()
    )
    times[width, batch] = {
        program: 1e6 * np.median(seconds) for program, seconds in programs.items()
    }
widths, batches = (sorted({sizes[axis] for sizes in times}) for axis in (0, 1))

# %%
# 32 rows a step
# --------------
# The network is w-w-10, with relu and softmax, trained by Adam in single precision.
# What lies between the lines on the left is the overhead of a step, which is the same
# for a small network and for a large one; on the right it is nothing beside the
# arithmetic.

figure, axes = plt.subplots(figsize=(8, 5))
lines = {
    program: [times[width, 32].get(program, np.nan) for width in widths]
    for program in times[widths[0], 32]
}
best = np.min([line for program, line in lines.items() if program != "fastnn"], axis=0)
axes.fill_between(
    widths,
    lines["fastnn"],
    best,
    where=best > lines["fastnn"],
    color="C0",
    alpha=0.12,
    linewidth=0,
)
for (program, line), marker in zip(lines.items(), "os^D", strict=False):
    axes.plot(widths, line, marker=marker, label=program)
axes.set_xscale("log", base=2)
axes.set_yscale("log")
axes.set_xticks(widths, [f"{width:,}" for width in widths])
axes.minorticks_off()
axes.set_xlabel("width w of the network w-w-10")
axes.set_ylabel("time of a step in µs")
first = best[0] / lines["fastnn"][0]
last = best[-1] / lines["fastnn"][-1]
axes.set_title(
    f"{first:.0f} times as fast at a width of {widths[0]}, "
    f"{last:.1f} times at {widths[-1]:,}"
)
axes.legend()
plt.show()

# %%
# All sizes
# ---------
# A number is the time of the faster of the others, divided by that of fastnn. Below 1,
# take that one.

speedup = np.array(
    [
        [
            min(t for program, t in times[w, b].items() if program != "fastnn")
            / times[w, b]["fastnn"]
            for w in widths
        ]
        for b in batches
    ]
)
figure, axes = plt.subplots(figsize=(9, 4.2))
image = axes.imshow(
    np.log2(speedup), cmap="PuOr", vmin=-4, vmax=4, aspect="auto", origin="lower"
)
for (row, column), value in np.ndenumerate(speedup):
    color = "#fefefe" if abs(np.log2(value)) > 2.6 else "#010101"
    axes.text(
        column,
        row,
        f"{value:.{1 if value < 9.95 else 0}f}",
        ha="center",
        va="center",
        color=color,
    )
axes.set_xticks(range(len(widths)), [f"{width:,}" for width in widths])
axes.set_yticks(range(len(batches)), [f"{batch:,}" for batch in batches])
axes.set_xlabel("width w of the network w-w-10")
axes.set_ylabel("rows a step")
axes.set_title("Times as fast as the faster of JAX and PyTorch")
axes.grid(visible=False)
axes.spines[:].set_visible(False)
bar = figure.colorbar(image, ticks=[-3, -2, -1, 0, 1, 2, 3])
bar.set_ticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
plt.show()
