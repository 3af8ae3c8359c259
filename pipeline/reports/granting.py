"""Who may read the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import Grants


def grants(
    role: str | None = None, apply: bool = False, revoke: bool = False, settings: Settings | None = None
) -> Grants:
    """The SQL that lets a role (`tablewatch_reader` if not said) read the views and nothing else, or ends that.

    It is run where `apply` says so. Raises ConfigurationError where there is nothing to grant or not by this user.
    """
    from pipeline.store.grants import ROLE

    return House(settings).store.grants(ROLE if role is None else role, apply, revoke)
