"""HW7's 8-bit file, against the homework's own two functions in an interpreter of their own.

Only there are pickles made and read by Python itself, from files that these tests wrote.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import CheckpointError, ConfigError
from core.quantization.hw7 import decode8, encode8

HOMEWORK = """
import pickle, sys
import numpy as np

def encode8(params, fname, protocol):
    custom_dict = {}
    for (name, param) in params.items():
        param = np.float64(param)
        if type(param) == np.ndarray:
            min_val, max_val = np.min(param), np.max(param)
            param = np.uint8(np.round((param - min_val) / (max_val - min_val) * 255))
            custom_dict[name] = (min_val, max_val, param)
        else:
            custom_dict[name] = param
    with open(fname, "wb") as file:
        pickle.dump(custom_dict, file, protocol=protocol)

def encode16(params, fname):
    with open(fname, "wb") as file:
        pickle.dump({name: np.float16(param) for name, param in params.items()}, file)

def decode8(fname):
    with open(fname, "rb") as file:
        params = pickle.load(file)
    custom_dict = {}
    for (name, param) in params.items():
        if type(param) == tuple:
            min_val, max_val, param = param
            param = np.float64(param)
            custom_dict[name] = (param / 255 * (max_val - min_val)) + min_val
        else:
            custom_dict[name] = np.asarray(param)
    return custom_dict

folder = sys.argv[1]
params = dict(np.load(folder + "/state.npz"))
for protocol in range(6):
    encode8(params, f"{folder}/wild{protocol}.pkl", protocol)
encode16(params, folder + "/half.pkl")
np.savez(folder + "/decoded.npz", **decode8(folder + "/ours.pkl"))
"""
RNG = np.random.default_rng(0)
STATE: dict[str, NDArray[Any]] = {
    "features.0.weight": RNG.normal(0, 0.1, (7, 3, 3, 3)).astype(np.float32),
    "features.0.bias": RNG.normal(0, 0.1, 7).astype(np.float32),
    "features.1.num_batches_tracked": np.asarray(4321, np.int64),
    "fc.weight": RNG.normal(0, 0.1, (11, 300)).astype(np.float32),
}
SHAPES = {name: tensor.shape for name, tensor in STATE.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The homework's files of STATE in every protocol, and what it reads in ours."""
    folder = tmp_path_factory.mktemp("hw7")
    np.savez(folder / "state.npz", **STATE)  # type: ignore[arg-type]
    (folder / "ours.pkl").write_bytes(encode8(STATE))
    done = subprocess.run(
        [sys.executable, "-c", HOMEWORK, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder


def by_hand(tensor: NDArray[Any]) -> NDArray[np.float64]:
    """The homework's formula there and back."""
    exact = tensor.astype(np.float64)
    low, high = exact.min(), exact.max()
    return np.round((exact - low) / (high - low) * 255) / 255 * (high - low) + low


def test_the_homework_reads_what_we_write(folder: Path) -> None:
    decoded = dict(np.load(folder / "decoded.npz"))
    assert list(decoded) == list(STATE)
    for name, tensor in STATE.items():
        wanted = by_hand(tensor) if tensor.ndim else tensor
        np.testing.assert_allclose(decoded[name], wanted, rtol=1e-12)
    counter = decoded["features.1.num_batches_tracked"]
    assert counter == 4321 and counter.dtype == np.int64


@pytest.mark.parametrize("protocol", range(6))
def test_we_read_what_the_homework_writes(folder: Path, protocol: int) -> None:
    data = (folder / f"wild{protocol}.pkl").read_bytes()
    state = decode8(data, SHAPES)
    for name, tensor in STATE.items():
        wanted = by_hand(tensor) if tensor.ndim else tensor
        np.testing.assert_allclose(state[name], wanted, rtol=1e-6)
        assert state[name].dtype == tensor.dtype and state[name].shape == tensor.shape
    if protocol in (2, 3):  # numpy 1 wrote other module names; there they are plain lines
        for ours in decode8(data.replace(b"numpy._core", b"numpy.core"), SHAPES).items():
            np.testing.assert_array_equal(ours[1], state[ours[0]])


def test_the_sixteen_bit_file_is_read_too(folder: Path) -> None:
    state = decode8((folder / "half.pkl").read_bytes(), SHAPES)
    for name, tensor in STATE.items():
        expected = tensor.astype(np.float16).astype(np.float32) if tensor.ndim else 4320
        np.testing.assert_array_equal(state[name], expected)  # 4321 is none of float16's numbers


def test_a_value_comes_back_within_half_a_step() -> None:
    state = decode8(encode8(STATE), SHAPES)
    for name, tensor in STATE.items():
        step = (float(tensor.max()) - float(tensor.min())) / 255
        assert np.abs(state[name] - tensor).max() <= step / 2 + 1e-7


def test_equal_values_and_counters_may_be_missing() -> None:
    state = {"a.weight": np.full((2, 3), 0.1, np.float32), "empty": np.ones((1, 1), np.float32)}
    back = decode8(
        encode8(state), {"a.weight": (2, 3), "empty": (1, 1), "bn.num_batches_tracked": ()}
    )
    np.testing.assert_array_equal(back["a.weight"], state["a.weight"])


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({**STATE, "extra.weight": np.ones((2, 2), np.float32)}, "extra.weight"),
        ({n: t for n, t in STATE.items() if n != "fc.weight"}, "fc.weight"),
        ({**STATE, "fc.weight": np.ones((300, 11), np.float32)}, "300 x 11"),
    ],
)
def test_another_networks_file_is_refused(state: Any, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        decode8(encode8(state), SHAPES)


@pytest.mark.parametrize("value", ["007e", "007c"])  # float16's NaN and infinity
def test_what_is_no_number_is_not_read(folder: Path, value: str) -> None:
    data = (folder / "half.pkl").read_bytes()
    number = STATE["features.0.bias"].astype(np.float16).tobytes()[:2]
    at = data.index(STATE["features.0.bias"].astype(np.float16).tobytes())
    assert data[at : at + 2] == number
    with pytest.raises(CheckpointError, match="finite"):
        decode8(data[:at] + bytes.fromhex(value) + data[at + 2 :])


def test_what_is_no_number_is_not_written() -> None:
    with pytest.raises(ConfigError, match="finite"):
        encode8({"a": np.array([1.0, np.nan], np.float32)})
