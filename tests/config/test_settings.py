"""The environment, typed."""

from pathlib import Path

import pytest

from vconflow.errors import ConfigError
from vconflow.ports.component import Secret
from vconflow.settings import Settings, environment


def complaints(env: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.load(env)
    return [str(problem) for problem in caught.value.problems]


def test_defaults() -> None:
    settings = Settings.load({})
    assert settings.redis_url is None
    assert settings.conserver_header_name == "x-conserver-api-token"
    assert settings.api_root_path == "/api"
    assert (settings.vcon_redis_expiry, settings.vcon_index_expiry) == (3600, 86400)
    assert settings.vcon_dlq_expiry == 604800
    assert (settings.vconflow_host, settings.vconflow_port) == ("127.0.0.1", 8000)
    assert settings.vconflow_replica
    assert settings.chain_concurrency == 128


def test_values_are_typed() -> None:
    settings = Settings.load(
        {
            "REDIS_URL": "redis://:pw@here:6379/1",
            "CONSERVER_PARALLEL_STORAGE": "no",
            "VCONFLOW_ALLOW_OPEN": "TRUE",
            "VCON_DLQ_EXPIRY": "0",
            "VCONFLOW_LEASE_SECONDS": "2.5",
            "VCONFLOW_DATA_DIR": "/somewhere",
            "VCONFLOW_CORS_ORIGINS": "https://a.example, https://b.example",
            "LOG_LEVEL": "debug",
            "CONSERVER_VCON_CONCURRENCY": "7",
            "VCONFLOW_CHAIN_CONCURRENCY": "9",
            "VCONFLOW_TEST_DATA": "left to tests",
            "HOME": "not ours",
        }
    )
    assert settings.redis_url == Secret("redis://:pw@here:6379/1")
    assert settings.conserver_parallel_storage is False
    assert settings.vconflow_allow_open is True
    assert settings.vcon_dlq_expiry == 0
    assert settings.vconflow_lease_seconds == 2.5
    assert settings.vconflow_data_dir == Path("/somewhere")
    assert settings.vconflow_cors_origins == ("https://a.example", "https://b.example")
    assert settings.log_level == "DEBUG"
    assert settings.chain_concurrency == 7
    assert "pw" not in repr(settings)


def test_an_empty_variable_is_not_set() -> None:
    settings = Settings.load({"REDIS_URL": "", "VCONFLOW_PORT": "", "CONSERVER_API_TOKEN": ""})
    assert (settings.redis_url, settings.vconflow_port) == (None, 8000)
    assert settings.conserver_api_token is None


def test_what_surrounds_a_value_does_not_count() -> None:
    settings = Settings.load({"CONSERVER_API_TOKEN": " key\n", "REDIS_URL": "\n"})
    assert settings.conserver_api_token is not None
    assert settings.conserver_api_token.reveal() == "key"
    assert settings.redis_url is None


def test_every_bad_variable_is_named() -> None:
    assert complaints(
        {
            "VCONFLOW_PROT": "80",
            "VCONFLOW_PORT": "eighty",
            "LOG_LEVEL": "loud",
            "VCON_REDIS_EXPIRY": "0",
            "API_ROOT_PATH": "api",
            "VCONFLOW_DURABILITY": "high",
        }
    ) == [
        "unknown variable 'VCONFLOW_PROT', did you mean 'VCONFLOW_PORT'?",
        "API_ROOT_PATH: expected a path that begins with /",
        "VCON_REDIS_EXPIRY: expected int >= 1",
        "LOG_LEVEL: expected one of 'CRITICAL', 'DEBUG', 'ERROR', 'INFO', 'WARNING'",
        "VCONFLOW_PORT: expected int, got str",
        "VCONFLOW_DURABILITY: expected one of '', 'everysec', 'fsync', 'replicated'",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://user:p%2Fw@h:6379/1",
        "rediss://h:6380/0?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_the_url_of_a_redis(url: str) -> None:
    settings = Settings.load({"REDIS_URL": url})
    assert settings.redis_url is not None
    assert settings.redis_url.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "hidden",
        "http://u:hidden@h",
        "redis://u:hidden@h:port",
        "redis://u:hid/den@h:6379",
        "redis://u:12/hidden@h:6379",
        "redis://u:12#hidden@h:6379",
        "redis://u:12?hidden@h:6379",
        "redis://u:hidden@h:6379/vcons",
        "redis://[hidden",
        "unix://",
    ],
)
def test_a_malformed_url_of_a_redis_is_not_quoted(url: str) -> None:
    assert complaints({"REDIS_URL": url}) == [
        "REDIS_URL: expected redis://[user:password@]host:port/db; write special characters of "
        "the password as %XX"
    ]


def test_the_real_environment_goes_before_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("# a comment\nVCONFLOW_PORT=1\nexport VCONFLOW_HOST='::1'\nLONELY\n")
    settings = Settings.load({"VCONFLOW_PORT": "2"}, dotenv)
    assert (settings.vconflow_port, settings.vconflow_host) == (2, "::1")
    assert environment({"A": "b"}, dotenv) == {
        "A": "b",
        "VCONFLOW_PORT": "1",
        "VCONFLOW_HOST": "::1",
    }
    assert environment({"A": "b"}, tmp_path / "none") == {"A": "b"}


def test_an_unknown_name_in_the_file_is_an_error_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VCONFLOW_PROT=1\n")
    with pytest.raises(ConfigError, match="unknown variable 'VCONFLOW_PROT'"):
        Settings.load({}, tmp_path / ".env")
