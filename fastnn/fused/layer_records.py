"""The records of the layers in `Model.layers`, whose fields are read by name."""

from typing import Any, NamedTuple

from fastnn.compiler.control import each
from fastnn.compiler.memory_ops import get, offset
from fastnn.fused.layout import LAYER_FIELDS


class LayerRecord(NamedTuple):
    """A pointer to a record; ``layer.fan_in`` reads the field `fan_in` of it, see `layout.describe`."""

    pointer: Any

    def __getattr__(self, field):
        # a load where it is written; in a specialized kernel the records are constants, and so is the field
        return get(self.pointer, LAYER_FIELDS[field])

    def at(self, field):
        """Return a pointer to the field, for those who may not need it."""
        return offset(self.pointer, LAYER_FIELDS[field])


def layer_at(model, l):
    """Return the record of layer `l`."""
    return LayerRecord(offset(model.layers, l * len(LAYER_FIELDS)))


def each_layer(model):
    """Iterate over the layers from the input to the output: (number, record)."""
    for l in each(model.n_layers):
        yield l, layer_at(model, l)
