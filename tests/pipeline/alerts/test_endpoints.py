"""One endpoint: the service that its URL names, and what is sent to try it."""

from __future__ import annotations

import pytest

from pipeline.alerts import endpoints, problem_of, send_test
from pipeline.alerts.endpoints import Message
from pipeline.settings import Settings
from tests.endpoint_servers import Webhook


def test_pagerduty_receives_the_key_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", "pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7F/")
    service = endpoints._open("ops", Settings())
    assert not isinstance(service, str)
    endpoints._mark(service, "flights/k")
    assert service.dedup == "flights/k"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        "slack://T12345678/B12345678/abcdefghijklmnopqrstuvwx/",
        "https://hooks.slack.com/services/T12345678/B12345678/abcdefghijklmnopqrstuvwx",
        "workflows://prod-1.westus.logic.azure.com:443/643e69f83c8944/iuZ5bYJn9/",
        "mailtos://user:password@smtp.example.com?to=ops@example.com,owners@example.com",
        "pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7F/",
        "jsons://user:password@hooks.example.com/path?+Authorization=Bearer",
    ],
)
def test_the_urls_that_the_page_shows_are_understood(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", url)
    assert problem_of("ops", Settings()) is None


def test_one_variable_holds_one_url(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_ALERTS__OPS", f"{webhook.url} {webhook.url}")
    assert "does not hold one URL" in str(problem_of("ops", Settings()))
    assert "does not hold one URL" in str(send_test("ops"))


def test_an_exception_of_a_service_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, webhook: Webhook) -> None:
    from apprise.plugins.custom_json import NotifyJSON

    def broken(*_: object, **__: object) -> bool:
        raise ZeroDivisionError("what it was sent")

    monkeypatch.setattr(NotifyJSON, "notify", broken)
    assert endpoints.send("ops", Message("k", "info", "s", "t", "h"), Settings()) == "ZeroDivisionError"


def test_an_endpoint_is_tried(webhook: Webhook) -> None:
    assert send_test("ops") is None
    (post,) = webhook.received
    assert post["title"] == "tablewatch: a test of ops"
    assert post["key"].startswith("test/")
    webhook.stop()
    assert send_test("ops") == "it did not answer, or not in time"
