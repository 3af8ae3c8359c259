"""Bundles: round trips, names, damage and disks that fail."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from bundle_files import ARRAYS, MANIFEST, VERSION
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline import registry
from pipeline.errors import ConfigurationError, CorruptBundle, FailedMachinery
from pipeline.registry import Registry, Saved


@pytest.fixture
def bundles(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "bundles")


@pytest.fixture
def saved(bundles: Registry) -> Saved:
    return bundles.save("flights", "2013-02-03", MANIFEST, ARRAYS)


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
