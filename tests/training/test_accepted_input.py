"""Any good input works, whatever its layout, kind of numbers or container, and is never written."""

import tracemalloc

import numpy as np
import pytest
from bits import all_bits
from good_input import NETWORK, PARAMS, WEIGHT, N, X, Y, labels_network

import fastnn
from fastnn import SGD, Adam, Network, Stop, loss_and_gradient, predict, train


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array):
    wide = np.full([2 * n for n in array.shape], 99, array.dtype)
    every_second = (slice(None, None, 2),) * array.ndim
    wide[every_second] = array
    return wide[every_second]


def unaligned(array):
    return np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


LAYOUTS = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "backwards": lambda array: np.flip(np.flip(array).copy()),
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "unaligned": unaligned,
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
}
NUMBERS = {
    "integers": np.int16,
    "unsigned": np.uint8,
    "large": np.uint64,
    "boolean": bool,
    "half": np.float16,
    "long": np.longdouble,
}


def compute(X, Y, weight, params, backend):
    """The bits of what all functions make of these arrays, which none of them writes."""
    before = all_bits(X, Y, weight, params)
    options = {"sample_weight": weight, "backend": backend}
    found = [predict(NETWORK, params, X, backend=backend), *loss_and_gradient(NETWORK, params, X, Y, **options)]
    options |= {"seed": 0, "epochs": 3, "batch_size": 5, "optimizer": Adam(), "stop": Stop(validation=(X, Y, weight))}
    result = train(NETWORK, X, Y, params=params, **options)
    found += [result.state.vectors, result.history.loss, result.history.validation_loss, result.predict(X)]
    assert all_bits(X, Y, weight, params) == before
    return all_bits(*found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_as_good(layout, backend, dtype):
    arrays = [array.astype(dtype) for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*map(LAYOUTS[layout], arrays), backend) == compute(*arrays, backend)


@pytest.mark.parametrize("kind", NUMBERS.values(), ids=NUMBERS)
def test_any_real_number_is_as_good(kind, backend):
    arrays = [np.round(3 * abs(array)).astype(kind) for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*arrays, backend) == compute(*(array.astype(float) for array in arrays), backend)


@pytest.mark.parametrize("kind", [*NUMBERS.values(), np.float64, np.float32], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("said", [np.float32, "float64", np.dtype("float32")], ids=["float32", "float64", "a dtype"])
def test_dtype_says_what_is_computed_in(kind, said, backend):
    arrays = [np.round(3 * abs(array)).astype(kind) for array in (X, Y, WEIGHT)]
    validation = tuple(array[:5] for array in arrays)
    options = {"optimizer": SGD(), "seed": 0, "epochs": 3, "batch_size": 5, "backend": backend}
    found = []
    for (x, y, weight), held_out, dtype in [
        (arrays, validation, said),
        ([a.astype(said) for a in arrays], tuple(a.astype(said) for a in validation), None),
    ]:
        stop = Stop(validation=held_out)
        result = train(NETWORK, x, y, sample_weight=weight, stop=stop, dtype=dtype, **options)
        found.append([result.params, result.history.loss, result.history.validation_loss])
    assert found[0][0].dtype == said
    assert all_bits(*found[0]) == all_bits(*found[1])


def test_a_memory_map_of_bytes_becomes_float32_and_nothing_else(tmp_path):
    """Less than one number of 8 bytes for each byte of X: no float64 copy is made on the way."""
    many = np.random.RandomState(0).randint(0, 256, (20_000, 50)).astype(np.uint8)
    np.save(tmp_path / "X.npy", many)
    Y = many[:, 0] > 99
    network = Network((50, 2, 1))
    train(network, many[:9], Y[:9], epochs=1, dtype="float32")  # whatever is imported or compiled once
    sizes = {}
    for dtype in ("float32", "float64"):
        tracemalloc.start()
        train(network, np.load(tmp_path / "X.npy", mmap_mode="r"), Y, epochs=1, batch_size=100, dtype=dtype)
        sizes[dtype] = tracemalloc.get_traced_memory()[1] / many.size
        tracemalloc.stop()
    assert 4 < sizes["float32"] < 6
    assert 8 < sizes["float64"] < 10


def test_lists_are_as_good(backend):
    lists = [array.tolist() for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*lists, backend) == compute(X, Y, WEIGHT, PARAMS, backend)


def test_flags_of_numpy_are_as_good(backend):
    options = {"seed": 0, "epochs": 2, "batch_size": 5, "backend": backend}
    kinds = ((kind, {"shuffle": kind(False), "assume_finite": kind(True)}) for kind in (bool, np.bool_))
    found = [train(NETWORK, X, Y, **options | given, stop=Stop(restore_best=kind(True))) for kind, given in kinds]
    assert all_bits(found[0].params) == all_bits(found[1].params)


def test_memory_maps_are_as_good(tmp_path, backend):
    maps = []
    for k, array in enumerate((X, Y, WEIGHT, PARAMS)):
        np.save(tmp_path / f"{k}.npy", array)
        maps.append(np.load(tmp_path / f"{k}.npy", mmap_mode="r"))
    assert compute(*maps, backend) == compute(X, Y, WEIGHT, PARAMS, backend)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_one_output_may_be_a_vector(shape, backend):
    network = Network((3, 1))
    found = loss_and_gradient(network, np.ones(4), X, Y[:, 0].reshape(shape), backend=backend)
    assert all_bits(*found) == all_bits(*loss_and_gradient(network, np.ones(4), X, Y[:, :1], backend=backend))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool, list, np.float64, np.float16])
def test_labels_are_as_good_as_their_one_hot_rows(kind, backend):
    labels = np.arange(N) % 2
    Y = labels.tolist() if kind is list else labels.astype(kind)
    found = [
        train(labels_network(), X, y, optimizer=SGD(), epochs=1, seed=0, backend=backend).params
        for y in (Y, np.eye(2)[labels])
    ]
    assert all_bits(found[0]) == all_bits(found[1])


def test_plain_arrays_are_not_copied():
    """The driver hands over a read-only view of the caller's array."""
    seen = []

    class Spy(type(fastnn.get_backend("numpy"))):
        def train_steps(self, task, state, steps):
            seen.append(task.data)
            return super().train_steps(task, state, steps)

    train(NETWORK, X, Y, sample_weight=WEIGHT, epochs=1, backend=Spy())
    for given, got in zip((X, Y, WEIGHT), seen[0], strict=True):
        assert np.shares_memory(given, got)
        assert not got.flags.writeable
    assert X.flags.writeable
