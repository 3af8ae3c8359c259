"""docker-compose.yml, Dockerfile and .dockerignore as they are written; no Docker is needed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.env import VARIABLES, complete
from tests.compose.stack import ROOT, compose_program

FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ONE_SHOTS = {"migrate", "demo"}
PUBLIC = {"postgres": "postgres:15-bookworm", "redis": "redis:7-bookworm"}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
REFERENCE = re.compile(r"\$\{(\w+)([^}]*)\}")
SECRET = re.compile(r"PASSWORD|SECRET|FERNET_KEY|REDISCLI_AUTH")

needs_compose = pytest.mark.skipif(
    compose_program() is None, reason="neither `docker compose` nor `docker-compose` is installed"
)
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_that_stays = pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOTS))


def environment() -> list[tuple[str, str]]:
    return [pair for service in SERVICES.values() for pair in service.get("environment", {}).items()]


def test_every_part_of_the_stack_is_there() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {*("postgres", "migrate", "api-server", "scheduler", "dag-processor", "triggerer", "dashboard")}
    assert [name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]] == ["demo"]
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["celery"]} == {
        *("redis", "worker-1", "worker-2")
    }


def test_p38_no_variable_has_a_default_and_make_env_makes_each() -> None:
    references = REFERENCE.findall(TEXT)
    assert {name for name, _ in references} == VARIABLES.keys()
    assert {how for _, how in references} == {":?run make env"}


def test_p38_every_secret_comes_from_the_environment() -> None:
    secrets = [(name, value) for name, value in environment() if SECRET.search(name) and not name.endswith("FILE")]
    assert len(secrets) > 10
    assert not [name for name, value in secrets if not REFERENCE.fullmatch(value)]
    passwords = re.findall(r"//\w*:(\$\{[^}]*\}|[^@/\s]*)@", "\n".join(value for _, value in environment()))
    assert len(passwords) > 10 and all(map(REFERENCE.fullmatch, passwords))


def test_p38_every_port_is_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"api-server", "dashboard"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not [name for name, service in SERVICES.items() if "network_mode" in service]


def test_p38_no_service_sees_a_secret_that_it_does_not_use() -> None:
    def who(variable: str) -> set[str]:
        return {name for name, of in SERVICES.items() if variable in yaml.safe_dump(of.get("environment", {}))}

    assert who("POSTGRES_PASSWORD") == {"postgres"}
    assert who("AIRFLOW_ADMIN_PASSWORD") == {"api-server", "demo"}
    assert who("DASHBOARD_PASSWORD") == {"dashboard"}
    assert not who("AIRFLOW_FERNET_KEY") & {"dashboard", "postgres", "redis", "demo"}
    assert not who("TABLEWATCH_DB_PASSWORD") & {"api-server", "triggerer", "redis"}
    assert {name for name, of in SERVICES.items() if "env_file" in of} == {
        *("scheduler", "dag-processor", "worker-1", "worker-2", "demo")
    }


@each_service
def test_every_image_is_the_projects_own_or_pinned(service: dict[str, Any]) -> None:
    assert service["image"] in {"tablewatch", *PUBLIC.values()}
    assert [*re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)] == [
        *("python:3.11-slim-bookworm", "dependencies", "python:3.11-slim-bookworm")
    ]


@each_service
def test_p38_no_service_can_gain_rights_or_write_where_it_runs_from(service: dict[str, Any]) -> None:
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "devices", "pid", "userns_mode"}
    assert "docker.sock" not in yaml.safe_dump(service)


def test_p38_nothing_of_ours_runs_as_root() -> None:
    users = re.findall(r"^USER (\w+)", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    assert users == ["tablewatch"] and "--uid 10001" in DOCKERFILE
    assert {name: of["user"] for name, of in SERVICES.items() if "user" in of} == {"redis": "redis"}


@each_that_stays
def test_what_stays_has_a_health_check_and_starts_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    health = SERVICES[name]["healthcheck"]
    assert health["test"] and health["interval"] and health["timeout"] and health["retries"]


@pytest.mark.parametrize("name", sorted(ONE_SHOTS))
def test_a_one_shot_runs_once(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"


def test_nothing_starts_before_the_databases_are_migrated() -> None:
    for name in SERVICES.keys() - {"postgres", "migrate", "demo", "redis"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_p38_no_secret_and_no_history_enters_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {
        *("pyproject.toml", "uv.lock", "README.md", "pipeline", "models", "dashboard", "dags", "demo"),
        "deploy/health.py",
    }
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".env", "monitors.env"} <= set(ignored)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An env file as `make env` makes it."""
    folder = tmp_path_factory.mktemp("env")
    complete(folder / ".env")
    return (folder / ".env").read_text(encoding="utf-8").replace("./monitors.env", str(folder / "monitors.env"))


def checked(env: Path, text: str) -> subprocess.CompletedProcess[str]:
    env.write_text(text, encoding="utf-8")
    command = [*(compose_program() or []), "--file", str(FILE), "--env-file", str(env), "--profile", "celery"]
    return subprocess.run([*command, "config", "--quiet"], capture_output=True, text=True)


@needs_compose
def test_what_make_env_makes_is_enough(given: str, tmp_path: Path) -> None:
    assert checked(tmp_path / ".env", given).returncode == 0


@needs_compose
@pytest.mark.parametrize("name", VARIABLES)
def test_p38_a_variable_that_is_missing_is_refused_with_the_mend(name: str, given: str, tmp_path: Path) -> None:
    refused = checked(tmp_path / ".env", re.sub(rf"^{name}=.*$", f"{name}=", given, flags=re.MULTILINE))
    assert refused.returncode != 0 and "run make env" in refused.stderr
