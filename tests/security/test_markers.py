"""Markers in sensitive columns, the whole path of a record, and then every byte that it left behind."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from command_line import call
from marked import LAST, MONITOR, NIGHTS, SENSITIVE, leaks, markers, records, write

from pipeline.records import hidden_text
from pipeline.store import Store


class Watched:
    """A monitor of the marked table and all that its commands have said."""

    def __init__(self, folder: Path, form: str, key: str, model: str) -> None:
        self.folder, self.form, self.said = folder, form, b""
        self.table = records()
        self.put()
        (folder / "monitors").mkdir()
        self.write("t", MONITOR.format(files=self.files, key=key, sensitive=", ".join(SENSITIVE), model=model))

    @property
    def files(self) -> str:
        return f"{self.folder}/data/*.{self.form}"

    def put(self, table: object = None) -> None:
        write(self.table if table is None else table, self.folder / "data", self.form)  # type: ignore[arg-type]

    def write(self, name: str, text: str) -> None:
        (self.folder / "monitors" / f"{name}.yaml").write_text(text)

    def call(self, *arguments: str, exits: int = 0) -> str:
        """What a command says; its exit code is as told."""
        result = call(*arguments)
        self.said += result.output.encode() + repr(result.exception).encode()
        assert result.exit_code == exits, result.output
        return result.output

    def left(self) -> bytes:
        """Every byte of the home folder."""
        return b"\n".join(path.read_bytes() for path in (self.folder / "home").rglob("*") if path.is_file())


@pytest.fixture
def store_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default store of the home or, where a test asks for it, a schema of its own on PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        monkeypatch.delenv("TABLEWATCH_STORE_URL", raising=False)
        yield ""
        return
    server = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("set TABLEWATCH_TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this on PostgreSQL too")
    schema = f"test_{uuid.uuid4().hex}"
    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    url = address.update_query_dict({"options": f"-c search_path={schema}"}).render_as_string(hide_password=False)
    monkeypatch.setenv("TABLEWATCH_STORE_URL", url)
    yield url
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))


def rows_of(url: str) -> bytes:
    """Every row of every table of a database, as text."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    meta = sa.MetaData()
    meta.reflect(engine)
    with engine.connect() as connection:
        return "\n".join(
            repr(row) for table in meta.sorted_tables for row in connection.execute(sa.select(table))
        ).encode()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_url: str) -> Path:
    monkeypatch.setenv("TABLEWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TABLEWATCH_MONITORS", str(tmp_path / "monitors"))
    monkeypatch.setenv("TABLEWATCH_DEBUG", "1")
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", "json://127.0.0.1:9/")
    return tmp_path


def whole_path(watched: Watched) -> None:
    """Every command, for a person and for a program, and what goes wrong on the way."""
    watched.call("check")
    watched.call("validate", "t", "--partition", NIGHTS[0])
    watched.call("train", "t", "--through", NIGHTS[-2])
    watched.call("validate", "t", "--partition", LAST)
    watched.call("score", "t", "--partition", LAST, "--scores", str(watched.folder / "home" / "scores.parquet"))
    for command in ("anomalies t", "incidents t", "models t", "partitions t", "alerts", "check"):
        watched.call(*command.split())
        watched.call(*command.split(), "--json")
    watched.call("doctor", exits=1)  # nobody has taken the alert
    watched.call("doctor", "--json", exits=1)
    watched.call("encode", "t", "--partition", LAST, "--width", "2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store_url", "form", "key", "model"),
    [
        ("sqlite", "parquet", "[member, line]", "ensemble"),
        pytest.param("postgresql", "csv", "[member]", "vae", marks=pytest.mark.postgres),
    ],
    indirect=["store_url"],
)
def test_p33_no_marker_of_a_sensitive_column_leaves_the_table(
    tiny: None,
    environment: Path,
    store_url: str,
    form: str,
    key: str,
    model: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    watched = Watched(environment, form, key, model)
    whole_path(watched)

    anomalies = json.loads(watched.call("anomalies", "t", "--json").splitlines()[-1])
    store = Store(store_url or f"sqlite:///{environment}/home/store.db")
    quarantined = store.quarantine("t", LAST)
    beside = [each for one in anomalies for each in store.neighbours("t", LAST, one["record_key"])]
    assert beside and {name for each in beside for name in each.record}.isdisjoint(SENSITIVE)
    assert anomalies and len({one.row for one in quarantined}) >= 4
    assert store.alerts(), "told of, though nobody listens"
    for label in ("expected", "confirmed"):
        watched.call("label", "t", anomalies[0]["record_key"], label, "--author", "ada")
    for command in ("labels t", "suppressions t", "backtest t --from 2024-03-05 --to 2024-03-06"):
        watched.call(*command.split())
        watched.call(*command.split(), "--json")
    detected = {each.record_key: each.first_detected_at for each in store.anomalies("t", LAST)}
    watched.call("score", "t", "--partition", LAST)
    assert {each.record_key: each.first_detected_at for each in store.anomalies("t", LAST)} == detected
    for each in (anomalies[0]["record_key"], next(one.record_key for one in quarantined if one.record_key)):
        watched.call("explain", "t", each)
        watched.call("explain", "t", each, "--json")
    watched.call("explain", "t", "zqmember-nobody" if key == "[member]" else '["zqmember-nobody", "1"]', exits=1)

    written = watched.left() + watched.said + caplog.text.encode() + "".join(capfd.readouterr()).encode()
    written += rows_of(store_url) if store_url else b""
    assert hidden_text("zqmember-twice") in written.decode(errors="replace")
    assert leaks(written, markers(watched.table) | {b"zqmember", b"zqname", b"zqcity"}) == []


@pytest.mark.slow
def test_p33_what_goes_wrong_is_told_without_a_marker(
    tiny: None, environment: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    watched = Watched(environment, "csv", "[member]", "autoencoder")
    text = (environment / "monitors" / "t.yaml").read_text()
    watched.write("misread", text.replace("badge: categorical", "name: datetime"))
    median = "median_to_be_between: {column: salary, max_value: 1}, severity: "
    watched.write("refused", text.replace(f"{median}warning", f"{median}error"))
    between = "expect_column_values_to_be_between: {column: "
    watched.write("uncomputable", text.replace(f"{between}salary", f"{between}name"))
    watched.call("train", "misread", exits=1)
    assert "is at most 1; observed nothing" in watched.call("validate", "refused", "--partition", LAST, exits=1)
    watched.call("validate", "uncomputable", "--partition", LAST, exits=1)
    watched.call("train", "t", "--through", NIGHTS[-2])
    file = environment / "data" / "t.csv"
    whole = file.read_text()
    for broken in (
        whole.replace("51,", "zq51-marker,", 1) + "\n",
        whole + '"zqmember-unclosed,1,2\n',
        whole + "zqmember-ragged,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19\n",
        whole.replace("-03-06", "-13-46"),
    ):
        file.write_text(broken)
        watched.said += call("score", "t", "--partition", LAST).output.encode()
        watched.said += call("train", "t").output.encode()
        watched.said += call("partitions", "t").output.encode()
    file.write_bytes(whole.encode() + b"zqmember-\xff\xfe-marker,1\n")
    watched.said += call("score", "t", "--partition", LAST).output.encode()

    written = watched.left() + watched.said + caplog.text.encode() + "".join(capfd.readouterr()).encode()
    assert leaks(written, markers(watched.table) | {b"zqmember", b"zqname", b"zqcity", b"zq51"}) == []
