"""A small client of a vconflow server, for the command line and for programs that send vCons.

async with Client.open("http://127.0.0.1:8000", token="…") as client:
    await client.submit(document, "main")
"""

from vconflow.client.client import DEFAULT_HEADER, Client
from vconflow.client.dead_letters import Conditions, DeadLetterRequests, PassStep
from vconflow.client.requests import ATTEMPTS, GaveUp, Rejected

__all__ = [
    "ATTEMPTS",
    "DEFAULT_HEADER",
    "Client",
    "Conditions",
    "DeadLetterRequests",
    "GaveUp",
    "PassStep",
    "Rejected",
]
