"""The pictures of the gallery: one look, each in a light and a dark version, and animations as
WebP.

Sphinx-Gallery calls `look` before each example and `pictures` after each of its cells. An example
itself says nothing of its look: run by itself, it has that of the reader's matplotlib.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.animation import Animation, PillowWriter
from matplotlib.colors import to_hex, to_rgb, to_rgba

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9", "#777777")
"""Colors that color-blind people tell apart: those of Okabe and Ito, Color universal design, 2008;
purple is Tol's."""

INK = "#2b2b2b"
FAINT = "#e4e4e4"
PAPER = "#ffffff"

LOOK = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 12,
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 13,
    "figure.constrained_layout.use": True,
    "figure.figsize": (8, 5),
    "figure.titlesize": 15,
    "font.size": 11,
    "grid.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 2,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

DARK = {
    PAPER: "#14181e",
    INK: "#d6dbe1",
    FAINT: "#303741",
    "#cccccc": "#4b5460",
    "#9ecae1": "#1f5f8b",  # the curves of `fastnn.plotting`
    "#08306b": "#cfe6fb",
    "#d94801": "#ff8a3d",
    **dict(
        zip(
            PALETTE,
            ("#4fa8e0", "#ff8a3d", "#35c79a", "#d98bc4", "#f2b84b", "#9ad4f5", "#a3a3a3"),
            strict=True,
        )
    ),
}
"""{color on light paper: color on dark paper}; other colors, such as those of a color map, stay as
they are."""

DPI = 200
FRAMES_DPI = 100
PIXELS_AN_INCH = 100
"""How large a picture is shown, where there is room for it."""

PROPERTIES = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def look(gallery_conf, fname):
    """Set matplotlib to the gallery's look, whatever an example before has set."""
    plt.rcdefaults()
    plt.rcParams.update(LOOK)


def pictures(block, block_vars, gallery_conf):
    """Save the open figures, twice each, and return reST that shows the one that goes with the
    page.
    """
    animations = {
        value._fig: value
        for value in block_vars["example_globals"].values()
        if isinstance(value, Animation)
    }
    shown = []
    for number, path in zip(plt.get_fignums(), block_vars["image_path_iterator"], strict=False):
        figure = plt.figure(number)
        light = Path(path)
        dark = light.with_stem(f"{light.stem}_dark")
        options = {"dpi": DPI, "facecolor": "auto"}
        if figure in animations:
            thumbnail = light
            light = light.with_suffix(".webp")
            dark = dark.with_suffix(".webp")
            animations[figure].save(light, writer=Frames(animations[figure]))
            figure.savefig(thumbnail, **options)  # of the last frame
            animations[figure].save(dark, writer=Frames(animations[figure], darken))
        else:
            figure.savefig(light, **options)
            darken(figure)
            figure.savefig(dark, **options)
        width = round(figure.get_size_inches()[0] * PIXELS_AN_INCH)
        for file, kind in ((light, "only-light"), (dark, "only-dark")):
            source = "/" + Path(os.path.relpath(file, gallery_conf["src_dir"])).as_posix()
            shown.append(
                f".. image:: {source}\n   :class: sphx-glr-single-img {kind}\n   :width: "
                f"{width}px\n"
                f"   :alt: {title_of(figure)}\n"
            )
    plt.close("all")
    return "\n".join(shown)


class Frames(PillowWriter):
    """An animation's frames, each changed by a function of the figure before it is taken, in a WebP
    file.
    """

    def __init__(self, animation, change=lambda figure: None):
        super().__init__(fps=1000 / animation._interval)
        self.change = change

    def grab_frame(self, **savefig_kwargs):
        """Take the figure as it is drawn now."""
        self.change(self.fig)
        super().grab_frame(**savefig_kwargs)

    def finish(self):
        """Write the file."""
        first, *others = self._frames
        options = {"duration": int(1000 / self.fps), "loop": 0, "quality": 85, "method": 2}
        first.save(self.outfile, save_all=True, append_images=others, **options)


def title_of(figure):
    """Return the titles in a figure, for those who cannot see it."""
    titles = [
        figure.get_suptitle(),
        *(axes.get_title(loc) for axes in figure.axes for loc in ("left", "center")),
    ]
    return " ".join(", ".join(filter(None, titles)).split()) or "picture"


def darken(figure):
    """Change the colors of a figure to those on dark paper."""
    figure.canvas.draw()  # ticks and their labels are made here
    for artist in figure.findobj():
        for part in (
            artist,
            getattr(artist, "arrow_patch", None),
            getattr(artist, "get_bbox_patch", lambda: None)(),
        ):
            for name in PROPERTIES if part is not None else ():
                if hasattr(part, f"get_{name}") and hasattr(part, f"set_{name}"):
                    darken_property(part, name)


def darken_property(artist, name):
    """Change a color of an artist, or its colors (n, 4) if it has many."""
    by_colormap = (
        getattr(artist, "get_array", lambda: None)() is not None
        and getattr(artist, "colors", None) is None
    )
    color = None if by_colormap else getattr(artist, f"get_{name}")()
    if color is None or (isinstance(color, str) and color in ("none", "auto")):
        return
    many = isinstance(color, np.ndarray) and color.ndim == 2
    colors = np.array(color if many else [to_rgba(color)])
    new = [DARK.get(to_hex(one[:3])) for one in colors]
    if any(new):
        colors = [
            (*to_rgb(there), one[3]) if there else one
            for there, one in zip(new, colors, strict=True)
        ]
        getattr(artist, f"set_{name}")(np.array(colors) if many else colors[0])
