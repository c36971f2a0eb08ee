"""The options of a training: as given, else those of the state that it resumes, else the defaults."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from fastnn.checking.arguments import check_flag, check_integer, check_number, cut
from fastnn.network import Network
from fastnn.optimizers import Adam, Optimizer
from fastnn.training.inputs import check_optimizer
from fastnn.training.state import Counters, TrainingState


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, the default of arguments for which None means something else."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN = NotGiven.NOT_GIVEN

DEFAULTS: dict[str, Any] = {"optimizer": Adam(), "batch_size": 200, "shuffle": True, "alpha": 0.0}


def choose_options(
    optimizer: Optimizer | None = None,
    batch_size: int | NotGiven | None = NOT_GIVEN,
    shuffle: bool | NotGiven = NOT_GIVEN,
    alpha: float | NotGiven = NOT_GIVEN,
    resume: TrainingState | None = None,
) -> tuple[Optimizer, int | None, bool, float]:
    """Choose the options of a training, of which some were given; a batch size of None is all rows.

    Raises
    ------
    TypeError, ValueError
        For an option of the wrong type or outside its range, and for one that neither was given nor is in the state.
    """
    kept: Mapping[str, Any] = DEFAULTS
    if resume is not None:
        kept = resume.counters
        given = NOT_GIVEN if optimizer is None else optimizer, batch_size, shuffle, alpha
        asked = zip(DEFAULTS, given, strict=True)
        lacking = [name for name, value in asked if value is NOT_GIVEN and name not in kept]
        if lacking:
            raise ValueError(
                f"resume: its state does not say {' and '.join(lacking)}, which version 0.1 of fastnn did not keep: "
                f"give {', '.join(f'{name}=' for name in lacking)} as it was trained with"
            )
    if optimizer is None:
        optimizer = kept["optimizer"] if resume is None else _optimizer_of(kept["optimizer"])
    check_optimizer(optimizer)
    if batch_size is NOT_GIVEN:
        batch_size = None if optimizer.full_batch else kept["batch_size"]
    if batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, low=1)
    shuffle = check_flag("shuffle", kept["shuffle"] if shuffle is NOT_GIVEN else shuffle)
    alpha = check_number("alpha", kept["alpha"] if alpha is NOT_GIVEN else alpha, low=0)
    return optimizer, batch_size, shuffle, alpha


def _optimizer_of(values: dict[str, Any]) -> Optimizer:
    try:
        return Optimizer.from_dict(values)
    except LookupError:
        raise ValueError(
            f"resume: the learning rate of its state is a function ({cut(values['learning_rate'])}), which a state "
            f"does not keep: give optimizer={cut(values['name'])}(learning_rate=...) again"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"resume: its state's optimizer cannot be made again ({cut(error)}): give optimizer="
        ) from None


def training_counters(
    network: Network,
    optimizer: Optimizer,
    alpha: float,
    asked: Counters,
    epoch: int,
    partial: tuple[float, float] = (0.0, 0.0),
) -> Counters:
    """Return a training's counters in JSON's types: its epochs, and its options, some as they were `asked` for.

    `epoch` is the number of epochs that ended, `partial` the sums of losses and rows of one that has begun.
    """
    return {
        "epoch": epoch,
        "loss_sum": partial[0],
        "row_sum": partial[1],
        "optimizer": optimizer.to_dict(),
        "alpha": alpha,
        **asked,
        **network_counters(network),
    }


def network_counters(network: Network) -> Counters:
    """Describe a network in JSON's types, as states keep it: all but how the initial parameters were drawn."""
    return {
        "sizes": list(network.sizes),
        "activation": [layer.activation for layer in network.layers[:-1]],
        "output": network.output,
        "loss": network.loss,
        "bias": network.bias,
        "bias_gradient": network.bias_gradient,
        "reduction": network.reduction,
    }
