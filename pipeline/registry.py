"""Bundles: one file a model version, holding a JSON manifest and arrays of numbers. No code is ever read from one.

A bundle is `<bundles>/<monitor>/<version>.npz`: an uncompressed zip of `.npy` entries, the same bytes for the same
content. Its SHA-256 is kept in the store and is checked before anything in the file is opened.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import math
import os
import re
import time
import uuid
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pipeline.errors import ConfigurationError, CorruptBundle, FailedMachinery

MAX_BYTES = 512 * 2**20
MAX_ENTRIES = 4_096
STALE_SECONDS = 3_600
YOUNG_SECONDS = 86_400

Array = np.ndarray[Any, Any]

_MANIFEST = "manifest"
_MONITOR = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PARTITION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VERSION = re.compile(_PARTITION.pattern + r"-[0-9a-f]{8}")
_ENTRY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_NUMBERS = "biuf"


@dataclass(frozen=True)
class Saved:
    """A bundle on disk: its version `<through>-<first 8 hex digits of sha256>`, its digest, its path."""

    version: str
    sha256: str
    path: Path


class Registry:
    """The bundles of every monitor under one folder."""

    def __init__(self, bundles: Path) -> None:
        self._bundles = bundles

    def save(self, monitor: str, through: str, manifest: Mapping[str, Any], arrays: Mapping[str, Array]) -> Saved:
        """Write a bundle, whole or not at all; the same content again is the same version and writes nothing.

        `through` is the last partition of the training window. `manifest` is JSON and keeps its order; `arrays` are
        boolean, integer or float arrays of any shape under names such as `weights/0`. Raises ValueError for anything
        else, FailedMachinery when the disk refuses; then no file is left behind.
        """
        if not _PARTITION.fullmatch(through):
            raise ConfigurationError(f"{monitor}: {through!r} is not a partition; write it as 2013-02-03")
        content = _pack(monitor, manifest, arrays)
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._path(monitor, f"{through}-{sha256[:8]}")
        with _machinery(f"{monitor}: bundle {path.stem} could not be written"):
            if not (path.exists() and _digest(path) == sha256):
                _write(path, content)
        return Saved(path.stem, sha256, path)

    def load(self, monitor: str, version: str, sha256: str) -> tuple[dict[str, Any], dict[str, Array]]:
        """The manifest and the arrays of a bundle whose digest is `sha256` (64 hex digits).

        Raises CorruptBundle when the file is missing, is not the one that was saved or holds anything but numbers;
        FailedMachinery when the disk does not answer.
        """
        path, what, mend = self._path(monitor, version), *_of_bundle(monitor, version)
        return _opened(_checked(path, sha256, what, mend), what, mend)

    def content(self, monitor: str, version: str, sha256: str) -> bytes:
        """The bytes of the bundle whose digest is `sha256`, for `open_bundle` elsewhere. Raises as `load` does."""
        return _checked(self._path(monitor, version), sha256, *_of_bundle(monitor, version))

    def save_companion(
        self, monitor: str, version: str, width: int, manifest: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> None:
        """Keep the model that gives codes of `width` numbers beside the bundle of `version`; the first one stays.

        Its digest is in its name, for the store knows nothing of it. Raises as `save` does.
        """
        content = _pack(monitor, manifest, arrays)
        path = self._path(monitor, version)
        path = path.with_name(f"{version}.codes-{width}.{hashlib.sha256(content).hexdigest()}.npz")
        with _machinery(f"{monitor}: companion {path.name} could not be written"):
            if self._companion(monitor, version, width) is None:
                _write(path, content)

    def load_companion(self, monitor: str, version: str, width: int) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """The companion's manifest and arrays, None if there is none yet.

        Raises CorruptBundle when the file is not the one that its name says or holds anything but numbers;
        FailedMachinery when the disk does not answer.
        """
        path = self._companion(monitor, version, width)
        if path is None:
            return None
        mend = f"delete {path}: it is trained again when it is next needed"
        what = f"{monitor}: companion {path.name}"
        return _opened(_checked(path, path.name.split(".")[-2], what, mend), what, mend)

    def remove_unknown(
        self, monitor: str, known: Collection[str], before: str, dry_run: bool = False
    ) -> tuple[str, ...]:
        """Remove the bundles and companions of versions trained through a partition before `before`, but for the known.

        What was written within `YOUNG_SECONDS` stays: the store may be about to know it. The names of the files,
        sorted; a `dry_run` only names them. Raises FailedMachinery when the disk refuses.
        """
        folder = self._bundles / monitor
        with _machinery(f"{monitor}: a bundle could not be removed"):
            going = [path for path in sorted(folder.glob("*.npz")) if _is_left(path, known, before)]
            for path in () if dry_run else going:
                path.unlink(missing_ok=True)
        return tuple(path.name for path in going)

    def _companion(self, monitor: str, version: str, width: int) -> Path | None:
        """The oldest, if two processes trained one at the same time: all then go on with the same."""
        folder = self._path(monitor, version).parent
        found = folder.glob(f"{version}.codes-{width}.{'[0-9a-f]' * 64}.npz")
        return min(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)

    def _path(self, monitor: str, version: str) -> Path:
        if not _MONITOR.fullmatch(monitor):
            raise ConfigurationError(f"{monitor!r} is not a monitor's name; use lower-case letters, digits and _")
        if not _VERSION.fullmatch(version):
            raise ConfigurationError(
                f"{monitor}: {version!r} is not a model version; `tablewatch models {monitor}` lists them"
            )
        return self._bundles / monitor / f"{version}.npz"


def open_bundle(monitor: str, version: str, content: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """The manifest and the arrays in the `content` of a bundle. Raises CorruptBundle when it holds anything else."""
    return _opened(content, *_of_bundle(monitor, version))


def _of_bundle(monitor: str, version: str) -> tuple[str, str]:
    """A bundle's name in errors, and the mend."""
    mend = f"go back with `tablewatch rollback {monitor}` or train anew with `tablewatch train {monitor}`"
    return f"{monitor}: bundle {version}", mend


@contextmanager
def _machinery(failed: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FailedMachinery(f"{failed}: {error.strerror or error}") from error


def _checked(path: Path, sha256: str, what: str, mend: str) -> bytes:
    """The content of a file whose digest is `sha256`; `what` it is and the `mend` are for errors."""
    with _machinery(f"{what} could not be read"):
        try:
            content = _read(path)
        except FileNotFoundError:
            raise CorruptBundle(f"{what} is missing; {mend}") from None
    if len(content) > MAX_BYTES:
        raise CorruptBundle(f"{what} is larger than {MAX_BYTES} bytes; {mend}")
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest().encode(), sha256.encode()):
        raise CorruptBundle(f"{what} is not the one that was saved: its SHA-256 differs; {mend}")
    return content


def _opened(content: bytes, what: str, mend: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The manifest and the arrays in the content of a bundle."""
    try:
        return _unpack(content)
    except Exception as error:  # whatever a crafted file provokes in its parsers, it is the file's fault
        raise CorruptBundle(f"{what} cannot be read: {' '.join(str(error).split())}; {mend}") from error


def _pack(monitor: str, manifest: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    if _MANIFEST in arrays:
        raise ValueError(f"{monitor}: no array may be named {_MANIFEST!r}")
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":")).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as bundle:
        for name, values in sorted({**arrays, _MANIFEST: np.frombuffer(text, np.uint8)}.items()):
            array = np.asarray(values, order="C")
            if not _ENTRY.fullmatch(name) or array.dtype.kind not in _NUMBERS:
                raise ValueError(f"{monitor}: {name!r} ({array.dtype}) is not a name and an array of numbers")
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: the same content is the same bytes
            with bundle.open(entry, "w", force_zip64=True) as stream:
                npy.write_array(stream, array, version=(1, 0), allow_pickle=False)
    if packed.tell() > MAX_BYTES or len(arrays) >= MAX_ENTRIES:
        raise ValueError(f"{monitor}: a bundle of {packed.tell()} bytes in {len(arrays)} arrays is too large")
    return packed.getvalue()


def _unpack(content: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    # Counted before the zip's directory is parsed: each of its entries begins with this signature.
    if content.count(b"PK\x01\x02") > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        # Entries may overlap in a crafted file, each as large as the whole.
        if sum(entry.file_size for entry in bundle.infolist()) > len(content):
            raise ValueError("its entries are larger than the file")
        for entry in bundle.infolist():
            name = entry.filename.removesuffix(".npy")
            if not _ENTRY.fullmatch(name) or name == entry.filename or name in arrays:
                raise ValueError(f"entry {entry.filename[:80]!r} has no proper name")
            arrays[name] = _array(bundle, entry)
    manifest = json.loads(arrays.pop(_MANIFEST).tobytes())
    if not isinstance(manifest, dict):
        raise ValueError("its manifest is not a JSON object")
    return manifest, arrays


def _array(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    # Stored entries cannot be larger than the file, and an array no larger than its entry: nothing can inflate.
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"entry {entry.filename!r} is compressed")
    with bundle.open(entry) as stream:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"entry {entry.filename!r} is of an unknown format")
        shape, _, dtype = npy.read_array_header_1_0(stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in _NUMBERS or size != entry.file_size - stream.tell():
            raise ValueError(f"entry {entry.filename!r} does not hold the numbers that it declares")
        stream.seek(0)
        return npy.read_array(stream, allow_pickle=False)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _is_left(path: Path, known: Collection[str], before: str) -> bool:
    version = path.name.split(".")[0]
    is_ours = _VERSION.fullmatch(version) is not None
    return is_ours and version not in known and version < before and path.stat().st_mtime < time.time() - YOUNG_SECONDS


def _digest(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Old file or new file, never a part of one, even when the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    with _temporary(path) as temporary:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what a killed writer left; a younger temporary file may have a living writer."""
    for temporary in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if temporary.stat().st_mtime < time.time() - STALE_SECONDS:
                temporary.unlink()
