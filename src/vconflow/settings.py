"""The environment: every variable that vconflow reads, typed, with its default.

The field `redis_url` is the variable `REDIS_URL`, and so on. Names that begin with `VCONFLOW_`
are ours; the others are those of the reference conserver, so that its environment files work.
"""

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, inspect

from vconflow.config.conversion import convert_struct
from vconflow.config.field_types import alternatives
from vconflow.config.findings import Findings, nearest
from vconflow.ports.component import EXPECTED, Secret
from vconflow.redis_url import complaint_about

__all__ = ["Settings", "check_names", "environment"]

OURS = "VCONFLOW_"
OURS_IN_TESTS = "VCONFLOW_TEST_"

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int, Meta(ge=1)]
Duration = Annotated[float, Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """What the environment says. Blanks and line ends around a value do not count, as files of
    secrets end in one; an empty variable counts as not set.
    """

    redis_url: Annotated[
        Secret | None,
        Meta(
            description="Redis or Valkey, 7.0 or newer: `redis://[user:password@]host:port/db`, "
            "`redis+sentinel://[user:password@]host:26379,host:26379/service/db` or "
            "`redis+cluster://[user:password@]host:6379,host:6379`. "
            "Unset: an embedded Valkey in the data folder."
        ),
    ] = None
    conserver_config_file: Annotated[Path, Meta(description="The configuration file.")] = Path(
        "config.yml"
    )

    conserver_api_token: Annotated[
        Secret | None,
        Meta(description="The main key. Without it and any other key the API is open."),
    ] = None
    conserver_api_token_file: Annotated[
        str | None,
        Meta(description="A file of further keys, one a line; read again when it changes."),
    ] = None
    conserver_header_name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]+$",
            extra={EXPECTED: "letters, digits, hyphens and underscores"},
            description="The request header that carries the key.",
        ),
    ] = "x-conserver-api-token"
    api_root_path: Annotated[
        str,
        Meta(
            pattern="^/",
            extra={EXPECTED: "a path that begins with /"},
            description="Every route `/x` is also served under this prefix.",
        ),
    ] = "/api"

    vcon_redis_expiry: Annotated[
        Seconds,
        Meta(
            description="Seconds that a finished vCon stays in Redis once a storage that can be "
            "read holds it."
        ),
    ] = 3600
    vcon_index_expiry: Annotated[
        Seconds, Meta(description="Seconds that a vCon can be searched by its parties.")
    ] = 86400
    vcon_dlq_expiry: Annotated[
        int, Meta(ge=0, description="Seconds that a dead letter is kept; 0 keeps it for ever.")
    ] = 604800
    vcon_storage_fallback_enabled: Annotated[
        bool, Meta(description="Read a vCon from the storages when Redis has it no more.")
    ] = True
    vcon_sorted_set_name: Annotated[
        str, Meta(description="The Redis key of the listing of all vCons.")
    ] = "vcons"
    vconflow_history_expiry: Annotated[
        int,
        Meta(
            ge=0,
            description="Seconds that what happened to a vCon can be read; 0 keeps no history.",
        ),
    ] = 86400
    egress_format_version: Annotated[
        str | None,
        Meta(description="The vCon version that egress hands out. Not built yet: each vCon's own."),
    ] = None

    conserver_vcon_concurrency: Annotated[
        Count | None,
        Meta(description="vCons under way at once per chain; goes before our own variable."),
    ] = None
    conserver_parallel_storage: Annotated[
        bool, Meta(description="Write to the storages of a chain in parallel.")
    ] = True
    conserver_workers: Annotated[
        Count,
        Meta(description="Replicas of `vconflow serve` on one port; `--replicas` goes first."),
    ] = 1

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Meta(description="The least severe log line that is written."),
    ] = "INFO"

    openai_api_key: Annotated[Secret | None, Meta(description="Key of OpenAI.")] = None
    openai_base_url: Annotated[
        str | None, Meta(description="Base URL of OpenAI, if it is not the public one.")
    ] = None
    openai_org_id: Annotated[
        str | None, Meta(description="Organization at OpenAI, of OPENAI_API_KEY.")
    ] = None
    openai_project_id: Annotated[
        str | None, Meta(description="Project at OpenAI, of OPENAI_API_KEY.")
    ] = None
    deepgram_key: Annotated[Secret | None, Meta(description="Key of Deepgram.")] = None
    groq_api_key: Annotated[Secret | None, Meta(description="Key of Groq.")] = None
    huggingface_api_key: Annotated[Secret | None, Meta(description="Key of Hugging Face.")] = None
    azure_openai_endpoint: Annotated[
        str | None, Meta(description="Base URL of the Azure OpenAI resource.")
    ] = None
    azure_openai_api_key: Annotated[Secret | None, Meta(description="Key of Azure OpenAI.")] = None
    azure_openai_api_version: Annotated[
        str | None, Meta(description="API version of Azure OpenAI.")
    ] = None
    litellm_proxy_url: Annotated[
        str | None, Meta(description="Base URL of a LiteLLM proxy; goes before other providers.")
    ] = None
    litellm_master_key: Annotated[Secret | None, Meta(description="Key of the LiteLLM proxy.")] = (
        None
    )

    vconflow_provider_concurrency: Annotated[
        Count,
        Meta(
            description="Calls under way at once per account at a provider of models, unless the "
            "component that uses it says otherwise."
        ),
    ] = 50
    vconflow_provider_timeout: Annotated[
        Duration,
        Meta(description="Seconds that a call to a model may take; 600 if it has a recording."),
    ] = 120.0
    vconflow_prices_file: Annotated[
        Path | None,
        Meta(
            description="Prices of models, YAML: provider, model, then dollars for a million "
            "tokens (`input`, `output`) and for a `minute` of recording. It goes before the list "
            "prices that are built in."
        ),
    ] = None

    vconflow_data_dir: Annotated[
        Path, Meta(description="Where the embedded Valkey and links keep their files.")
    ] = Path("data")
    vconflow_config_poll_seconds: Annotated[
        Duration,
        Meta(
            description="The configuration file and the stored configuration are looked at so "
            "often in seconds, besides the news of their changes."
        ),
    ] = 5.0
    vconflow_host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    vconflow_port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    ] = 8000
    vconflow_reuse_port: Annotated[
        bool,
        Meta(
            description="Let other processes that say the same listen on the same port "
            "(SO_REUSEPORT)."
        ),
    ] = False
    vconflow_url: Annotated[
        str, Meta(description="The server of `vconflow submit` and `vconflow dead-letters`.")
    ] = "http://127.0.0.1:8000"
    vconflow_allow_open: Annotated[
        bool, Meta(description="Allow an address other than loopback although no key is set.")
    ] = False
    vconflow_public_stats: Annotated[
        bool, Meta(description="Answer `/stats/queue` without a key.")
    ] = True
    vconflow_max_body_bytes: Annotated[
        Count, Meta(description="Largest request body in bytes, after decompression.")
    ] = 33554432
    vconflow_max_bodies_bytes: Annotated[
        Count,
        Meta(
            description="Bytes that request bodies over 64 KiB may hold all together, and as many "
            "again answers of vCons; what goes beyond is answered with 503. A single one always "
            "passes."
        ),
    ] = 536870912
    vconflow_allow_install: Annotated[
        bool,
        Meta(
            description="Let `vconflow install` install the packages that the configuration file "
            "names by `pip_name`."
        ),
    ] = False
    vconflow_fetch_allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks (10.0.0.0/8) and hosts, separated by commas, that links may "
            "fetch URLs of vCons from although they are private. Others that are private are "
            "refused."
        ),
    ] = ()
    vconflow_max_inflight: Annotated[
        Count,
        Meta(
            description="vCons under way at once in this process, over all chains. Where chains "
            "together may do no more than that, up to 256 are read ahead besides."
        ),
    ] = 1024
    vconflow_chain_concurrency: Annotated[
        Count, Meta(description="vCons under way at once per chain that does not say itself.")
    ] = 128
    vconflow_module_threads: Annotated[
        Count,
        Meta(description="Calls of modules of the reference's contract under way at once."),
    ] = 128
    vconflow_module_stuck_threads: Annotated[
        Count,
        Meta(
            description="Threads whose calls took too long and never came back, after which this "
            "process calls no module any more until one does."
        ),
    ] = 64
    vconflow_max_waiting: Annotated[
        Count, Meta(description="Entries of a chain that wait for a retry before reading stops.")
    ] = 10000
    vconflow_replica: Annotated[
        str,
        Meta(
            description="The stable name of this replica. Default: the host's name. "
            "`serve --replicas` adds a number."
        ),
    ] = msgspec.field(default_factory=socket.gethostname)
    vconflow_lease_seconds: Annotated[
        Duration,
        Meta(description="Seconds after which the work of a silent replica is taken over."),
    ] = 30.0
    vconflow_egress_lease_seconds: Annotated[
        Duration,
        Meta(
            description="Seconds after which uuids come back that egress gave to a client and "
            "that nobody acknowledged, unless a lease asks for others."
        ),
    ] = 60.0
    vconflow_max_event_streams: Annotated[
        Count, Meta(description="Clients of `GET /events` at a time; others are told to come back.")
    ] = 100
    vconflow_grace_seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="Seconds that vCons under way get to finish when the process stops."),
    ] = 25.0
    vconflow_poison_crashes: Annotated[
        Count, Meta(description="Crashes during one entry after which it becomes a dead letter.")
    ] = 3
    vconflow_loop_stall: Annotated[
        Duration, Meta(description="Seconds of a stuck event loop after which the process exits.")
    ] = 60.0
    vconflow_breaker_failures: Annotated[
        Count, Meta(description="Outages of a storage or link in a row after which it is left be.")
    ] = 5
    vconflow_probe_seconds: Annotated[
        Duration,
        Meta(
            description="What is down is tried again at least this often, in seconds, unless it "
            "asked for a longer pause."
        ),
    ] = 15.0
    vconflow_durability: Annotated[
        Literal["", "everysec", "fsync", "replicated"],
        Meta(
            description="What Redis must guarantee at start: `fsync` wants `appendfsync always`, "
            "`everysec` an append-only file, `replicated` also `min-replicas-to-write`; with it "
            "nothing is accepted that no replica has confirmed. Unset: nothing is checked."
        ),
    ] = ""
    vconflow_shards: Annotated[
        Count | None,
        Meta(
            description="Parts that the data in Redis is divided into, for ever. Unset: 1, and 16 "
            "on a Redis Cluster."
        ),
    ] = None
    vconflow_otel: Annotated[
        bool,
        Meta(
            description="Make spans for OpenTelemetry, as the variables `OTEL_*` say. Needs the "
            "extra `otel`."
        ),
    ] = False
    vconflow_log_format: Annotated[
        Literal["auto", "json", "pretty"],
        Meta(description="How log lines look; `auto` is pretty on a terminal."),
    ] = "auto"
    vconflow_commit: Annotated[
        str, Meta(description="The commit that this build was made of, as GET /version says.")
    ] = "unknown"
    vconflow_build_time: Annotated[
        str, Meta(description="When this build was made, as GET /version says.")
    ] = "unknown"
    vconflow_rate_limit: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(
            description="Requests per second that each API key may make in the long run, counted "
            "by each replica alone; 0 sets no limit. `rate_limit` of a key goes first."
        ),
    ] = 0.0
    vconflow_rate_burst: Annotated[
        int,
        Meta(ge=0, description="Requests of one API key at once; 0 means those of one second."),
    ] = 0
    vconflow_failed_logins: Annotated[
        int,
        Meta(
            ge=0,
            description="Wrong API keys per minute from one address, after which no key that was "
            "not right from there before is looked at; 0 sets no limit.",
        ),
    ] = 300
    vconflow_audit_log: Annotated[
        Path | None,
        Meta(
            description="The file of the audit log; it may be rotated by moving it away. Unset: "
            "standard error."
        ),
    ] = None
    vconflow_audit_level: Annotated[
        Literal["", "off", "admin", "changes", "all"],
        Meta(
            description="What the audit log says: `admin` what only admins may do and everything "
            "refused, `changes` also what stores, hands on or deletes, `all` also what reads. "
            "Unset: `all` if VCONFLOW_AUDIT_LOG is set, else `admin`."
        ),
    ] = ""
    vconflow_max_connections: Annotated[
        Count,
        Meta(description="Connections at once; more are answered with 503 and closed."),
    ] = 4096
    vconflow_header_timeout: Annotated[
        Duration,
        Meta(description="Seconds within which the head of a request must be there."),
    ] = 10.0
    vconflow_body_timeout: Annotated[
        Duration,
        Meta(
            description="Seconds in which a body must bring another KiB, or its end, and in which "
            "a client must read something of its answer."
        ),
    ] = 30.0
    vconflow_keep_alive: Annotated[
        Count, Meta(description="Seconds that an idle connection is kept open.")
    ] = 65
    forwarded_allow_ips: Annotated[
        str,
        Meta(
            description="Addresses and networks of proxies, separated by commas, whose "
            "X-Forwarded-For and X-Forwarded-Proto count."
        ),
    ] = "127.0.0.1,::1"
    vconflow_tls_certfile: Annotated[
        Path | None,
        Meta(description="The certificate chain, PEM: with it the API speaks TLS only."),
    ] = None
    vconflow_tls_keyfile: Annotated[
        Path | None, Meta(description="Its private key, PEM. Unset: it is in the same file.")
    ] = None
    vconflow_tls_key_password: Annotated[
        Secret | None, Meta(description="The password of the private key.")
    ] = None
    vconflow_tls_ca_certs: Annotated[
        Path | None,
        Meta(description="Authorities, PEM: clients must show a certificate of one of them."),
    ] = None
    vconflow_tls_min_version: Annotated[
        Literal["1.2", "1.3"], Meta(description="The oldest TLS version that is spoken.")
    ] = "1.2"
    vconflow_tls_ciphers: Annotated[
        str, Meta(description="OpenSSL's cipher list for TLS 1.2. Unset: that of Python.")
    ] = ""
    vconflow_cors_origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins, separated by commas, whose pages may call the API."),
    ] = ()

    @property
    def chain_concurrency(self) -> int:
        """vCons under way at once per chain that does not say itself."""
        return self.conserver_vcon_concurrency or self.vconflow_chain_concurrency

    @property
    def audit_level(self) -> str:
        """How much the audit log says; a file of its own gets everything."""
        return self.vconflow_audit_level or ("all" if self.vconflow_audit_log else "admin")

    @classmethod
    def load(cls, env: Mapping[str, str], dotenv: Path | None = None) -> Self:
        """Read the variables of `env` and of a .env file; `env` goes first.

        Raises ConfigError with every bad variable, and with every `VCONFLOW_` name that is none.
        """
        read = environment(env, dotenv).items()
        given = {name: text for name, value in read if (text := value.strip())}
        fields = _fields(cls)
        findings = Findings()
        _note_unknown(given, fields, findings)
        values = {
            name: _prepare(name, given[name], field)
            for name, field in fields.items()
            if name in given
        }
        settings = convert_struct(cls, values, (), findings)
        if "REDIS_URL" in given and (complaint := complaint_about(given["REDIS_URL"])):
            findings.error(("REDIS_URL",), complaint, "bad_url")
        findings.raise_errors()
        assert settings is not None
        return settings


def check_names(env: Mapping[str, str]) -> None:
    """Raise ConfigError for every `VCONFLOW_` name that is no setting."""
    findings = Findings()
    given = [name for name, value in env.items() if value.strip()]
    _note_unknown(given, _fields(Settings), findings)
    findings.raise_errors()


def _note_unknown(
    names: Iterable[str], fields: Mapping[str, inspect.Field], findings: Findings
) -> None:
    meant = {field.removeprefix(OURS): field for field in fields}
    for name in names:
        if name.startswith(OURS) and name not in fields and not name.startswith(OURS_IN_TESTS):
            # What all names begin with would make any two of them look alike.
            found = nearest(name.removeprefix(OURS), meant)
            hint = f", did you mean {meant[found]!r}?" if found else ""
            findings.error((), f"unknown variable {name!r}{hint}", "unknown_variable")


def environment(env: Mapping[str, str], dotenv: Path | None = None) -> dict[str, str]:
    """`env` over the variables of a .env file, which need not exist."""
    from_file = dotenv_values(dotenv) if dotenv and dotenv.is_file() else {}
    return {name: value for name, value in from_file.items() if value is not None} | dict(env)


def _fields(cls: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field for field in info.fields}


def _prepare(name: str, text: str, field: inspect.Field) -> Any:
    if any(isinstance(kind, inspect.VarTupleType) for kind in alternatives(field.type)):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text.upper() if name == "LOG_LEVEL" else text
