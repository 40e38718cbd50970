"""Requests and connections."""

from occurrences.occurrence import ERROR, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(lambda: events.auth_off("127.0.0.1"), {}, "warning auth_off"),
    Occurrence(
        lambda: events.http_done("/vcon/{uuid}", "GET", 200, 0.2),
        {'http_seconds_sum{"GET","/vcon/{uuid}","200"}': 0.2},
        None,
    ),
    Occurrence(
        lambda: events.audit_lost(2, "no space left on device"),
        {"audit_lost_total{}": 2},
        "error audit_lost",
    ),
    Occurrence(
        lambda: events.connection_refused("408"),
        {'connections_refused_total{"408"}': 1},
        None,
    ),
    Occurrence(lambda: events.certificate_loaded(["tls.pem"]), {}, "info certificate_loaded"),
    Occurrence(
        lambda: events.certificate_loaded(["tls.pem"], ERROR), {}, "error certificate_unusable"
    ),
]
