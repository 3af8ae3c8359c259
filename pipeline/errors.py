"""The families of errors: a mistake of the user, refused data, failed machinery.

Refused data is a finding: trying again cannot help. Failed machinery (a database gone, a disk full) is retried.
Every message is one line that names the monitor, the partition and the column where they apply, and the mend.
"""

from __future__ import annotations


class TablewatchError(Exception):
    """Base of every error that a user is meant to read; its text is one line."""


class ConfigurationError(TablewatchError):
    """A monitor's file, a setting or a command names something that does not exist or cannot be."""


class RefusedData(TablewatchError):
    """A partition or a training window that cannot be trusted; nothing of it is scored. Never retried."""


class EmptyPartition(RefusedData):
    """A partition without a single record."""


class CorruptBundle(TablewatchError):
    """A model's bundle whose digest is not the one in the store; nothing in it was read. Never retried."""


class FailedMachinery(TablewatchError):
    """A source, a store or a disk that did not answer; the same call may succeed later."""
