"""Bundles: round trips, and the ways in which a file can be wrong or hostile."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle  # noqa: TID251 - to craft the bundles that must be refused
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline import registry
from pipeline.errors import ConfigurationError, CorruptBundle, FailedMachinery
from pipeline.registry import Registry, Saved

MANIFEST = {"model": "ensemble", "columns": ["z", "a"], "scale": 0.1, "nested": {"z": 1, "a": [1, None, "é"]}}
ARRAYS = {
    "weights/0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "weights/1": np.array(2.5),
    "file": np.array([True, False]),
    "empty": np.zeros((0, 4), np.int64),
}
VERSION = "2013-02-03-0123abcd"


@pytest.fixture
def bundles(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "bundles")


@pytest.fixture
def saved(bundles: Registry) -> Saved:
    return bundles.save("flights", "2013-02-03", MANIFEST, ARRAYS)


@pytest.fixture
def load_file(tmp_path: Path) -> Callable[[bytes], object]:
    """Load a crafted file whose digest is the one in the store: what follows once the first wall has fallen."""

    def load(content: bytes) -> object:
        path = tmp_path / "bundles" / "flights" / f"{VERSION}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Registry(tmp_path / "bundles").load("flights", VERSION, hashlib.sha256(content).hexdigest())

    return load


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


def test_p21_a_bundle_comes_back_as_it_was_saved(bundles: Registry, saved: Saved) -> None:
    manifest, arrays = bundles.load("flights", saved.version, saved.sha256)
    assert manifest == MANIFEST
    assert list(manifest) == list(MANIFEST)
    assert set(arrays) == set(ARRAYS)
    for name, array in arrays.items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z0-9]{1,4})?", fullmatch=True).filter(lambda name: name != "manifest"),
        hnp.arrays(
            st.sampled_from([np.float32, np.float64, np.int32, np.uint8, np.bool_]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    )
)
def test_p21_any_arrays_of_numbers_come_back(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    bundles = Registry(tmp_path_factory.mktemp("bundles"))
    saved = bundles.save("flights", "2013-02-03", {}, arrays)
    _, loaded = bundles.load("flights", saved.version, saved.sha256)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_the_version_names_the_window_and_the_content(saved: Saved) -> None:
    assert saved.sha256 == hashlib.sha256(saved.path.read_bytes()).hexdigest()
    assert saved.version == f"2013-02-03-{saved.sha256[:8]}"
    assert saved.path.name == f"{saved.version}.npz"
    assert [path.name for path in saved.path.parent.iterdir()] == [saved.path.name]


def test_the_same_content_is_the_same_version_at_any_time_and_writes_nothing(
    bundles: Registry, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(registry, "_write", lambda *_: pytest.fail("written again"))
    fortran = {name: np.asfortranarray(array) if array.ndim else array for name, array in ARRAYS.items()}
    assert bundles.save("flights", "2013-02-03", MANIFEST, fortran) == saved


def test_other_content_is_another_version(bundles: Registry, saved: Saved) -> None:
    others = [
        bundles.save("flights", "2013-02-03", MANIFEST | {"scale": 0.2}, ARRAYS),
        bundles.save("flights", "2013-02-03", MANIFEST, ARRAYS | {"weights/1": np.array(2.6)}),
        bundles.save("flights", "2013-02-04", MANIFEST, ARRAYS),
    ]
    assert len({saved.version, *(other.version for other in others)}) == 4


def test_saving_again_mends_a_damaged_file(bundles: Registry, saved: Saved) -> None:
    saved.path.write_bytes(b"damaged")
    assert bundles.save("flights", "2013-02-03", MANIFEST, ARRAYS) == saved
    bundles.load("flights", saved.version, saved.sha256)


@pytest.mark.parametrize(
    ("manifest", "arrays"),
    [
        ({}, {"names": np.array(["a"])}),
        ({}, {"objects": np.array([{}], dtype=object)}),
        ({}, {"times": np.array(["2013-02-03"], dtype="datetime64[D]")}),
        ({}, {"../escape": np.zeros(1)}),
        ({}, {"manifest": np.zeros(1)}),
        ({"bad": float("nan")}, {}),
    ],
)
def test_only_numbers_under_proper_names_are_saved(bundles: Registry, tmp_path: Path, manifest, arrays) -> None:
    with pytest.raises(ValueError):
        bundles.save("flights", "2013-02-03", manifest, arrays)
    assert not (tmp_path / "bundles").exists()


def test_p22_a_flipped_bit_anywhere_is_refused_before_the_file_is_opened(
    bundles: Registry, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.zipfile, "ZipFile", lambda *_: pytest.fail("opened"))
    content = saved.path.read_bytes()
    for position in range(0, len(content), 7):
        saved.path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(CorruptBundle, match="SHA-256 differs"):
            bundles.load("flights", saved.version, saved.sha256)


def test_p22_a_truncated_file_is_refused(bundles: Registry, saved: Saved) -> None:
    content = saved.path.read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 1):
        saved.path.write_bytes(content[:length])
        with pytest.raises(CorruptBundle, match="SHA-256 differs"):
            bundles.load("flights", saved.version, saved.sha256)


def test_p22_a_swapped_file_is_refused(bundles: Registry, saved: Saved) -> None:
    other = bundles.save("flights", "2013-02-03", {"model": "other"}, ARRAYS)
    saved.path.write_bytes(other.path.read_bytes())
    with pytest.raises(CorruptBundle, match="SHA-256 differs"):
        bundles.load("flights", saved.version, saved.sha256)


@pytest.mark.parametrize("digest", ["", "é", "0" * 64])
def test_p22_no_digest_is_no_key(bundles: Registry, saved: Saved, digest: str) -> None:
    with pytest.raises(CorruptBundle):
        bundles.load("flights", saved.version, digest)


def test_p22_a_missing_file_says_how_to_go_on(bundles: Registry, saved: Saved) -> None:
    saved.path.unlink()
    with pytest.raises(CorruptBundle) as caught:
        bundles.load("flights", saved.version, saved.sha256)
    assert str(caught.value) == (
        f"flights: bundle {saved.version} is missing; go back with `tablewatch rollback flights`"
        " or train anew with `tablewatch train flights`"
    )


class Bomb:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param({"w.npy": npy(np.array([Bomb()], dtype=object), allow_pickle=True)}, id="object array"),
        pytest.param({"w.npy": pickle.dumps(Bomb())}, id="bare pickle"),
        pytest.param({"manifest.npy": pickle.dumps(Bomb())}, id="pickle for a manifest"),
        pytest.param({"w.npy": npy(np.zeros(2, dtype=[("a", "<f4"), ("b", "<f4")]))}, id="structured"),
        pytest.param({"w.npy": npy(np.array(["text"]))}, id="text"),
        pytest.param({"w.npy": npy(np.zeros(2, complex))}, id="complex"),
        pytest.param({"w.npy": header("(2,)", "|V4") + bytes(8)}, id="void"),
        pytest.param({"../../w.npy": npy(np.zeros(2))}, id="traversal"),
        pytest.param({"/etc/w.npy": npy(np.zeros(2))}, id="absolute"),
        pytest.param({"a/../w.npy": npy(np.zeros(2))}, id="dots within"),
        pytest.param({"..\\w.npy": npy(np.zeros(2))}, id="backslash"),
        pytest.param({"w.keras": b"zip"}, id="another kind of file"),
        pytest.param({"w.npy": b""}, id="no header"),
        pytest.param({"w.npy": b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\xff"}, id="header of 4 GB"),
        pytest.param({"w.npy": header("(1" * 50)}, id="broken header"),
        pytest.param({"w.npy": header("[1]") + bytes(4)}, id="shape of another kind"),
        pytest.param({"w.npy": header("(1000000000000,)") + bytes(4)}, id="shape bomb"),
        pytest.param({"w.npy": header("(4294967296, 4294967296)")}, id="shape that wraps to 0"),
        pytest.param({"w.npy": header("(-1, -1)") + bytes(4)}, id="negative shape"),
        pytest.param({"w.npy": header("(2,)") + bytes(4)}, id="too few numbers"),
        pytest.param({"w.npy": header("(2,)") + bytes(12)}, id="more than numbers"),
        pytest.param({"manifest.npy": npy(np.frombuffer(b"[]", np.uint8))}, id="manifest is a list"),
        pytest.param({"manifest.npy": npy(np.frombuffer(b"{", np.uint8))}, id="manifest is cut"),
        pytest.param({"manifest.npy": npy(np.frombuffer(b'{"a":' * 99_999, np.uint8))}, id="manifest is deep"),
    ],
)
def test_p23_a_crafted_entry_is_refused_even_with_the_right_digest(
    load_file: Callable[[bytes], object], entries: dict[str, bytes]
) -> None:
    with pytest.raises(CorruptBundle, match="cannot be read") as caught:
        load_file(zipped(entries))
    assert "\n" not in str(caught.value)


def test_p23_a_crafted_file_without_the_crafted_entry_is_read(load_file: Callable[[bytes], object]) -> None:
    assert load_file(zipped({})) == ({}, {})


def test_p23_what_is_no_zip_is_refused(load_file: Callable[[bytes], object]) -> None:
    for content in (b"", pickle.dumps(Bomb()), zipped({})[:-5], npy(np.zeros(2))):
        with pytest.raises(CorruptBundle, match="cannot be read"):
            load_file(content)


def test_p13_a_zip_bomb_is_refused_before_it_inflates(load_file: Callable[[bytes], object]) -> None:
    bomb = zipped({"w.npy": npy(np.zeros(10_000_000, np.uint8))}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    with pytest.raises(CorruptBundle, match="larger than the file"):
        load_file(bomb)


def test_p13_a_compressed_entry_is_refused_even_where_it_gains_nothing(load_file: Callable[[bytes], object]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 2_000, np.uint8)
    with pytest.raises(CorruptBundle, match="compressed"):
        load_file(zipped({"w.npy": npy(noise)}, zipfile.ZIP_DEFLATED))


def test_p13_entries_that_overlap_are_refused(load_file: Callable[[bytes], object]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        bundle.writestr("manifest.npy", npy(np.frombuffer(b"{}", np.uint8)))
        bundle.writestr("w0.npy", npy(np.zeros(1_000)))
        original = bundle.infolist()[1]
        for number in range(1, 9):
            copy = zipfile.ZipInfo(f"w{number}.npy")
            copy.header_offset, copy.CRC = original.header_offset, original.CRC
            copy.file_size = copy.compress_size = original.file_size
            bundle.filelist.append(copy)
    with pytest.raises(CorruptBundle, match="larger than the file"):
        load_file(stream.getvalue())


def test_p13_two_entries_of_one_name_are_refused(load_file: Callable[[bytes], object]) -> None:
    stream = io.BytesIO(zipped({"w.npy": npy(np.zeros(1))}))
    with zipfile.ZipFile(stream, "a") as bundle, pytest.warns(UserWarning, match="Duplicate"):
        bundle.writestr("w.npy", npy(np.ones(1)))
    with pytest.raises(CorruptBundle, match="no proper name"):
        load_file(stream.getvalue())


def test_p13_caps_hold_before_the_file_is_parsed(
    bundles: Registry, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.zipfile, "ZipFile", lambda *_: pytest.fail("parsed"))
    monkeypatch.setattr(registry, "MAX_ENTRIES", 4)
    with pytest.raises(CorruptBundle, match="more than 4 entries"):
        bundles.load("flights", saved.version, saved.sha256)
    monkeypatch.setattr(registry, "MAX_BYTES", 100)
    with pytest.raises(CorruptBundle, match="larger than 100 bytes"):
        bundles.load("flights", saved.version, saved.sha256)


@pytest.mark.parametrize(("cap", "value"), [("MAX_BYTES", 100), ("MAX_ENTRIES", 4)])
def test_p13_no_bundle_is_saved_that_could_not_be_loaded(
    bundles: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cap: str, value: int
) -> None:
    monkeypatch.setattr(registry, cap, value)
    with pytest.raises(ValueError, match="too large"):
        bundles.save("flights", "2013-02-03", MANIFEST, ARRAYS)
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize("name", ["..", "a/b", "../flights", "/flights", "a\\b", "", ".", "a\x00b", "Flights", "a\n"])
def test_p36_a_monitor_is_one_safe_path_component(bundles: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        bundles.save(name, "2013-02-03", MANIFEST, ARRAYS)
    with pytest.raises(ConfigurationError):
        bundles.load(name, VERSION, "0" * 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["..", "../x", "2013-02-03-0123abcd/..", "2013-02-03-0123ABCD", "", VERSION + "\n"])
def test_p36_a_version_is_one_safe_path_component(bundles: Registry, version: str) -> None:
    with pytest.raises(ConfigurationError, match="tablewatch models flights"):
        bundles.load("flights", version, "0" * 64)


@pytest.mark.parametrize("through", ["", "..", "2013-02-03/..", "20130203", "２０１３-02-03"])
def test_p36_a_partition_is_a_date(bundles: Registry, through: str) -> None:
    with pytest.raises(ConfigurationError):
        bundles.save("flights", through, MANIFEST, ARRAYS)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class FullDisk(io.BufferedWriter):
    def write(self, content: object) -> int:
        super().write(bytes(10))
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "replace"])
def test_p28_a_full_disk_leaves_no_file_and_the_old_bundle(
    bundles: Registry, saved: Saved, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    opened = Path.open

    def open_full(path: Path, mode: str = "r") -> object:
        return FullDisk(io.FileIO(path, "x")) if mode == "xb" else opened(path, mode)

    with monkeypatch.context() as patched:
        if call == "write":
            patched.setattr(Path, "open", open_full)
        else:
            patched.setattr(os if call == "fsync" else Path, call, no_space)
        with pytest.raises(FailedMachinery, match="No space left on device"):
            bundles.save("flights", "2013-02-10", MANIFEST, ARRAYS)
    assert [path.name for path in saved.path.parent.iterdir()] == [saved.path.name]
    bundles.load("flights", saved.version, saved.sha256)


def test_p25_what_a_killed_writer_left_is_swept_but_not_a_living_ones(bundles: Registry, saved: Saved) -> None:
    folder = saved.path.parent
    dead, living = folder / ".dead.tmp", folder / ".living.tmp"
    for path in (dead, living):
        path.write_bytes(b"half")
    os.utime(dead, (0, time.time() - registry.STALE_SECONDS - 60))
    newer = bundles.save("flights", "2013-02-10", MANIFEST, ARRAYS)
    assert {path.name for path in folder.iterdir()} == {saved.path.name, newer.path.name, living.name}


def test_a_disk_that_does_not_answer_is_machinery(
    bundles: Registry, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(FailedMachinery, match="Input/output error"):
        bundles.load("flights", saved.version, saved.sha256)
