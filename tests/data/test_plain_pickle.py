from __future__ import annotations

import builtins
import os
import pickle
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aucond.data._pickle import UnsafePickleError, load_plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "data.pkl"
    path.write_bytes(data)
    return load_plain_pickle(path)


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        np.arange(17, dtype=np.float64),
        np.arange(17, dtype=np.float32)[::-1],
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros(0),
        np.array([True, False]),
    ],
    ids=["f8", "f4", "big-endian", "fortran", "empty", "bool"],
)
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int, value: Any) -> None:
    loaded = read(tmp_path, pickle.dumps({"a": value}, protocol))["a"]
    assert np.array_equal(loaded, value) and loaded.dtype == value.dtype


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    value = {
        "list": [1, 2.5, True, None, -(2**70)],
        "tuple": (1, (2, ())),
        "bytes": b"\x00\xff",
        3: "ü",
        "d": {"x": 1},
    }
    assert read(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars(tmp_path: Path, protocol: int) -> None:
    loaded = read(tmp_path, pickle.dumps({"a": np.float32(0.5), "b": np.int16(-3)}, protocol))
    assert loaded == {"a": 0.5, "b": -3}


def test_python_2_text_pickle(tmp_path: Path) -> None:
    """Protocol 0, the default of Python 2: bytes are quoted and escaped text."""
    raw = repr(struct.pack("<2d", 1.5, 2.5))[1:].encode()
    data = (
        b"(dp0\nS'N_1'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S" + raw + b"\np15\ntp16\nbs."
    )
    assert read(tmp_path, data)["N_1"].tolist() == [1.5, 2.5]


def global_opcode(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    command = f"touch {marker}"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    array = np.arange(3.0)
    mark = b"("
    text = b"V" + command.encode() + b"\n"
    deep_key = b"N" + b"\x85" * 200_000
    wide_key = b"N" + b"2\x86" * 64
    dtype = global_opcode("numpy", "dtype") + b"(U\x02f8K\x00K\x01tR"
    return {
        "os.system": (pickle.dumps(Calls(os.system, command)), "forbidden global '(posix|nt).system'"),
        "eval": (pickle.dumps(Calls(eval, code)), "forbidden global 'builtins.eval'"),
        "exec": (pickle.dumps({"a": Calls(builtins.exec, code)}), "forbidden global 'builtins.exec'"),
        "python 2 eval": (
            pickle.dumps(Calls(eval, code), 2),
            "forbidden global '(__builtin__|builtins).eval'",
        ),
        "popen": (
            pickle.dumps(Calls(subprocess.Popen, ["touch", str(marker)])),
            "forbidden global 'subprocess.Popen'",
        ),
        "inst": (mark + text + b"iposix\nsystem\n.", "operation .* plain data does not need"),
        "obj": (mark + global_opcode("posix", "system") + text + b"o.", "forbidden global 'posix.system'"),
        "getattr": (pickle.dumps(Calls(getattr, array, "dump")), "forbidden global 'builtins.getattr'"),
        "np.load": (pickle.dumps(Calls(np.load, "x")), "forbidden global 'numpy.load'"),
        "dotted": (
            b"\x80\x04\x8c\x05numpy\x8c\x0cdtype.newfun\x93.",
            "forbidden global 'numpy.dtype.newfun'",
        ),
        "object array": (pickle.dumps({"a": np.array([{}, None], dtype=object)}), "dtype 'O8'; only numbers"),
        "text array": (pickle.dumps({"a": np.array(["x"])}), "dtype 'U1'; only numbers"),
        "structured array": (pickle.dumps({"a": np.zeros(2, dtype=[("x", "f4")])}), "only numbers"),
        "fields in state": (
            dtype + b"(K\x03U\x01<N(U\x01xt}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
            "structured dtype",
        ),
        "set": (pickle.dumps({1, 2}), "operation .* plain data does not need"),
        "deep key": (b"}" + deep_key + b"Ns.", "dict key of type 'tuple'"),
        "exponential key": (b"}" + wide_key + b"Ns.", "dict key of type 'tuple'|operation"),
        "deep keys at once": (b"}(" + deep_key + b"Nu.", "dict key of type 'tuple'"),
        "deep key of dict": (b"(" + deep_key + b"Nd.", "dict key of type 'tuple'"),
        "array as key": (b"}" + dtype + b"Ns.", "dict key of type '_Dtype'"),
        "items of a list": (b"]K\x00K\x01s.", "sets items of 'list'"),
        "huge bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.", "damaged or no pickle"),
        "huge bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x.", "damaged or no pickle"),
        "bytes of a number": (
            global_opcode("builtins", "bytes") + b"(J\xff\xff\xff\x7ftR.",
            "makes bytes out of",
        ),
        "persistent": (b"Pname\n.", "operation .* plain data does not need"),
        "extension": (b"\x82\x01.", "operation .* plain data does not need"),
        "call a string": (b"U\x01xNR.", "calls 'str'"),
        "call a type": (global_opcode("numpy", "ndarray") + b")R.", "only stands for a type"),
        "change a constructor": (
            global_opcode("_codecs", "encode") + b"N}(U\x0c__defaults__)u\x86b.",
            "sets the state of '_Encode'",
        ),
        "state of a dict": (b"}}b.", "sets the state of 'dict'"),
        "short data": (
            pickle.dumps({"a": array}, 2).replace(b"K\x03\x85", b"K\x04\x85"),
            "shape .4,. with 24 bytes",
        ),
        "missing memo": (b"h\x07.", "damaged or no pickle"),
        "empty": (b"", "damaged or no pickle"),
        "text": (b"name,AU01\n", "damaged or no pickle|operation"),
        "cut": (pickle.dumps({"a": array}, 2)[:-20], "damaged or no pickle"),
        "future": (b"\x80\x63N.", "damaged or no pickle"),
    }


@pytest.mark.parametrize("case", list(hostile(Path("marker"))))
def test_hostile_and_damaged_pickles_are_refused_by_name(tmp_path: Path, case: str) -> None:
    marker = tmp_path / "it_ran"
    data, message = hostile(marker)[case]
    with pytest.raises(UnsafePickleError, match=message):
        read(tmp_path, data)
    assert not marker.exists()


def test_deeply_nested_values_do_no_harm(tmp_path: Path) -> None:
    loaded = read(tmp_path, b"}U\x01a" + b"N" + b"\x85" * 200_000 + b"s.")
    assert isinstance(loaded["a"], tuple)


def test_random_damage_ends_in_plain_data_or_one_error(tmp_path: Path) -> None:
    whole = pickle.dumps({f"n{i}": np.arange(4.0) + i for i in range(3)}, 2)
    rng = random.Random(0)
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            loaded = read(tmp_path, bytes(data))
        except UnsafePickleError:
            refused += 1
        else:
            for value in loaded.values() if isinstance(loaded, dict) else []:
                assert not isinstance(value, np.ndarray) or value.dtype.kind in "fiub"
    assert 100 < refused < 500
