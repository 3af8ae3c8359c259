"""Crafted bundles: code, bombs and lies are refused even under the right digest."""

from __future__ import annotations

import hashlib
import io
import pickle  # noqa: TID251 - to craft the bundles that must be refused
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundle_files import ARRAYS, MANIFEST, VERSION, Bomb, header, npy, zipped

from pipeline import registry
from pipeline.errors import CorruptBundle
from pipeline.registry import Registry, Saved


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
