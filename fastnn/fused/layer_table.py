"""A layer's line of `Model.layers`: its columns by their names."""

from __future__ import annotations

from fastnn.fused import model
from fastnn.fused.places import at, get


class Line:
    """``line.fan_in`` is column `FAN_IN` of the line, read where it stands."""

    def __init__(self, line):
        self.line = line

    def __getattr__(self, column):
        return get(self.line, getattr(model, column.upper()))


def line_of(network, l):
    """The line of layer `l`."""
    return Line(at(network.layers, l * model.N_COLUMNS))
