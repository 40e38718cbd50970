"""The reference configuration: every section, every component, every documented option."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from vconflow import registry
from vconflow.config import load
from vconflow.config.loading import SECTIONS
from vconflow.registry import BUILT_IN, NOT_BUILT, Kind, is_installed

FILE = Path(__file__).parents[2] / "samples" / "reference-config.yml"
OURS = {"api_keys", "links.verify"}
OUR_OPTIONS = {
    *("connect_timeout", "dsn", "fsync", "name", "pool_size", "prepared_statements"),
    *("base_url", "concurrency", "context_tokens", "endpoint_url", "fetch_timeout", "label_tag"),
    *("language", "max_bytes", "media_types", "model", "multipart_threshold", "post_timeout"),
    *("provider_concurrency", "provider_fetches", "provider_timeout"),
}
"""Those that some component has and the reference has not."""
USAGE_PORTAL = {"ai_usage_api_token", "send_ai_usage_data_to_url"}
OURS_OF_SOME = {
    "links.analyze": {"response_format"},
    "links.check_and_tag": {"temperature"},
    "links.detect_engagement": {"response_format"},
    "links.groq_whisper": USAGE_PORTAL,
    "links.hugging_face_whisper": USAGE_PORTAL,
    "links.jq_link": {"on_error", "seconds"},
    "links.post_analysis_to_slack": {"timeout"},
    "links.transcribe": USAGE_PORTAL,
    "storage.milvus": {
        *("azure_openai_api_key", "azure_openai_api_version", "azure_openai_endpoint"),
        *("litellm_master_key", "litellm_proxy_url", "n_trees", "password", "pq_m", "pq_nbits"),
        *("project", "token", "uri", "user"),
    },
    "storage.webhook": {"signing_secret", "timeout"},
}
"""What only some of them may have besides: other links of the reference have it, or none."""
PAST = {"links.deepgram", "links.script", "links.summary"}
"""What the reference once had."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text()))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [sys.executable, "-m", "vconflow", "check-config", "--json", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_every_section_and_every_component_is_in_it(document: dict[str, Any]) -> None:
    assert document.keys() == set(SECTIONS) - OURS
    assert all(document.values())
    for kind, section in (
        (Kind.LINK, "links"),
        (Kind.STORAGE, "storages"),
        (Kind.TRACER, "tracers"),
    ):
        named = {part["module"] for part in document[section].values()}
        assert named >= {*BUILT_IN[kind], *NOT_BUILT[kind]} - OURS - PAST


@pytest.mark.parametrize(
    ("section", "kind"),
    [("links", Kind.LINK), ("storages", Kind.STORAGE)],
    ids=["links", "storages"],
)
def test_every_option_that_we_read_is_in_it(
    document: dict[str, Any], section: str, kind: Kind
) -> None:
    for module, target in BUILT_IN[kind].items():
        if module in OURS | PAST:
            continue
        given: set[str] = set()
        for part in document[section].values():
            given |= part["options"].keys() if part["module"] == module else set()
        known = {
            field.encode_name for field in msgspec.structs.fields(registry.load(target).options)
        }
        ours = OUR_OPTIONS | OURS_OF_SOME.get(module, set())
        assert known - ours == given - ours, module


def test_each_warning_names_its_part_and_says_what_follows(
    document: dict[str, Any], report: dict[str, Any]
) -> None:
    assert report["ok"]
    assert {problem["level"] for problem in report["problems"]} == {"warning"}
    for problem in report["problems"]:
        part: Any = document
        for step in problem["loc"]:
            part = part[step]  # what it talks about is there
        assert problem["hint"], problem
        assert re.search(r"not built|held|not installed", problem["msg"]), problem
        if isinstance(part, dict) and "module" in part and problem["loc"][0] != "imports":
            assert part["module"] in problem["msg"]


def test_each_unknown_part_is_explained_and_nothing_else(
    document: dict[str, Any], report: dict[str, Any]
) -> None:
    told = {problem["place"] for problem in report["problems"]}
    unbuilt = {
        f"{section}.{name}"
        for section, kind in (
            ("links", Kind.LINK),
            ("storages", Kind.STORAGE),
            ("tracers", Kind.TRACER),
        )
        for name, part in document[section].items()
        if part["module"] not in BUILT_IN[kind]
    }
    # One of them is a package that many have.
    absent = {
        f"imports.{name}"
        for name, part in document["imports"].items()
        if not is_installed(part if isinstance(part, str) else part["module"])
    }
    assert {"imports.custom_utility", "imports.legacy_module"} <= absent
    assert told == unbuilt | absent | {"chains.analysed"}
    assert report["chains"] == {"support": "runs", "analysed": "held", "custom_chain": "disabled"}


def test_followers_are_read_and_checked(document: dict[str, Any], tmp_path: Path) -> None:
    config = load(FILE, {})
    follower = config.followers["upstream_server"]
    assert (follower.pulling_interval, follower.fetch_vcon_limit) == (60, 10)
    given = document["followers"]["upstream_server"]
    given["follower_ingress_list"] = "no_list"
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(document))
    places = [warning.place for warning in load(file, {}).warnings]
    assert "followers.upstream_server.follower_ingress_list" in places
    for url in ("upstream:8000", "ftp://upstream", "http://", "http://h:99999", "http://h/?x=1"):
        given["url"] = url
        file.write_text(yaml.safe_dump(document))
        with pytest.raises(Exception, match=r"followers\.upstream_server\.url: expected the addr"):
            load(file, {})
