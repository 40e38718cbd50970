"""What happens in vconflow, one function per occurrence: its log line and its metric together.

Called from the event loop. Whatever happens to every vCon is a DEBUG line; text that can name a
person or a credential is nobody's business: errors are given by type and message, cut short.
"""

from collections.abc import Sequence

from vconflow.telemetry import metrics
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = [
    "accepted",
    "audit_lost",
    "auth_off",
    "breaker_changed",
    "breaker_closed",
    "breaker_gone",
    "breaker_opened",
    "certificate_loaded",
    "chain_full",
    "chain_gone",
    "chain_held",
    "chain_measured",
    "chain_paused",
    "config_applied",
    "config_refused",
    "config_trouble",
    "config_unwatched",
    "connection_refused",
    "conserver_data_found",
    "dead_lettered",
    "dead_letters_moved",
    "document_missing",
    "drain_ended",
    "drain_started",
    "enqueue_skipped",
    "entry_done",
    "event_feed_lost",
    "follower_back",
    "follower_failed",
    "follower_measured",
    "follower_parked",
    "follower_pulled",
    "follower_started",
    "follower_stopped",
    "follower_succeeded",
    "follower_unwritten",
    "http_done",
    "lease_lost",
    "link_done",
    "list_gone",
    "list_measured",
    "loop_lag",
    "package_installed",
    "parked",
    "partner_accepted",
    "recovered",
    "redis_back",
    "redis_done",
    "redis_lost",
    "retry_scheduled",
    "storage_conflict_restored",
    "storage_done",
    "took_over",
    "unhandled",
    "valkey_back",
    "valkey_ended",
]

LONGEST_ERROR = 500
"""Characters of an error's message in a log line."""
LAG_WORTH_A_LINE = 1.0

_log = get_logger()


def _told(error: BaseException) -> dict[str, str]:
    return {"error_type": type(error).__name__, "error": str(error)[:LONGEST_ERROR]}


# The way of a vCon


def accepted(list_name: str, source: str, count: int = 1) -> None:
    """vCons were stored and put on a list; `source` is `http`, `bulk`, `link` and the like."""
    metrics.ACCEPTED(list_name, source).inc(count)
    if debug_enabled():
        _log.debug("accepted", list=list_name, source=source, count=count)


def partner_accepted(list_name: str, key: str, count: int = 1) -> None:
    """The same for a partner, told by the name of the API key, never by the key."""
    metrics.PARTNER_ACCEPTED(list_name, key).inc(count)


def enqueue_skipped(list_name: str, count: int) -> None:
    """uuids that were to be put on a list are known nowhere."""
    metrics.ENQUEUE_SKIPPED(list_name).inc(count)
    _log.warning("enqueue_skipped", list=list_name, count=count)


def entry_done(chain: str, outcome: str, seconds: float) -> None:
    """A run of a chain ended: completed, halted, deleted, lost, dead, retried or parked."""
    metrics.ENTRIES(chain, outcome).inc()
    metrics.CHAIN_SECONDS(chain, outcome).observe(seconds)
    if debug_enabled():
        _log.debug("entry_done", chain=chain, outcome=outcome, seconds=seconds)


def link_done(chain: str, link: str, outcome: str, seconds: float) -> None:
    """A link returned or failed; `outcome` is one word for that."""
    metrics.LINK_SECONDS(chain, link, outcome).observe(seconds)
    if debug_enabled():
        _log.debug("link_done", chain=chain, link=link, outcome=outcome, seconds=seconds)


def storage_done(
    storage: str, outcome: str, seconds: float, count: int, error: BaseException | None
) -> None:
    """A storage was through with a batch of `count` vCons; with `error`, some or all failed."""
    metrics.STORAGE_SECONDS(storage, outcome).observe(seconds)
    metrics.STORAGE_VCONS(storage, outcome).inc(count)
    if error is not None:
        _log.warning(
            "storage_failed", storage=storage, outcome=outcome, count=count, **_told(error)
        )
    elif debug_enabled():
        _log.debug("storage_done", storage=storage, count=count, seconds=seconds)


def storage_conflict_restored(storage: str, uuid: str) -> None:
    """A newer revision came up while a storage took an older one, and was stored after it."""
    metrics.STORAGE_CONFLICTS(storage).inc()
    _log.info("storage_conflict_restored", storage=storage, uuid=uuid)


# What goes wrong with an entry


def retry_scheduled(
    chain: str,
    list_name: str,
    uuid: str,
    stage: str,
    error: BaseException,
    attempt: int,
    delay: float,
) -> None:
    """An entry failed at `stage` for the `attempt`-th time and waits `delay` seconds."""
    metrics.RETRIES(chain).inc()
    _log.info(
        "retry_scheduled",
        chain=chain,
        list=list_name,
        uuid=uuid,
        stage=stage,
        attempt=attempt,
        delay=round(delay, 3),
        **_told(error),
    )


def parked(chain: str, list_name: str, uuid: str, breakers: Sequence[str]) -> None:
    """An entry waits until one of these breakers lets it through."""
    metrics.PARKED(chain).inc()
    if debug_enabled():
        _log.debug("parked", chain=chain, list=list_name, uuid=uuid, breakers=list(breakers))


def dead_lettered(
    chain: str,
    list_name: str,
    uuid: str,
    stage: str,
    error_type: str,
    error: str,
    attempts: int,
) -> None:
    """An entry was given up and moved to the dead letters of its list."""
    _log.error(
        "dead_lettered",
        chain=chain,
        list=list_name,
        uuid=uuid,
        stage=stage,
        error_type=error_type,
        error=error[:LONGEST_ERROR],
        attempts=attempts,
    )


def dead_letters_moved(list_name: str, how: str, count: int) -> None:
    """Dead letters of a list were `replayed`, `purged` or `expired`."""
    if count:
        metrics.DEAD_LETTERS_MOVED(list_name, how).inc(count)
        if debug_enabled():
            _log.debug("dead_letters_moved", list=list_name, how=how, count=count)


def document_missing(list_name: str, entry: str, uuid: str) -> None:
    """The vCon of an entry is neither in Redis nor in any storage."""
    metrics.DOCUMENTS_MISSING(list_name).inc()
    _log.error("document_missing", list=list_name, entry=entry, uuid=uuid)


# Following other servers


def follower_started(follower: str, list_name: str) -> None:
    """It is the turn of this replica to pull another server's egress into a list."""
    _log.info("follower_started", follower=follower, list=list_name)


def follower_stopped(follower: str, waiting: int, *, is_removed: bool) -> None:
    """Another replica has the turn, or will; of one that was removed, `waiting` ids are left."""
    if is_removed and waiting:
        _log.error("follower_removed_too_early", follower=follower, waiting=waiting)
    else:
        _log.info("follower_stopped", follower=follower, waiting=waiting)


def follower_pulled(follower: str, outcome: str, count: int) -> None:
    """Of so many ids the vCon was `stored` here, or is fetched `again`."""
    if count:
        metrics.FOLLOWER_PULLED(follower, outcome).inc(count)
        if debug_enabled():
            _log.debug("follower_pulled", follower=follower, outcome=outcome, count=count)


def follower_parked(follower: str, uuid: str, reason: str, error: str) -> None:
    """The vCon of an id cannot be had; the id is kept where people see it."""
    metrics.FOLLOWER_PULLED(follower, reason).inc()
    _log.error("follower_parked", follower=follower, uuid=uuid[:100], reason=reason, error=error)


def follower_failed(follower: str, error: BaseException, failures: int, delay: float) -> None:
    """The other server, or Redis, is away; told once, until `follower_back`."""
    metrics.FOLLOWER_FAILURES(follower).inc()
    if failures == 1:
        _log.warning("follower_failed", follower=follower, delay=round(delay, 3), **_told(error))
    elif debug_enabled():
        _log.debug("follower_failed", follower=follower, failures=failures, **_told(error))


def follower_back(follower: str) -> None:
    """The other server answers again."""
    _log.warning("follower_back", follower=follower)


def follower_succeeded(follower: str, now: float) -> None:
    """A look at the other server went well, whatever it brought."""
    metrics.FOLLOWER_SUCCESS(follower).set(now)


def follower_unwritten(follower: str, uuids: Sequence[str]) -> None:
    """Ids left the other server, and Redis took none of them before the process ended."""
    _log.critical("follower_unwritten", follower=follower, uuids=list(uuids))


def follower_measured(follower: str, waiting: int, parked: int) -> None:
    """How many ids are written down, and how many are parked."""
    metrics.FOLLOWER_WAITING(follower).set(waiting)
    metrics.FOLLOWER_PARKED(follower).set(parked)


# Who owns what


def lease_lost(list_name: str, entry: str) -> None:
    """Another replica owns an entry that this one works on; the work stops."""
    metrics.LEASES_LOST(list_name).inc()
    _log.warning("lease_lost", list=list_name, entry=entry)


def took_over(list_name: str, count: int) -> None:
    """Entries of a replica that died, or hangs, are ours now."""
    metrics.TAKEN_OVER(list_name).inc(count)
    _log.warning("took_over", list=list_name, count=count)


def recovered(list_name: str, count: int) -> None:
    """Entries that an earlier life of this replica left unfinished go on."""
    metrics.RECOVERED(list_name).inc(count)
    _log.info("recovered", list=list_name, count=count)


def chain_held(chain: str, reason: str) -> None:
    """A chain reads nothing: a component of it cannot run in this version."""
    metrics.CHAIN_HELD(chain).inc()
    _log.warning("chain_held", chain=chain, reason=reason)


def chain_full(chain: str, waiting: int, *, is_full: bool) -> None:
    """So many entries of a chain rest that it reads nothing more, or it reads again."""
    if is_full:
        metrics.CHAIN_HELD(chain).inc()
    _log.warning("chain_full" if is_full else "chain_reads_again", chain=chain, waiting=waiting)


def chain_paused(chain: str, *, is_paused: bool) -> None:
    """Somebody paused a chain, so that this replica reads nothing of it, or lets it go on."""
    _log.warning("chain_paused" if is_paused else "chain_resumed", chain=chain)


def breaker_changed(name: str, *, is_open: bool) -> None:
    """A breaker opened, closed or is known from now on."""
    metrics.BREAKER_OPEN(name).set(is_open)


def breaker_gone(name: str) -> None:
    """What a breaker guarded is not configured any more."""
    metrics.BREAKER_OPEN.forget(name)


def breaker_opened(name: str, error: str) -> None:
    """A storage or a link's service is down, not just for a moment; what needs it waits."""
    _log.warning("breaker_opened", breaker=name, error=error[:LONGEST_ERROR])


def breaker_closed(name: str, seconds: float) -> None:
    """It is back after so long."""
    _log.warning("breaker_closed", breaker=name, seconds=round(seconds, 3))


# The process and its surroundings


def redis_lost(error: BaseException) -> None:
    """Redis could not be reached or refused work."""
    metrics.REDIS_ERRORS().inc()
    _log.warning("redis_lost", **_told(error))


def event_feed_lost(error: BaseException) -> None:
    """The subscription to events broke, and those who listen may miss some."""
    metrics.REDIS_ERRORS().inc()
    _log.warning("event_feed_lost", **_told(error))


def redis_back(seconds: float) -> None:
    """Redis takes work again after so long."""
    _log.info("redis_back", seconds=round(seconds, 3))


def redis_done(command: str, seconds: float) -> None:
    """A command, or a script by its name, was answered."""
    metrics.REDIS_SECONDS(command).observe(seconds)


def valkey_ended(how: str, delay: float, words: str) -> None:
    """The embedded Valkey ended, by itself or killed; the next try to start it is in `delay`
    seconds. `words` are the last lines of its log.
    """
    metrics.EMBEDDED_RESTARTS().inc()
    _log.error("valkey_ended", how=how, delay=round(delay, 3), words=words)


def valkey_back() -> None:
    """The embedded Valkey takes commands again."""
    _log.warning("valkey_back")


def config_applied(source: str, serial: int, version: str, by: str) -> None:
    """A version of the configuration came into force; `source` is `file`, `api`, `store`, …."""
    metrics.CONFIG_RELOADS(source, "applied").inc()
    metrics.CONFIG_SERIAL().set(serial)
    _log.info("config_applied", source=source, serial=serial, version=version, by=by)


def config_refused(source: str, problems: int, error: str) -> None:
    """A configuration has that many problems; the one in force stays. `error` names no secret."""
    metrics.CONFIG_RELOADS(source, "refused").inc()
    _log.warning("config_refused", source=source, problems=problems, error=error[:LONGEST_ERROR])


def config_trouble(*, is_there: bool) -> None:
    """The file, or the stored version, is one that cannot be used, or that is over."""
    metrics.CONFIG_REFUSED().set(is_there)


def config_unwatched(error: BaseException) -> None:
    """The system cannot tell when the configuration file changes; it is looked at now and then."""
    _log.warning("config_unwatched", **_told(error))


def drain_started(inflight: int) -> None:
    """The process is stopping and lets that many entries finish."""
    _log.info("drain_started", inflight=inflight)


def drain_ended(finished: int, handed_over: int) -> None:
    """Nothing is being worked on any more; what was not finished is left to the other replicas."""
    _log.info("drain_ended", finished=finished, handed_over=handed_over)


def conserver_data_found(found: str) -> None:
    """Another conserver left data in the same Redis; `found` counts it."""
    _log.warning("conserver_data_found", found=found, hint="run vconflow migrate")


def auth_off(host: str) -> None:
    """The API answers anybody who reaches `host`."""
    _log.warning("auth_off", host=host, hint="set CONSERVER_API_TOKEN")


def audit_lost(count: int, reason: str) -> None:
    """Lines of the audit log could not be written; the requests went on."""
    metrics.AUDIT_LOST().inc(count)
    _log.error("audit_lost", count=count, reason=reason)


def connection_refused(reason: str) -> None:
    """A connection was ended before its request reached a route; `reason` is one of a few words."""
    metrics.CONNECTIONS_REFUSED(reason).inc()
    if debug_enabled():
        _log.debug("connection_refused", reason=reason)


def certificate_loaded(files: Sequence[str], error: BaseException | None = None) -> None:
    """The TLS certificate has changed and is used from now on; with `error` the old one is."""
    if error is None:
        _log.info("certificate_loaded", files=list(files))
    else:
        _log.error("certificate_unusable", files=list(files), **_told(error))


def package_installed(name: str, version: str, source: str) -> None:
    """`vconflow install` has installed a package of a third party."""
    _log.warning("package_installed", name=name, version=version, source=source)


def http_done(route: str, method: str, status: int, seconds: float) -> None:
    """A request was answered; `route` is the template of its path, never the path."""
    metrics.HTTP_SECONDS(route, method, str(status)).observe(seconds)
    if debug_enabled():
        _log.debug("http_done", route=route, method=method, status=status, seconds=seconds)


def loop_lag(seconds: float) -> None:
    """The event loop ran a timer so much too late."""
    metrics.LOOP_LAG().observe(seconds)
    if seconds >= LAG_WORTH_A_LINE:
        _log.warning("loop_lag", seconds=round(seconds, 3))


def unhandled(where: str, error: BaseException) -> None:
    """An error that nothing expected, with its traceback: a bug of ours or of a component."""
    metrics.UNHANDLED().inc()
    _log.error("unhandled", where=where, exc_info=error)


# Levels, measured every few seconds


def list_measured(
    list_name: str, waiting: int, pending: int, oldest: float, dead: int | None = None
) -> None:
    """How full a list is; `oldest` is in seconds."""
    metrics.LIST_DEPTH(list_name).set(waiting)
    metrics.PENDING(list_name).set(pending)
    metrics.LIST_OLDEST(list_name).set(oldest)
    if dead is not None:
        metrics.DEAD_LETTERS(list_name).set(dead)


def chain_measured(chain: str, inflight: int, waiting: int) -> None:
    """How many entries of a chain are being processed, and how many rest until they may go on."""
    metrics.INFLIGHT(chain).set(inflight)
    metrics.WAITING(chain).set(waiting)


def chain_gone(chain: str) -> None:
    """A chain is not configured any more."""
    metrics.INFLIGHT.forget(chain)
    metrics.WAITING.forget(chain)


def list_gone(list_name: str) -> None:
    """No chain reads or writes a list any more; what it holds stays."""
    for gauge in (
        metrics.LIST_DEPTH,
        metrics.PENDING,
        metrics.LIST_OLDEST,
        metrics.DEAD_LETTERS,
    ):
        gauge.forget(list_name)
