"""Addresses of a Redis behind Sentinels: what is read from them, and what is never shown."""

import pytest
from redis.asyncio import Redis

from vconflow.errors import ConfigError
from vconflow.redis_url import (
    ClusterUrl,
    SentinelUrl,
    complaint_about,
    parse_cluster_url,
    parse_sentinel_url,
    shown,
)
from vconflow.settings import Settings


def test_everything_a_sentinel_address_can_say() -> None:
    url = (
        "rediss+sentinel://ann:p%40ss%2F@one,two:7000,[::1]:7001/my%20vcons/3"
        "?sentinel_username=bob&sentinel_password=s%26p"
    )
    assert complaint_about(url) is None
    assert parse_sentinel_url(url) == SentinelUrl(
        sentinels=(("one", 26379), ("two", 7000), ("::1", 7001)),
        service="my vcons",
        database=3,
        tls=True,
        username="ann",
        password="p@ss/",
        sentinel_username="bob",
        sentinel_password="s&p",
    )


def test_the_least_a_sentinel_address_must_say() -> None:
    found = parse_sentinel_url("redis+sentinel://one/vcons")
    assert found == SentinelUrl((("one", 26379),), "vcons")
    assert parse_sentinel_url("redis://one:6379/1") is None


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://:hidden@one:26379",
        "redis+sentinel://:hidden@one:26379/",
        "redis+sentinel://:hidden@one:26379/vcons/first",
        "redis+sentinel://:hidden@one:26379/vcons/1/2",
        "redis+sentinel://:hidden@one:port/vcons",
        "redis+sentinel://:hidden@one:0/vcons",
        "redis+sentinel://:hidden@one:99999/vcons",
        "redis+sentinel://:hidden@one,,two/vcons",
        "redis+sentinel://:hidden@/vcons",
        "redis+sentinel://:hid/den@one:26379/vcons",
        "redis+sentinel://:hid?den@one:26379/vcons",
        "redis+sentinel://:hid#den@one:26379/vcons",
        "redis+sentinel://one:26379/vcons?pasword=hidden",
        "redis+sentinel://one:26379/vcons?sentinel_password",
        "redis+sentinel:one:26379/vcons",
        "redis+sentinel://[hidden/vcons",
    ],
)
def test_a_malformed_sentinel_address_is_told_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load({"REDIS_URL": url})
    text = str(caught.value)
    assert text.startswith("REDIS_URL: expected redis+sentinel://[user:password@]host:26379,")
    assert "hid" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hidden@one/0?decode_responses=true",
        "redis://:hidden@one/0?socket_timeout=1",
        "redis://:hidden@one/0?pasword=hidden",
        "redis://:hidden@one?db=first",
        "redis://:hidden@one?ssl_cert_reqs=none",
        "rediss://:hidden@one?ssl_cert_reqs=CERT_NONE",
        "unix:///run/redis.sock?foo",
    ],
)
def test_an_option_that_is_not_for_people_to_set_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load({"REDIS_URL": url})
    text = str(caught.value)
    assert text.startswith("REDIS_URL: expected no other options than client_name, db, ")
    assert "hid" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://one",
        "redis://one?db=2&client_name=vcons",
        "unix:///run/redis.sock?db=2&password=hidden",
        "rediss://:hidden@one:6380/0?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem",
    ],
)
async def test_an_option_that_we_allow_is_one_of_the_driver(url: str) -> None:
    assert complaint_about(url) is None
    async with Redis.from_url(url) as client:
        client.connection_pool.make_connection()


def test_people_see_no_credentials() -> None:
    url = "redis+sentinel://ann:hidden@one,two:7000/vcons?sentinel_password=hidden"
    assert shown(url) == "'vcons' of the Sentinels one:26379, two:7000"
    assert "hidden" not in repr(parse_sentinel_url(url))
    assert shown("redis://ann:hidden@one:6379/1") == "one"
    assert shown("unix:///run/redis.sock") == "a socket"


def test_everything_a_cluster_address_can_say() -> None:
    url = "rediss+cluster://ann:p%40ss%2F@one,two:7000,[::1]:7001/0"
    assert complaint_about(url) is None
    assert parse_cluster_url(url) == ClusterUrl(
        nodes=(("one", 6379), ("two", 7000), ("::1", 7001)),
        tls=True,
        username="ann",
        password="p@ss/",
    )
    assert shown(url) == "the cluster of one:6379, two:7000, ::1:7001"
    assert repr(parse_cluster_url(url)) == f"ClusterUrl({shown(url)})"
    assert parse_cluster_url("redis+cluster://one") == ClusterUrl(nodes=(("one", 6379),))
    assert parse_cluster_url("redis://one:6379") is None


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster:one",
        "redis+cluster://:hidden@one/1",
        "redis+cluster://:hidden@one?db=1",
        "redis+cluster://:hidden@one:port",
        "redis+cluster://:hidden@one,,two",
        "redis+cluster://:hid/den@one",
        "redis+cluster://one#hidden",
    ],
)
def test_a_cluster_address_that_cannot_be_read(url: str) -> None:
    complaint = complaint_about(url)
    assert complaint is not None
    assert complaint.startswith("expected redis+cluster://")
    assert "hid" not in complaint
