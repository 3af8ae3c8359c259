"""What bundles hold in tests, and the bytes of crafted ones."""

from __future__ import annotations

import io
import os
import struct
import zipfile

import numpy as np

MANIFEST = {"model": "ensemble", "columns": ["z", "a"], "scale": 0.1, "nested": {"z": 1, "a": [1, None, "é"]}}


ARRAYS = {
    "weights/0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "weights/1": np.array(2.5),
    "file": np.array([True, False]),
    "empty": np.zeros((0, 4), np.int64),
}


VERSION = "2013-02-03-0123abcd"


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as bundle:
        for name, content in {"manifest.npy": npy(np.frombuffer(b"{}", np.uint8)), **entries}.items():
            bundle.writestr(name, content)
    return stream.getvalue()


class Bomb:
    def __reduce__(self):
        return os.abort, ()
