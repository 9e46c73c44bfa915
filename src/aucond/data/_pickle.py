"""A pickle reader that can build dicts, lists, tuples, strings, numbers and numeric numpy arrays, nothing else.

No global of a pickle is ever looked up: the few names that numpy's own pickles contain stand for small constructors
in this file, every other name is an error. Only the opcodes such files need are known at all.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = ["UnsafePickleError", "load_plain_pickle"]


class UnsafePickleError(ValueError):
    """A pickle that is damaged or holds anything but plain data."""


def load_plain_pickle(path: Path) -> Any:
    """Return the plain data in a pickle of any protocol; Python 2 strings are read as latin-1.

    Raises:
        UnsafePickleError: Any other content; the message names the forbidden global or operation.
    """
    data = path.read_bytes()
    try:
        return _finished(_PlainUnpickler(io.BytesIO(data), encoding="latin1").load())
    except UnsafePickleError:
        raise
    # The reader is Python code, so a damaged file can end in any of these; a KeyError is an unknown opcode.
    except KeyError as error:
        raise UnsafePickleError(
            f"holds an operation or reference that plain data does not need ({error})"
        ) from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        struct.error,
        MemoryError,
        OverflowError,
    ) as error:
        raise UnsafePickleError(f"is damaged or no pickle ({type(error).__name__}: {error})") from error


class _Dtype:
    """A numeric dtype under construction."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        if re.fullmatch(r"[<>|=]?(f[248]|[iu][1248]|b1)", code) is None:
            raise UnsafePickleError(f"holds an array of dtype {code!r}; only numbers are allowed")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        order = _text(state[1])
        if any(part is not None for part in state[2:5]) or order not in ("<", ">", "|", "="):
            raise UnsafePickleError("holds an array of a structured dtype; only numbers are allowed")
        self.dtype = np.dtype(order + self.dtype.str[1:])


class _Array:
    """A numeric array under construction."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: npt.NDArray[Any] = np.empty(0)

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _array(raw, dtype, shape, "F" if fortran else "C")


class _Constructor:
    """What a permitted global stands for. Without attributes, so that no pickle can change it."""

    __slots__ = ()

    def build(self, *args: Any) -> Any:
        raise UnsafePickleError(f"calls a name that only stands for a type ({type(self).__name__})")


class _ArrayType(_Constructor):
    __slots__ = ()


class _Reconstruct(_Constructor):
    __slots__ = ()

    def build(self, *args: Any) -> _Array:
        return _Array()


class _MakeDtype(_Constructor):
    __slots__ = ()

    def build(self, *args: Any) -> _Dtype:
        return _Dtype(_text(args[0]))


class _FromBuffer(_Constructor):
    __slots__ = ()

    def build(self, *args: Any) -> _Array:
        raw, dtype, shape, order = args
        result = _Array()
        result.value = _array(raw, dtype, shape, _text(order))
        return result


class _Scalar(_Constructor):
    __slots__ = ()

    def build(self, *args: Any) -> Any:
        dtype, raw = args
        return _array(raw, dtype, (), "C").item()


class _Encode(_Constructor):
    """How protocol 2 pickles of Python 3 hold bytes."""

    __slots__ = ()

    def build(self, *args: Any) -> bytes:
        return _bytes(args[0])


class _NoBytes(_Constructor):
    """How protocol 2 pickles of Python 3 hold no bytes."""

    __slots__ = ()

    def build(self, *args: Any) -> bytes:
        if args:
            raise UnsafePickleError("makes bytes out of something else, which plain data never does")
        return b""


_CONSTRUCTORS: dict[str, _Constructor] = {"_codecs.encode": _Encode(), "numpy.dtype": _MakeDtype()}
_CONSTRUCTORS["numpy.ndarray"] = _ArrayType()
_CONSTRUCTORS["__builtin__.bytes"] = _CONSTRUCTORS["builtins.bytes"] = _NoBytes()
for _package in ("numpy.core", "numpy._core"):
    _CONSTRUCTORS[f"{_package}.multiarray._reconstruct"] = _Reconstruct()
    _CONSTRUCTORS[f"{_package}.multiarray.scalar"] = _Scalar()
    _CONSTRUCTORS[f"{_package}.numeric._frombuffer"] = _FromBuffer()


# The operations below get the reader as Any: its stack is no part of the typed interface.
def _load_reduce(reader: Any) -> None:
    args, function = reader.stack.pop(), reader.stack.pop()
    if not isinstance(function, _Constructor) or not isinstance(args, tuple):
        raise UnsafePickleError(f"calls {type(function).__name__!r}, which plain data never does")
    reader.append(function.build(*args))


def _load_build(reader: Any) -> None:
    state, target = reader.stack.pop(), reader.stack[-1]
    if not isinstance(target, _Array | _Dtype) or not isinstance(state, tuple):
        raise UnsafePickleError(f"sets the state of {type(target).__name__!r}, which plain data never does")
    target.set_state(state)


def _load_setitem(reader: Any) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    _fill(reader.stack[-1], [key, value])


def _load_setitems(reader: Any) -> None:
    items = reader.pop_mark()
    _fill(reader.stack[-1], items)


def _load_dict(reader: Any) -> None:
    items = reader.pop_mark()
    reader.append(_fill({}, items))


def _load_bytearray8(reader: Any) -> None:
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(reader.read(length))


# fmt: off
_PLAIN_OPCODES = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.LONG4,
    pickle.FLOAT, pickle.BINFLOAT, pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE,
    pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES,
    pickle.BINBYTES8, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.PUT,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.MEMOIZE,
    pickle.GLOBAL, pickle.STACK_GLOBAL,
)
# fmt: on


class _PlainUnpickler(pickle._Unpickler):
    """The standard library's reader in Python, with a short list of opcodes and constructors.

    The reader in C would do for the names, but it hashes whatever a file uses as a key, and a tuple nested
    a million deep ends the process there.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in _PLAIN_OPCODES},
        pickle.REDUCE[0]: _load_reduce,
        pickle.BUILD[0]: _load_build,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
    }

    def find_class(self, module_name: str, global_name: str) -> _Constructor:
        """Return what a permitted name stands for; nothing is ever imported."""
        name = f"{module_name}.{global_name}"
        if name not in _CONSTRUCTORS:
            raise UnsafePickleError(
                f"names the forbidden global {name!r}; only plain numbers and arrays are read"
            )
        return _CONSTRUCTORS[name]


def _fill(target: Any, items: list[Any]) -> dict[Any, Any]:
    if type(target) is not dict:
        raise UnsafePickleError(f"sets items of {type(target).__name__!r}, which plain data never does")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Hashing a string or a number ends; hashing a nested tuple may not.
        if type(key) not in (str, bytes, int):
            raise UnsafePickleError(f"has a dict key of type {type(key).__name__!r}; only names are expected")
        target[key] = value
    return target


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> npt.NDArray[Any]:
    if not isinstance(dtype, _Dtype):
        raise UnsafePickleError(f"holds an array whose dtype is {type(dtype).__name__!r}")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 8:
        raise UnsafePickleError("holds an array with a damaged shape")
    data = _bytes(raw)
    if len(data) != math.prod(shape) * dtype.dtype.itemsize or order not in ("C", "F"):
        raise UnsafePickleError(f"holds an array of shape {shape} with {len(data)} bytes of data")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str | bytes):
        raise UnsafePickleError(f"holds {type(value).__name__!r} where bytes belong")
    return value.encode("latin1") if isinstance(value, str) else value


def _text(value: Any) -> str:
    return _bytes(value).decode("latin1")


def _finished(value: Any) -> Any:
    """Replace what is under construction in a value or in the values of a dict; deeper, plain data has none."""
    if isinstance(value, dict):
        return {key: item.value if isinstance(item, _Array) else item for key, item in value.items()}
    return value.value if isinstance(value, _Array) else value
