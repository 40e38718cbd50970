"""Suites that every implementation of a contract has to pass: subclass them in your tests.

pytest shows the values behind a failed assert of these modules as it does for test files.
"""

import pytest

pytest.register_assert_rewrite(
    "vconflow.testing.contracts.link",
    "vconflow.testing.contracts.storage",
    "vconflow.testing.contracts.storage_faults",
    "vconflow.testing.contracts.tracer",
)

from vconflow.testing.contracts.backend import (  # noqa: E402  # after the line above
    Backend,
    BackendContract,
    BackendServer,
)
from vconflow.testing.contracts.link import LinkContract  # noqa: E402
from vconflow.testing.contracts.resources import (  # noqa: E402
    CannedFetcher,
    ManualClock,
    RecordingSender,
    resources_for,
)
from vconflow.testing.contracts.storage import StorageContract  # noqa: E402
from vconflow.testing.contracts.storage_faults import (  # noqa: E402
    SECRET,
    Holds,
    Outage,
    Refusal,
    StorageFaultsContract,
    reading,
)
from vconflow.testing.contracts.tracer import TracerContract  # noqa: E402

__all__ = [
    "SECRET",
    "Backend",
    "BackendContract",
    "BackendServer",
    "CannedFetcher",
    "Holds",
    "LinkContract",
    "ManualClock",
    "Outage",
    "RecordingSender",
    "Refusal",
    "StorageContract",
    "StorageFaultsContract",
    "TracerContract",
    "reading",
    "resources_for",
]
