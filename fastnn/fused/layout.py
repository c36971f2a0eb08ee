"""The arguments of the entry points, as NamedTuples of arrays and numbers: the network in numbers,
and its buffers.

The panel layout, one block of a batch at a time. A block is up to ROW_BLOCK rows of the data, a
panel its matrix (features, width): one column per row of the block, one row per feature,
contiguous. `width` is the number of rows rounded up to whole vectors; the columns beyond the rows
are padding, with row weight 0::

                        column 0 .. n-1: rows of the batch      n .. width-1: padding
    inputs   row 0      x[r0, 0]  x[r1, 0]  x[r2, 0]  ...       0 0 0
             row 1      x[r0, 1]  x[r1, 1]  x[r2, 1]  ...       0 0 0
    layer 1  row 0      a[r0, 0]  ...                           0 0 0
    ...

Where the row weight is 0, in padding or by the user's wish, inputs, hidden activations and deltas
are set to 0 by selection, never by multiplication: 0 times infinity must not become NaN, and what
such a row holds must not show in any bit. A block of one row is no panel: its features lie side by
side, in the same buffers (see `matmul.py`).

This module is imported without Numba, by processes that find their kernels in the disk cache.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.program import relative
from fastnn.derivatives import with_derivative
from fastnn.fused.custom import block_of
from fastnn.losses import ACTIVATIONS, LOSSES, CustomActivation, CustomLoss, line_of
from fastnn.memory import ROW_BLOCK, Array, aligned_zeros, padded_size, vector_lanes
from fastnn.network import Layer, Network
from fastnn.optimizers import OPTIMIZERS, SGD, BayesianRegularization
from fastnn.state import Steps, Task

# The kernel's code of a name is its place in the registry.
ACTIVATION_CODES = {name: code for code, name in enumerate(ACTIVATIONS)}
ACTIVATION_CODES[CustomActivation.name] = len(ACTIVATIONS)
LOSS_CODES = {name: code for code, name in enumerate(LOSSES)}
UPDATE_CODES = {name: code for code, name in enumerate(OPTIMIZERS)}

MATCHED_POISSON = len(LOSSES)  # where delta = a - y: no other loss has two derivatives
SMOOTHED = {"log_loss": len(LOSSES) + 1, "cross_entropy": len(LOSSES) + 2}  # with label smoothing
CUSTOM_LOSS = len(LOSSES) + 3
# where threads share a loss and its gradient, which is finished and stays in `Scratch.gradient`
NO_UPDATE = -1
LOSS_ALONE = -2  # where they share a loss without its gradient
MOMENTUM = len(OPTIMIZERS)  # SGD with momentum, which has one vector of state more than plain SGD

SUM_BLOCK = (
    512  # vectors of room for packing in `Scratch.packed`, so few that they stay in the cache
)

# Parameters, biases included, up to which a layer is small, and has gather indices. Part of the
# format: in a step on a batch that fits one vector, the gradient of a small layer is summed lane by
# lane whatever its shape, and so it shows in the bits of those whose gradient is a product
# elsewhere, see `matmul.weight_gradient`.
SMALL = 256

# Columns of X whose entries are sorted at a time, where rows are in CSR form, a power of two; and
# about the numbers of a strip of the gradient, so few that it stays in the nearest cache.
COLUMNS = 128
STRIP = 2048
# Weights of a layer from which they and their slots are fetched ahead of their update.
FETCHED_FROM = 100_000

# fan_in from which the weight gradient transposes delta; part of the format: it shows in the bits
TRANSPOSE_FROM = 16

# {field of a layer's record in `Model.layers`: its index in the record}; `describe` says what each
# of them is
_FIELDS = (
    "fan_in",
    "fan_out",
    "weight",
    "bias",
    "n_bias",
    "bias_step",
    "end",
    "gather_indices",
    "inside",
    "activation",
    "activation_below",
    "input",
    "output",
    "transposes",
    "number",
    "number_below",
    "strip",
)
LAYER_FIELDS = {name: k for k, name in enumerate(_FIELDS)}


class Model(NamedTuple):
    """The network in numbers: one compiled kernel serves every network of a dtype."""

    layers: NDArray[np.int64]  # (n_layers * len(LAYER_FIELDS),): a record per layer
    # those that read panels: all of them, or all but the first, which reads rows in CSR form
    panel_layers: NDArray[np.int64]
    # (any,): for each number of a small layer's gradient, the offsets in A and in D of the rows
    # whose product it is
    gather_indices: NDArray[np.int64]
    n_layers: int
    n_panel_layers: int
    n_params: int
    # where the parameters of the layers begin whose last vectors may reach beyond all of them
    tail: int
    n_inputs: int
    n_outputs: int
    loss: int  # of LOSS_CODES or SMOOTHED, or MATCHED_POISSON or CUSTOM_LOSS
    loss_formula: int  # of CUSTOM_LOSS, the address of its block, see `custom.py`
    matched: int  # 1: delta = a - y at the output
    times_bias: int  # 1: the tutorial's bias gradient
    mean: int  # 1: divide by the sum of the row weights
    block: int  # rows of a block
    # 1: blocks of one row are no panels; 0 in specialized kernels whose blocks are one vector
    single_row_path: int


class Rows(NamedTuple):
    """The rows to train on as a kernel reads them: `Data`, whose X may be in CSR form."""

    X: NDArray  # (n, n_inputs), or the entries (any,)
    Y: NDArray  # (n, n_outputs)
    sample_weight: NDArray  # (n,)
    # (any,): the columns of the entries, and one more number: `sparse.py` may read it
    indices: NDArray[np.int32]
    starts: NDArray[np.int64]  # (n + 1,): the first entry of each row, and behind the last one


NO_OPTIONS = {
    np.dtype(kind): (0.0, np.zeros(0, kind), np.zeros(0, kind)) for kind in (np.float64, np.float32)
}
"""{dtype: the last fields of an `UpdateSpec` without options}."""


class UpdateSpec(NamedTuple):
    """The optimizer in numbers; its constants of the working dtype are in
    `Scratch.update_constants`.
    """

    code: int  # of UPDATE_CODES, MOMENTUM, NO_UPDATE or LOSS_ALONE
    stride: int  # from a vector of the state to the next
    sequential: int
    # strength of the L2 penalty in the value of the loss; in the gradient it is the constant ALPHA
    penalty: float
    beta_1: float
    beta_2: float
    weight_decay: float
    # with options, the most that the length of the gradient may be, or infinity; without any, 0
    clip_norm: float
    factors: NDArray  # (padded n_params,): of the learning rate; 0 where a parameter stays
    is_weight: NDArray  # (padded n_params,): 1 for a weight, else 0
    n_vectors: int = 1  # of a state: the parameters, and the optimizer's slots


# indices in Scratch.update_constants; ALPHA and from HYPER on stand the task's, the others are each
# step's own
ALPHA = 0
SCALE = 1
RATE = 2
DECAY = 3
HYPER = 4
N_CONSTANTS = 10


class Scratch(NamedTuple):
    """The workspace: buffers of the working dtype, each 64-byte aligned, made and owned by the back
    end.

    Nothing in them outlives a step but `gradient` (read by `loss_and_gradient`), and the gathered
    inputs, targets and row weights while the same rows are trained on. No kernel reads what it has
    not written in the same call, except `counts`, which each leaves at 0, and `update_constants`,
    `zeros`, `loss_numbers` and what `gradient` holds beyond the parameters (zeros), which the back
    end fills.
    """

    # (padded n_params,): a copy of parameters without padding, or of their end, to read vectors
    # from
    params: NDArray
    # (sum(sizes) + n_layers, width): panels of the inputs, but for rows in CSR form, and of each
    # layer's output, each with room for a row of ones
    activations: NDArray
    # like `activations`: f'(z) of the activations that need z; unused, and one vector, if none does
    slopes: NDArray
    targets: NDArray  # (n_outputs, width)
    weight: NDArray  # (width,): row weights; that of a block of one row in every lane
    # (largest size + 1, width): delta of the layer that backward is at; room for the sum of its
    # rows
    delta: NDArray
    delta_below: (
        NDArray  # like `delta`: that of the layer below; the two are exchanged from layer to layer
    )
    # (SUM_BLOCK, one vector): a strip of a panel, where panels are packed, and one of a wide
    # layer's W
    packed: NDArray
    transposed: NDArray  # (width, largest fan_out): delta transposed, for a wide layer's gradient
    gradient: NDArray  # (padded n_params,)
    # (padded n_params,): the gradient of one block; one vector where a batch is one block
    block_gradient: NDArray
    # (N_CONSTANTS padded,): what an update multiplies with, rounded once to their dtype
    update_constants: NDArray
    sum_of_l: NDArray  # (one vector,): the block's loss, in the first lane
    # (one vector,): zeros, or NaN once a parameter p is not finite: the bits of p - p are added
    nan_flag: NDArray
    squares: NDArray  # (one vector,): the sum of the squares of all weights, in the first lane
    zeros: NDArray  # (one vector,)
    loss_numbers: NDArray  # (any,): each parameter of the loss for all outputs, in whole vectors
    rows_of_X: NDArray[np.int64]  # (width,): the offset in X of each row of the block
    rows_of_Y: NDArray[np.int64]  # (width,): and that in Y
    # For rows in CSR form, else one vector each, see `sparse.py`:
    row_ends: NDArray[np.int64]  # (width,): where the entries of each row end in X
    cursors: NDArray[np.int64]  # (width,): its next entry
    counts: NDArray[np.int64]  # (COLUMNS,): the entries in each of some columns; 0 between strips
    entry_rows: NDArray[np.int64]  # (COLUMNS, width + 1 vector): their rows of the block
    entry_values: NDArray  # (COLUMNS, width + 1 vector): and their numbers
    by_row: NDArray  # (width, fan_out in whole vectors): z of the first layer, then its delta
    strip: NDArray  # (strip, fan_out) and one vector: some rows of the first layer's gradient
    lane_sums: NDArray  # (L, L): the sums of one vector's columns, by the lanes of rows


class LeastSquares(NamedTuple):
    """The method and the buffers of `levenberg_marquardt`, in the place of an `UpdateSpec`.

    Matrices are in strips, see `normal.py`; n is the number of parameters, up to whole vectors of L
    of them.
    """

    # ((n + L) / L, 2, L): of each column of the Jacobian, the rows of its two factors
    factors: NDArray[np.int64]
    is_weight: NDArray  # (n_params,): 1 for a weight, 0 for a bias
    # (sum(sizes) + n_layers + 1, width): of an output by each z, as the activations lie
    deltas: NDArray
    jacobian: NDArray  # (width, n + L)
    products: NDArray  # (n, n + L)
    factor: NDArray  # (n, n + L)
    inverse: NDArray  # (n,): of the factor's diagonal
    gradient: NDArray  # (n,)
    step: NDArray  # (n,)
    slopes: NDArray  # (n,): J'r, without the penalty of Bayesian regularization
    unit: NDArray  # (L, L): -I
    tried: NDArray  # (padded n_params,): the parameters after the step
    n: int
    stride: int = 0  # from a vector of the state to the next
    tenfold: int = 0
    alpha: float = 0.0  # strength of the L2 penalty
    penalty: float = 0.0  # and that in the value of the loss
    damping: float = 0.0
    most_damping: float = 0.0
    least_damping: float = 0.0
    min_grad: float = 0.0
    goal: float = 0.0
    bayesian: int = 0
    first_steps: int = 0
    first_part: float = 0.0
    least_gain: float = 0.0
    least_gamma: float = 0.0
    least_strength: float = 0.0


class Epochs(NamedTuple):
    """What `end_epoch` decides by: the arrays of `state.EpochRules`, with a row for each member,
    and its own calls.

    `train_in_lanes` decides by the same ones, without these calls.
    """

    ended: NDArray[np.int64]  # (m * 2,)
    rules: NDArray[np.float64]  # (m * N_RULE,)
    losses: NDArray[np.float64]  # (m * n_epochs,), or none
    measured: NDArray[np.float64]  # (m * n_epochs,), or none
    labels: NDArray[np.int64]  # (m * n_labels,)
    outputs: NDArray  # (n_rows * n_outputs,): what `predict` writes
    best_params: NDArray  # (m * n_kept,)
    storage: NDArray  # (m * size,): the states
    loss: NDArray[np.int64]  # (m * N_LOSS,): the `LossCall` of each member
    predict: NDArray[np.int64]  # (m * N_PREDICT,): and the `PredictCall`
    of_steps: NDArray[np.float64]  # (m * n_steps,): the losses of the steps
    factors: NDArray[np.float64]  # (n_steps,), or none
    sums: NDArray[np.float64]  # (m * 2,)
    loss_code: int  # the address of the machine code of `loss_and_gradient`
    predict_code: int  # and of `predict`
    n_epochs: int  # those that losses have room for
    n_kept: int  # parameters of the best epoch: all, or 0 where they are not kept
    size: int  # from a member's state to the next one's
    n_rows: int  # of those that are scored; 0: none are
    n_outputs: int
    n_labels: int  # of a member
    scored: int  # 1: by the rows that are right, 0: by their loss
    exclusive: int  # 1: labels are numbers of classes
    first: int  # steps of the current epoch that were done before
    per_epoch: int  # steps of an epoch
    n_steps: int  # of a member, in `of_steps`
    n_factors: int  # n_steps where the rule goes by the losses of steps, else 0
    mean: int  # 1: their sum is divided by that of the factors
    divisor: int  # by which the losses of steps are divided first


class EndCall(NamedTuple):
    """The arguments of `end_epoch`."""

    member: int
    epochs: Epochs


class EpochEnds(NamedTuple):
    """The ends of epochs within a call of `train_steps`, at each of which `end_epoch` is called."""

    first: int  # steps of the current epoch that were done before
    per_epoch: int  # steps of an epoch; 0: nothing is called
    code: int  # the address of the machine code of `end_epoch`
    fired: NDArray[np.int64]  # (1,), written: what it returns
    call: EndCall


class Training(NamedTuple):
    """The arguments of the entry points that train: arrays that are changed, the workspace, and
    what is read.
    """

    vectors: NDArray  # (1 + n_slots, spec.stride): parameters and the optimizer's slots; changed
    beta_products: NDArray[np.float64]  # (2,), changed
    n_steps: int
    scratch: Scratch  # written
    model: Model
    spec: UpdateSpec
    data: Rows
    steps: Steps  # the losses are written
    ends: EpochEnds  # what is decided is written


TRAINING = {name: hint for name, hint in Training.__annotations__.items() if name != "ends"} | {
    "return": int
}
"""The annotations of these entry points, which return the good steps. A thread of a team has a
share, but no ends."""


class LossCall(NamedTuple):
    """The arguments of `loss_and_gradient`, which returns the loss; the gradient is in the
    scratch.
    """

    params: NDArray  # (n_params,)
    n_rows: int
    mode: int
    scratch: Scratch  # written
    model: Model
    spec: UpdateSpec
    data: Rows
    rows: NDArray[np.int64]  # (n_rows,)


class Prediction(NamedTuple):
    """The workspace and the network of predictions; of rows in CSR form, the places of the entries,
    as in `Rows`.
    """

    scratch: Scratch  # written
    model: Model
    indices: NDArray[np.int32]
    starts: NDArray[np.int64]


class PredictCall(NamedTuple):
    """The arguments of `predict`."""

    out: NDArray  # (n_rows, n_outputs), written
    params: NDArray  # (n_params,)
    n_rows: int
    X: NDArray  # (n_rows, n_inputs), or as in `Rows`
    by: Prediction


N_TRAINING, N_LOSS, N_PREDICT = (len(kind._fields) for kind in (Training, LossCall, PredictCall))
"""Words of the arguments of a call."""
MODE = LossCall._fields.index("mode")
"""The place of `mode` in a `LossCall`."""
WITH_GRADIENT = 1
SAME_ROWS = 2
"""Bits of `mode`: the gradient is wanted; the rows, of one block, are still in the panels from the
last call."""


class Members(NamedTuple):
    """The arrays of `train_in_lanes`: those of a group, with a row for each of its m members."""

    # (n_groups * N,): the member in each lane, those with most steps first
    order: NDArray[np.int64]
    n_steps: NDArray[np.int64]  # (m,)
    # (m,): n_steps; written where there are less good ones, or a rule fires before
    good: NDArray[np.int64]
    storage: NDArray  # (m * n_vectors * stride,): the states
    beta_products: NDArray[np.float64]  # (m * 2,)
    constants: NDArray  # (m * N_CONSTANTS,): those of the task
    penalty: NDArray[np.float64]  # (m,): strength of the L2 penalty in the value of the loss
    scored_X: NDArray  # the inputs of all rows that are scored
    scored_Y: NDArray  # and their targets
    n_groups: int
    n_vectors: int  # of a state
    stride: int  # from one of these to the next
    row_step: int  # from a member's `Steps.rows` to the next one's, 0 if they share them
    rate_step: int  # the same for learning rates
    most: int  # the steps that `Steps.loss` has room for
    scored_step: int  # from a member's to the next one's, 0 if they share them
    scored_block: int  # rows that are scored at once
    penalizes: int  # 1: the penalty is a part of the score
    first: int  # the steps that all have done before
    stop: int  # the step before which the call ends


class LaneNumbers(NamedTuple):
    """The working memory of `train_in_lanes`: numbers that each of N networks has, in its lane."""

    vectors: NDArray  # (n_vectors * n_params * N,)
    beta_products: NDArray[np.float64]  # (2 * N,)
    penalty: NDArray[np.float64]  # (N,)
    rate: NDArray[np.float64]  # (N,)
    loss: NDArray[np.float64]  # (N,)
    # (N,): the offset in `Steps.rows` at which the rows of each one begin
    first_row: NDArray[np.int64]
    first_rate: NDArray[np.int64]  # (N,): the same for learning rates
    first_scored: NDArray[np.int64]  # (N,): and for the rows that are scored
    scored_rows: NDArray[np.int64]  # (any,): their numbers
    right: NDArray[np.int64]  # (N,): how many of these are right


class Weights(NamedTuple):
    """The block that a C function gets as ``const void *network``: the network in numbers, and its
    parameters.
    """

    # records as in `Model`, whose inputs and outputs are places on the stack
    layers: NDArray[np.int64]
    params: NDArray  # (padded n_params,)
    n_layers: int
    n_inputs: int
    n_outputs: int  # numbers that are written: outputs, and their derivatives where wanted
    output: int  # where the outputs are on the stack, in vectors
    n_scratch: int  # numbers of the activations on the stack
    n_delta: int  # numbers of each of the two buffers of deltas there; 0: no derivatives


class TableWeights(NamedTuple):
    """The same of an ensemble with a preparation of numbers before it, see `state.TableRow`; k and
    o are padded.
    """

    layers: NDArray[np.int64]
    params: NDArray  # (n_members * stride,)
    # (4 k,): a `TableRow`'s preparation; (n_numbers * k,): imputation; (4 o,): targets; steps;
    # (3 n_ramps,): ramps
    numbers: NDArray[np.float64]
    # (n_numbers + n_flags + n_ramps,): where numbers are in x, which of them have flags, and which
    # have ramps
    places: NDArray[np.int64]
    n_layers: int
    n_inputs: int  # columns of the table
    n_outputs: int
    output: int
    n_scratch: int
    n_members: int
    stride: int
    n_numbers: int
    n_flags: int
    n_rounds: int  # of imputation
    n_ramps: int
    adds_up: int  # 1: outputs are divided by their sum
    divisor: float  # n_members
    limit: float
    bound: float
    largest: float


def describe(
    network: Network,
    dtype: np.dtype,
    block: int = ROW_BLOCK,
    many: bool = False,
    sparse: bool = False,
) -> Model:
    """Return the `Model` of a network that computes in `dtype`, in blocks of up to `block` rows.

    `many`: of networks whose numbers are vectors; `sparse`: of one whose rows are in CSR form.
    """
    lanes = vector_lanes(dtype)
    unit = 1 if many else lanes  # numbers of a vector
    records = []
    indices = []
    panel = 0
    below = 0
    number_below = 0
    for layer in network.layers:
        size = layer.bias.stop - layer.weight.start
        is_small = size <= SMALL
        is_last = layer.bias.stop == network.n_params
        is_sparse = sparse and not records
        # behind each layer's inputs there is room for a row of ones
        output = 0 if is_sparse else panel + layer.fan_in + 1
        activation = ACTIVATION_CODES[layer.activation]
        number = _number_of(layer, dtype)
        record = {
            "fan_in": layer.fan_in,
            "fan_out": layer.fan_out,
            "weight": layer.weight.start,  # offset of W (fan_in, fan_out) in the parameter vector
            "bias": layer.bias.start,  # offset of the biases, which follow W
            "n_bias": layer.n_bias,  # fan_out, 1 or 0
            # from one neuron's to the next's: 0 where all share one
            "bias_step": layer.n_bias == layer.fan_out,
            # offset at which the layer's update ends: in the last layer that of a vector, what
            # follows it is padding
            "end": layer.weight.start + (padded(size, unit) if is_last else size),
            # offset in `Model.gather_indices`
            "gather_indices": sum(map(len, indices)) if is_small else -1,
            # rows of W that end within W when they are read in whole vectors
            "inside": max(0, layer.fan_in - (padded(layer.fan_out, lanes) - 1) // layer.fan_out),
            "activation": activation,  # code
            "activation_below": below,
            # row of `Scratch.activations`, and of `slopes`, at which the panel of the inputs begins
            "input": panel,
            "output": output,  # and that of the outputs
            # whether the weight gradient is a product with delta transposed, see
            # `matmul.weight_gradient`
            "transposes": transposes(layer, lanes),
            "number": number,  # of the activation
            "number_below": number_below,
            # rows of W whose gradient is made at a time, where rows are in CSR form, else 0
            "strip": strip_rows(layer, lanes) if is_sparse else 0,
        }
        records.append([record[name] for name in LAYER_FIELDS])
        if is_small:
            indices.append(_gather_indices(layer, unit))  # one array for all layers
        panel = output
        below = activation
        number_below = number
    ends = (layer.bias.stop for layer in network.layers)
    layers = np.array(records, np.int64)
    loss, loss_formula = _loss_of(network, dtype)
    return Model(
        layers=layers.reshape(-1),
        panel_layers=layers[sparse:].reshape(-1),
        gather_indices=np.concatenate([np.zeros(0, np.int64), *indices]),
        n_layers=network.n_layers,
        n_panel_layers=network.n_layers - sparse,
        n_params=network.n_params,
        tail=max((end for end in ends if network.n_params - end >= lanes), default=0),
        n_inputs=network.n_inputs,
        n_outputs=network.n_outputs,
        loss=loss,
        loss_formula=loss_formula,
        matched=int(network.matched),
        times_bias=int(network.bias_gradient == "times_bias"),
        mean=int(network.reduction == "mean"),
        block=block,
        single_row_path=int(not sparse and (block == 1 or block > lanes)),
    )


def _number_of(layer: Layer, dtype: np.dtype) -> int:
    """Return the bits of an activation's parameter, a float64, or the address of the block of one
    by a function of the user's, see `custom.py`; else 0.
    """
    if layer.formula is not None:
        return block_of(with_derivative(layer.formula, "z"), dtype)
    return int(np.float64(layer.numbers[0]).view(np.int64)) if layer.numbers else 0


def _loss_of(network: Network, dtype: np.dtype) -> tuple[int, int]:
    """Return `Model.loss` and `Model.loss_formula` of a network."""
    if isinstance(network.loss, CustomLoss):
        return CUSTOM_LOSS, block_of(with_derivative(network.loss.formula, "a"), dtype)
    if network.loss_name == "poisson" and network.matched:
        return MATCHED_POISSON, 0
    codes = LOSS_CODES if network.loss == network.loss_name else LOSS_CODES | SMOOTHED
    return codes[network.loss_name], 0


def transposes(layer: Layer, lanes: int) -> bool:
    """Return whether the sums of a layer's weight gradient are chains over the rows of a batch."""
    return layer.fan_in >= TRANSPOSE_FROM and layer.fan_out % lanes == 0


def strip_rows(layer: Layer, lanes: int) -> int:
    """Return the rows of a strip of a layer's gradient: their numbers fill whole vectors. Where
    sums are chains, a strip has all columns that entries are looked for at a time.
    """
    if transposes(layer, lanes):
        return COLUMNS
    return min(max(STRIP // layer.fan_out // lanes, 1) * lanes, COLUMNS)


def constants_of(
    model: Model, spec: UpdateSpec, scratch: Scratch
) -> tuple[Model, UpdateSpec, Scratch]:
    """Return the constants of a kernel specialized for one network, optimizer and block; None
    stands for the rest.

    Not constant are where the buffers lie, but for their distances, and the numbers that change
    between trainings.
    """
    return (
        model,
        spec._replace(**dict.fromkeys(spec._fields[UpdateSpec._fields.index("penalty") :])),
        relative(scratch),
    )


def update_spec(task: Task, stride: int) -> UpdateSpec:
    """Return the optimizer of a task in numbers; `stride` is from one of the state's vectors to the
    next.
    """
    network = task.network
    dtype = task.data.X.dtype
    optimizer = task.optimizer
    code = (
        MOMENTUM
        if isinstance(optimizer, SGD) and optimizer.n_slots
        else UPDATE_CODES[optimizer.name]
    )
    decay = getattr(optimizer, "weight_decay", 0)
    options = NO_OPTIONS[dtype]
    if optimizer.has_options:
        factors, is_weight = (
            aligned_zeros(padded_size(network.n_params, dtype), dtype) for _ in range(2)
        )
        is_weight[: network.n_params] = network.is_weight()
        rates = optimizer.rates or [(1.0, 1.0)] * network.n_layers
        for layer, (of_weights, of_biases) in zip(network.layers, rates, strict=True):
            factors[layer.weight] = of_weights
            factors[layer.bias] = of_biases
        options = optimizer.clip_norm or math.inf, factors, is_weight
    return UpdateSpec(
        code,
        stride,
        int(optimizer.sequential),
        task.penalty,
        *optimizer.betas,
        decay,
        *options,
        n_vectors=1 + optimizer.n_slots,
    )


def make_least_squares(network: Network, block: int) -> LeastSquares:
    """Make the buffers of `levenberg_marquardt` for blocks of up to `block` rows."""
    dtype = np.dtype(np.float64)
    lanes = vector_lanes(dtype)
    n = padded(network.n_params, lanes)
    width = padded(block, lanes)
    # the row of ones behind the inputs; among the deltas it is a row of zeros
    one = network.n_inputs
    factors = []
    panel = 0
    for layer in network.layers:
        ones = panel + layer.fan_in
        below = range(panel, ones)
        panel = ones + 1
        outputs = range(panel, panel + layer.fan_out)
        of_biases = outputs if layer.n_bias == layer.fan_out else [outputs.stop] * layer.n_bias
        factors += [(a, d) for a in below for d in outputs] + [(ones, d) for d in of_biases]
    factors += [(one, one)] * (n - len(factors)) + [(one, 0)] + [(one, one)] * (lanes - 1)
    sizes = {
        "deltas": (sum(network.sizes) + network.n_layers + 1) * width,
        "jacobian": width * (n + lanes),
    }
    sizes |= dict.fromkeys(("products", "factor"), n * (n + lanes))
    sizes |= dict.fromkeys(("inverse", "gradient", "step", "slopes"), n)
    sizes |= {"unit": lanes * lanes, "tried": padded_size(network.n_params, dtype)}
    by_strip = np.array(factors, np.int64).reshape(-1, lanes, 2).transpose(0, 2, 1).copy()
    buffers = {name: aligned_zeros(size, dtype) for name, size in sizes.items()}
    buffers["unit"][:: lanes + 1] = -1
    return LeastSquares(by_strip, network.is_weight(), **buffers, n=n)


def least_squares_spec(buffers: LeastSquares, task: Task, stride: int) -> LeastSquares:
    """Return the method of a task in numbers, with these buffers."""
    method: Any = task.optimizer
    names = ("damping", "most_damping", "least_damping", "min_grad", "goal")
    bayesian = isinstance(method, BayesianRegularization)
    names += (
        ("first_steps", "first_part", "least_gain", "least_gamma", "least_strength")
        if bayesian
        else ()
    )
    numbers = {name: getattr(method, name) for name in names} | {
        "alpha": task.alpha,
        "penalty": task.penalty,
    }
    return buffers._replace(
        stride=stride, tenfold=int(method.adapt == "tenfold"), bayesian=int(bayesian), **numbers
    )


def set_task_constants(constants: Array, task: Task) -> None:
    """Write the update constants that are the same in all steps of a task;
    `blocks.set_step_constants` the others.
    """
    constants[ALPHA] = task.alpha
    # to assign a slice takes as long as ten of them
    for k, number in enumerate(task.optimizer.constants, HYPER):
        constants[k] = number


def task_constants(tasks: Sequence[Task], dtype: np.dtype) -> Array:
    """Return the update constants of several tasks: (n, N_CONSTANTS)."""
    constants = np.zeros((len(tasks), N_CONSTANTS), dtype)
    for task, row in zip(tasks, constants, strict=True):
        set_task_constants(row, task)
    return constants


def padded(n: int, lanes: int) -> int:
    """Return n rounded up to whole vectors: the width of a panel of n rows."""
    return (n + lanes - 1) // lanes * lanes


def _gather_indices(layer: Layer, lanes: int) -> NDArray[np.int64]:
    """Return for each number of a layer, and for what fills its last vector, the offsets of its row
    in A and in D.
    """
    inputs, neurons = np.divmod(np.arange(layer.fan_in * layer.fan_out), layer.fan_out)
    of_bias = (
        range(layer.fan_out) if layer.n_bias == layer.fan_out else [layer.fan_out] * layer.n_bias
    )
    rows = [*zip(inputs, neurons, strict=True), *((layer.fan_in, row) for row in of_bias)]
    rows += [(0, 0)] * (-len(rows) % lanes)
    return np.array(rows, np.int64).reshape(-1) * lanes


def panel_rows(network: Network, sparse: bool) -> int:
    """Return the rows of all panels together, see `Scratch.activations`."""
    return sum(network.sizes[sparse:]) + network.n_layers


INTEGERS = "rows_of_X", "rows_of_Y", "row_ends", "cursors", "counts", "entry_rows"
"""The buffers of integers."""


def _sizes_of_sparse(layer: Layer, width: int, lanes: int, sparse: bool) -> dict[str, int]:
    """Return the sizes of the buffers for rows in CSR form, of which `layer` is the first."""
    sizes = {
        "row_ends": width,
        "cursors": width,
        "counts": COLUMNS,
        "entry_rows": COLUMNS * (width + lanes),
        "entry_values": COLUMNS * (width + lanes),
        "by_row": width * padded(layer.fan_out, lanes),
        "strip": strip_rows(layer, lanes) * layer.fan_out + lanes,
        "lane_sums": lanes * lanes,
    }
    return sizes if sparse else dict.fromkeys(sizes, lanes)


def make_scratch(
    network: Network,
    dtype: np.dtype,
    rows: int,
    block: int,
    many: bool = False,
    sparse: bool = False,
) -> Scratch:
    """Make the workspace for batches of up to `rows` rows in blocks of `block`, as `describe` does
    its model.
    """
    lanes = 1 if many else vector_lanes(dtype)
    size_of_number = vector_lanes(dtype) // lanes
    width = padded(min(rows, block), lanes)
    keeps_slopes = any(line_of(given, ACTIVATIONS).needs_z for given in network.activations)
    panels = panel_rows(network, sparse) * width
    largest = max(network.sizes[sparse:])
    vector = padded_size(network.n_params, dtype)
    sizes = {  # each is whole vectors, so each begins at one
        "params": vector,
        "activations": panels,
        "slopes": panels if keeps_slopes else lanes,
        "targets": network.n_outputs * width,
        "weight": width,
        **dict.fromkeys(("delta", "delta_below"), (largest + 1) * width),
        "packed": SUM_BLOCK * lanes,
        "transposed": largest * width,
        "gradient": vector,
        "block_gradient": vector if rows > block else lanes,
        "update_constants": padded_size(N_CONSTANTS, dtype),
        **dict.fromkeys(("sum_of_l", "nan_flag", "squares", "zeros"), lanes),
        "loss_numbers": max(1, len(network.loss_numbers)) * padded(network.n_outputs, lanes),
        **dict.fromkeys(("rows_of_X", "rows_of_Y"), width),
        **_sizes_of_sparse(network.layers[0], width, lanes, sparse),
    }
    types = {name: np.dtype(np.int64) if name in INTEGERS else dtype for name in sizes}
    n_bytes = [n * size_of_number * types[name].itemsize for name, n in sizes.items()]
    # One piece of memory, so that in specialized kernels the distances of the buffers are constants
    # (`relative`).
    pieces = np.split(aligned_zeros(sum(n_bytes), np.uint8), np.cumsum(n_bytes)[:-1])
    buffers = {name: piece.view(types[name]) for name, piece in zip(sizes, pieces, strict=True)}
    of_loss = buffers["loss_numbers"].reshape(-1, padded(network.n_outputs, lanes), size_of_number)
    for row, numbers in zip(of_loss, network.loss_numbers, strict=False):
        row[: numbers.size] = numbers[:, None]
    return Scratch(**buffers)
