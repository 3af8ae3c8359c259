"""An endpoint as apprise knows it: one message at a time, within bounded time, and never a word of its URL."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.results import IncidentSeverity
from pipeline.settings import Settings, endpoint_variable

if TYPE_CHECKING:
    from apprise import NotifyBase

T = TypeVar("T")

LONGEST_SECONDS = 60.0
"""A message that took longer was not delivered, as far as we know."""
LONGEST_OPENING = 60.0
"""Reading a URL asks nobody; the first time loads all of apprise's services, which takes long on a busy machine."""
LONGEST_WAIT = 30.0
"""The longest time-out, in seconds, for connecting and for each answer that a URL may ask for."""
KEY_HEADER = "X-Tablewatch-Key"

_TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
_LOGGERS = ("apprise", "urllib3.connectionpool")
_STATUS = re.compile(r"\berror=(\d{3})\b")


@dataclass(frozen=True)
class Message:
    """What one endpoint receives at once; the same `key` marks the same message sent again."""

    key: str
    severity: IncidentSeverity
    subject: str
    text: str
    html: str


def problem_of(endpoint: str, settings: Settings) -> str | None:
    """Why nothing can be sent to an endpoint, None where something can: its variable and the mend, never its URL."""
    opened = _open(endpoint, settings)
    return opened if isinstance(opened, str) else None


def send(endpoint: str, message: Message, settings: Settings) -> str | None:
    """Send one message; None when the endpoint took it, else what went wrong, in words that hold no secret."""
    service = _open(endpoint, settings)
    if isinstance(service, str):
        return service
    _mark(service, message.key)
    body, written_as = (message.html, "html") if service.resolve_format(None) == "html" else (message.text, "text")
    title, kind = message.subject, _TYPES[message.severity]
    sending = _Apart(
        lambda: service.notify(body=body, title=title, notify_type=kind, body_format=written_as), LONGEST_SECONDS
    )
    if sending.gave:
        return None
    return sending.told or "it did not answer, or not in time"


def _open(endpoint: str, settings: Settings) -> NotifyBase | str:
    """The endpoint's service, or why there is none."""
    variable = endpoint_variable(endpoint)
    url = settings.endpoint_url(endpoint)
    if url is None:
        return f"{variable} is not set; export it with the apprise URL of {endpoint}"
    import apprise  # noqa: F401  # loading it is no part of the time that an endpoint has

    service = _Apart(lambda: _service(url), LONGEST_OPENING).gave
    if service is None:
        return f"{variable} does not hold one URL that apprise understands; docs/alerts.md shows some"
    return service


def _service(url: str) -> NotifyBase | None:
    from apprise import Apprise, AppriseAsset, OverflowMode
    from apprise.utils.parse import parse_urls

    if len(parse_urls(url)) != 1:  # type: ignore[no-untyped-call]
        return None
    # A redirect turns a post into a get of another page, whose 200 says nothing.
    asset = AppriseAsset(app_id="tablewatch", app_desc="tablewatch", http_redirects=False)
    service = Apprise.instantiate(url, asset=asset)
    if service is not None:
        service.socket_connect_timeout = min(service.socket_connect_timeout, LONGEST_WAIT)
        service.socket_read_timeout = min(service.socket_read_timeout, LONGEST_WAIT)
        if service.overflow_mode == OverflowMode.UPSTREAM:
            service.overflow_mode = OverflowMode.TRUNCATE  # what is too long for a service it would refuse for ever
    return service


def _mark(service: NotifyBase, key: str) -> None:
    """Send the key along where a service has a field for it; every body ends with it."""
    for field in ("dedup", "alias"):  # PagerDuty, FireHydrant, GoAlert; Opsgenie, Jira
        if hasattr(service, field):
            setattr(service, field, key)
    headers = getattr(service, "headers", None)
    if isinstance(headers, dict):
        headers[KEY_HEADER] = key


class _Apart(threading.Thread, Generic[T]):
    """Calls a function of apprise's in a thread of its own: what it `gave`, None for nothing, and what went wrong.

    A daemon, so that an endpoint which never ends its answer does not keep this process from ending.
    """

    def __init__(self, call: Callable[[], T], longest: float) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.gave: T | None = None
        self.told: str | None = None
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_heard)
        self.start()
        self.join(longest)
        if self.is_alive():
            self.told = f"it took longer than {longest:.0f} seconds"

    def run(self) -> None:
        try:
            self.gave = self._call()
        except Exception as error:  # of any of a hundred services; its words may hold the URL
            self.told = type(error).__name__


def _heard(record: logging.LogRecord) -> bool:
    """Keeps all that is logged of a message to itself, as it may hold the URL: of it only the status is told."""
    sending = threading.current_thread()
    if not isinstance(sending, _Apart):
        return True
    if found := _STATUS.search(record.getMessage()):
        sending.told = f"it answered {found[1]}"
    return False
