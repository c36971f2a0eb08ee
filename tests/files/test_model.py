"""Files: what is saved comes back and goes on bit for bit; whatever else is in a file is refused with a clear text."""

import io
import json
import os
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from bits import bits, result_bits, state_bits
from chunks import chunks_of

from fastnn import (
    SGD,
    Adam,
    FastnnError,
    ModelFileError,
    Network,
    ReduceRate,
    Stop,
    cosine,
    load,
    one_cycle,
    train,
    warm_up,
)
from fastnn.files import model

NETWORK = Network((3, 4, 2), activation="tanh")


def data(dtype=np.float64):
    random_state = np.random.RandomState(0)
    return random_state.randn(23, 3).astype(dtype), random_state.randn(23, 2).astype(dtype)


def trained(backend="numpy", dtype=np.float64, **options):
    defaults = {"optimizer": Adam(0.01), "epochs": 5, "batch_size": 5, "seed": 3, "backend": backend}
    return train(NETWORK, *data(dtype), **defaults | options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("good") / "model.npz"
    trained(stop=Stop(tol=0.0, validation=0.3, restore_best=True)).save(path)
    return path.read_bytes()


def parts_of(content):
    """Header and arrays of a file."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    return json.loads(arrays.pop("header").tobytes()), arrays


def write(path, header, arrays):
    with open(path, "wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)


# ------------------------------------------------------------------------------------------------------- there and back


OPTIONS = {
    "plain": {},
    "full batch": {"batch_size": None, "optimizer": SGD(0.1)},
    "momentum": {"optimizer": SGD(0.1, momentum=0.9)},
    "validation": {"stop": Stop(tol=0.0, patience=50, validation=0.3, restore_best=True)},
    "tolerance": {"stop": Stop(tol=0.0, patience=50)},
    "monitor": {"stop": Stop(monitor="r2", restore_best=True, reduce=ReduceRate(0.5, 1))},
    "schedule": {"optimizer": Adam(cosine(0.1, 100))},
    "warm_up": {"optimizer": Adam(warm_up(0.1, 100, 0.01))},
    "one_cycle": {"optimizer": Adam(one_cycle(0.1, 100))},
    "function": {"optimizer": Adam(lambda step: 0.1 / (1 + step))},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_what_is_saved_comes_back(path, case, dtype):
    result = trained(dtype=dtype, **OPTIONS[case])
    result.save(path)
    loaded = load(path)
    assert result_bits(loaded) == result_bits(result)
    assert loaded.network == result.network
    assert loaded.history.seconds == result.history.seconds
    assert loaded.backend == "numpy"
    X, _ = data()
    assert bits(loaded.predict(X)) == bits(result.predict(X))
    with pytest.raises(ValueError, match="read-only"):
        loaded.params[0] = 1


@pytest.mark.parametrize("case", OPTIONS)
def test_training_goes_on_from_a_file_bit_for_bit(path, backend, case, dtype):
    options = OPTIONS[case]
    whole = trained(backend, dtype, **options | {"epochs": 10})
    trained(backend, dtype, **options).save(path)
    state = load(path).state
    assert state.storage.ctypes.data % 64 == 0
    resumed = trained(backend, dtype, **options | {"resume": state, "seed": None})
    assert state_bits(resumed.state) == state_bits(whole.state)
    assert bits(resumed.params) == bits(whole.params)


def test_training_goes_on_within_an_epoch(path, monkeypatch):
    class Stopper:
        per_chunk = True

        def __call__(self, progress):
            if progress.step == 7:
                progress.result().save(path)

    chunks_of(monkeypatch, 1)
    whole = trained(callbacks=[Stopper()])
    loaded = load(path)
    assert (loaded.stop_reason, loaded.n_epochs, loaded.state.batch) == ("running", 1, 2)
    resumed = trained(epochs=4, resume=loaded.state, seed=None)
    assert state_bits(resumed.state) == state_bits(whole.state)


def test_every_option_of_the_network_comes_back(path):
    network = Network(
        (3, 5, 4, 2),
        activation=("relu", "sigmoid"),
        output="sigmoid",
        loss="log_loss",
        bias="scalar",
        bias_gradient="times_bias",
        reduction="sum",
        init="normal",
        bias_init=1.5,
    )
    X, Y = data()
    train(network, X, Y > 0, epochs=1, backend="numpy").save(path)
    assert load(path).network == network


def test_numpy_reads_the_file(path):
    result = trained()
    result.save(path)
    with np.load(path) as file:
        assert bits(file["params"]) == bits(result.params)
        header = json.loads(file["header"].tobytes())
    assert (header["format"], header["format_version"]) == ("fastnn", 1)
    assert header["counters"]["optimizer"]["learning_rate"] == 0.01
    assert header["versions"]["numpy"] == np.__version__


def test_another_process_reads_the_file(path):
    trained().save(path)
    code = "import fastnn, sys; print(fastnn.load(sys.argv[1]).params.tobytes().hex(), 'numba' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert output.split() == [load(path).params.tobytes().hex(), "False"]


def test_a_file_of_the_other_byte_order_is_read(path, content):
    header, arrays = parts_of(content)
    swapped = {name: a.astype(a.dtype.newbyteorder("S")) for name, a in arrays.items()}
    write(path, header, swapped)
    loaded = load(path)
    assert bits(loaded.params) == bits(arrays["params"])
    assert loaded.state.index.dtype.isnative


# ---------------------------------------------------------------------------------------------------- how it is written


def test_the_name_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained().save("model")
    trained().save(str(tmp_path / "other.bin"))
    assert sorted(os.listdir()) == ["model", "other.bin"]


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_what_breaks_off_leaves_the_old_file(path, monkeypatch, where):
    trained().save(path)
    old = path.read_bytes()

    def fail(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np if where == "savez" else os, where, fail)
    with pytest.raises(KeyboardInterrupt):
        trained(seed=4).save(path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_it_is_on_the_disk_before_it_takes_the_name(path, monkeypatch):
    calls = []

    def recorded(name, do):
        return lambda *args: (calls.append(name), do(*args))

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    trained().save(path)
    assert calls == ["fsync", "replace"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_permissions_follow_the_umask_and_links_stay(tmp_path):
    old = os.umask(0o027)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "target")
        trained().save(tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_keeps_its_permissions_when_it_is_replaced(path, monkeypatch, mode):
    """From the first byte on: what was private is at no time readable by others."""
    trained().save(path)
    path.chmod(mode)
    seen = []
    really = np.savez

    def savez(file, **arrays):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        really(file, **arrays)

    monkeypatch.setattr(np, "savez", savez)
    trained(seed=4).save(path)
    assert [*seen, stat.S_IMODE(path.stat().st_mode)] == [mode, mode]


def test_save_and_load_pass_on_what_the_system_says(tmp_path, monkeypatch):
    """By the name that they were given."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError) as error:
        trained().save("no folder/model")
    assert str(error.value).endswith("No such file or directory: 'no folder/model'")
    with pytest.raises(OSError, match=r"not a regular file, so it is not replaced: '\.'"):
        trained().save(".")
    with pytest.raises(TypeError, match="not TrainingState"):
        model.save(tmp_path / "model", trained().state)


def test_what_could_not_be_read_again_is_not_written(path):
    network = Network((1,) * 40_000)
    result = train(network, [[1.0]], [[1.0]], epochs=0, optimizer=SGD(), backend="numpy")
    with pytest.raises(ValueError, match=r"at most 65,536 bytes of layers and options, not 120,"):
        result.save(path)
    assert not path.exists()


# ------------------------------------------------------------------------------------------------------------ bad files


def refused(path, match):
    with pytest.raises(ModelFileError, match=match) as error:
        load(path)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, FastnnError)
    assert str(path) in str(error.value)


def test_truncated_files_are_refused(path, content):
    for n in (0, 1, 4, 100, len(content) // 2, len(content) - 30, len(content) - 1):
        path.write_bytes(content[:n])
        refused(path, "damaged|not a fastnn file")


def test_a_flipped_bit_is_found_or_meant_nothing(path, content):
    """Checksums cover the arrays; what the archive says besides is either checked or not used."""
    path.write_bytes(content)
    good = result_bits(load(path))
    found = harmless = 0
    for i in range(0, len(content), 13):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        try:
            loaded = load(path)
        except ModelFileError:
            found += 1
        else:
            harmless += 1
            assert result_bits(loaded) == good
    assert found > 5 * harmless


@pytest.mark.parametrize("what", [b"", b"hello", b"\x89PNG\r\n", b"PK\x03\x04rubbish", b"\x93NUMPY"])
def test_foreign_files_are_refused(path, what):
    path.write_bytes(what)
    refused(path, "fastnn file")


def test_foreign_archives_are_refused(path):
    np.savez(path, weights=np.zeros(3))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.frombuffer(b"[1, 2]", np.uint8))
    refused(path, "not a fastnn file")
    np.savez(path, header=np.zeros(3))
    refused(path, "its header is no text")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not a fastnn file")


def test_a_later_format_is_refused(path, content):
    header, arrays = parts_of(content)
    write(path, header | {"format_version": 2, "versions": {"fastnn": "9.1"}}, arrays | {"new": np.zeros(1)})
    refused(path, "written by fastnn 9.1 in format 2; this is fastnn .*, which reads format 1")


class Bomb:
    """What would run if anything unpickled it."""

    def __reduce__(self):
        return os._exit, (3,)


def test_pickles_are_never_opened(path, content):
    header, arrays = parts_of(content)
    arrays["loss"] = np.array([Bomb()], object)
    write(path, header, arrays)
    refused(path, "loss.npy holds object")


def test_sizes_are_checked_before_anything_is_allocated(path, content):
    header, arrays = parts_of(content)
    write(path, header, arrays)
    with zipfile.ZipFile(path) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    lie = io.BytesIO()
    np.lib.format.write_array_header_1_0(lie, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    for compression, loss, match in (
        (zipfile.ZIP_STORED, lie.getvalue(), "or another size than that"),
        (zipfile.ZIP_DEFLATED, raw["loss.npy"] + bytes(10**6), "not stored as fastnn stores it"),
        (zipfile.ZIP_DEFLATED, raw["loss.npy"], "not stored as fastnn stores it"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in raw.items():
                archive.writestr(name, loss if name == "loss.npy" else value, compression)
        refused(path, match)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in raw.items():
            archive.writestr(name, value)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("loss.npy", raw["loss.npy"])
    refused(path, "an .npz archive of something else")


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("params", lambda a: a * np.nan, "params must be finite"),
        ("best_params", lambda a: a * np.inf, "best_params must be finite"),
        ("vectors", lambda a: a * np.nan, "state's parameters must be finite"),
        ("params", lambda a: a[1:], r"params is float64 \(25,\) where its header asks for float64 \(26,\)"),
        ("params", lambda a: a.astype(np.float32), "params is float32"),
        ("vectors", lambda a: a[:2], r"vectors is float64 \(2, 26\)"),
        ("index", lambda a: a + 1, "its row order is not a permutation"),
        ("index", lambda a: a - 1, "not a permutation of the rows"),
        ("index", lambda a: a[:, None], "index is int64"),
        ("index", lambda a: a.astype(float), "index is float64"),
        ("index", lambda a: np.r_[a[:-1], a[0]], "is not a permutation of the rows"),
        ("validation_rows", lambda a: a[1:], "not a permutation of the rows"),
        ("random_state", lambda a: a[1:], r"random_state is uint32 \(623,\)"),
        ("validation_loss", lambda a: a[1:], "validation_loss is float64"),
        ("loss", lambda a: None, r"lacks \['loss'\]"),
        ("best_params", lambda a: None, r"lacks \['best_params'\]"),
        ("extra", lambda a: np.zeros(1), r"unexpected \['extra'\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(path, content, name, change, match):
    header, arrays = parts_of(content)
    changed = arrays | {name: change(arrays.get(name))}
    write(path, header, {key: value for key, value in changed.items() if value is not None})
    refused(path, match)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dtype", "object"),
        ("dtype", "complex128"),
        ("n_params", 27),
        ("n_vectors", 0),
        ("n_vectors", "3"),
        ("optimizer", None),
        ("t", -1),
        ("t", 2**70),
        ("batch", -1),
        ("beta_products", [0.5]),
        ("beta_products", [0.5, 2.0]),
        ("random_state", {"pos": 625, "has_gauss": 0, "gauss": 0.0}),
        ("random_state", {"pos": 3, "has_gauss": 2, "gauss": 0.0}),
        ("counters", []),
        ("counters", {"alpha": -1.0}),
        ("counters", {"alpha": "0"}),
        ("counters", {"shuffle": 1}),
        ("counters", {"rate_factor": 1.5}),
        ("counters", {"rate_least": -1.0}),
        ("counters", {"best_on": 1}),
        ("monitor", 1),
        ("counters", {"batch_size": 0}),
        ("counters", {"activation": "tanh"}),
        ("counters", {"loss": 3}),
        ("counters", {"optimizer": "Adam"}),
        ("counters", {"optimizer": {"name": "Adam"}}),
        ("stop_reason", "tired"),
        ("backend", 3),
        ("network", {"sizes": [3, 4, 2], "activation": "nothing"}),
        ("network", None),
        ("seconds", "long"),
    ],
)
def test_headers_that_do_not_fit_are_refused(path, content, name, value):
    header, arrays = parts_of(content)
    write(path, header, arrays)
    load(path)
    write(path, header | {name: value}, arrays)
    refused(path, "damaged")
    del header[name]
    write(path, header, arrays)
    refused(path, "damaged")


@pytest.mark.parametrize("path", [None, 3, io.BytesIO()], ids=["None", "a number", "a buffer"])
def test_what_is_no_name_of_a_file_is_refused(path):
    result = train(Network((2, 1)), np.ones((3, 2)), np.ones(3), epochs=1, seed=0, backend="numpy")
    for call in (load, result.save):
        with pytest.raises(TypeError, match="path must be the name of a file, such as"):
            call(path)
