"""What every backend has to do, whatever it keeps its data in."""

import pytest

pytest.register_assert_rewrite(
    "vconflow.testing.contracts.backend_dead_letters",
    "vconflow.testing.contracts.backend_egress",
    "vconflow.testing.contracts.backend_expiry",
    "vconflow.testing.contracts.backend_history",
    "vconflow.testing.contracts.backend_idempotency",
    "vconflow.testing.contracts.backend_intake",
    "vconflow.testing.contracts.backend_leases",
    "vconflow.testing.contracts.backend_ledger",
    "vconflow.testing.contracts.backend_stream",
    "vconflow.testing.contracts.backend_support",
)

from vconflow.testing.contracts.backend_dead_letters import (  # noqa: E402  # after the above
    DeadLetterContract,
)
from vconflow.testing.contracts.backend_egress import EgressContract  # noqa: E402
from vconflow.testing.contracts.backend_expiry import ExpiryContract  # noqa: E402
from vconflow.testing.contracts.backend_history import HistoryContract  # noqa: E402
from vconflow.testing.contracts.backend_idempotency import (  # noqa: E402
    IdempotencyContract,
    OwnershipContract,
)
from vconflow.testing.contracts.backend_intake import IntakeContract  # noqa: E402
from vconflow.testing.contracts.backend_leases import LeaseContract  # noqa: E402
from vconflow.testing.contracts.backend_ledger import LedgerContract  # noqa: E402
from vconflow.testing.contracts.backend_stream import StreamContract  # noqa: E402
from vconflow.testing.contracts.backend_support import (  # noqa: E402
    Backend,
    BackendServer,
    accept,
    acceptance,
    begun,
    commit,
    commit_of,
    fill,
    read,
    vcon,
)

__all__ = [
    "Backend",
    "BackendContract",
    "BackendServer",
    "accept",
    "acceptance",
    "begun",
    "commit",
    "commit_of",
    "fill",
    "read",
    "vcon",
]


class BackendContract(
    IntakeContract,
    IdempotencyContract,
    OwnershipContract,
    HistoryContract,
    LedgerContract,
    ExpiryContract,
    DeadLetterContract,
    StreamContract,
    LeaseContract,
    EgressContract,
):
    """Subclass it, override the fixture `server`, and pytest runs every test on your backend.

    `server` yields an empty `BackendServer`; every replica of it has the same leases.
    """

    pytestmark = pytest.mark.asyncio
