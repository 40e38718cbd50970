"""What machines ask about the process itself: version, liveness, readiness, metrics, index."""

from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.answers import Health, Readiness, Version
from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.api.services import Build
from vconflow.telemetry.metrics import CONTENT_TYPE

__all__ = ["health", "metrics", "ready", "reindex", "version"]


def _version(build: Build) -> Version:
    return Version(build.version, build.commit, build.build_time)


async def version(call: Call) -> ASGIApp:
    """Say which build is running."""
    return json_response(_version(call.services.build))


async def health(call: Call) -> ASGIApp:
    """Say that the event loop runs. Touches nothing else: a Redis outage is no reason to kill."""
    return json_response(Health("healthy", _version(call.services.build)))


async def ready(call: Call) -> ASGIApp:
    """Say whether traffic should come here, with the state of each dependency."""
    if call.services.stopping():
        return json_response(Readiness("stopping", []), 503)
    dependencies = await call.services.readiness()
    is_ready = all(dependency.ok or not dependency.required for dependency in dependencies)
    if not is_ready:
        status = "unavailable"
    else:
        status = "ready" if all(dependency.ok for dependency in dependencies) else "degraded"
    return json_response(Readiness(status, list(dependencies)), 200 if is_ready else 503)


async def metrics(call: Call) -> ASGIApp:
    """Return every metric as Prometheus text. Open like /health: no label names a person."""
    return Response(await call.services.metrics(), media_type=CONTENT_TYPE)


async def reindex(call: Call) -> ASGIApp:
    """Rebuild listing and search index; return how many documents there were."""
    return json_response(await call.services.documents.reindex())
