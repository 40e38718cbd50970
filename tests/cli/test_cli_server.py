"""`serve` and `demo` as processes of their own, from the ready line to the exit code."""

import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from cli_process import READY, START_SECONDS, vconflow

CONFIG = """
links:
  mark: {module: links.tag, options: {tags: {seen: by-test}}}
storages:
  files: {module: storage.file}
chains:
  main: {links: [mark], storages: [files], ingress_lists: [in], egress_lists: [out]}
"""
UUID = "019d1000-0000-8000-8000-00000000000a"
VCON = json.dumps({"uuid": UUID, "vcon": "0.0.1", "created_at": "2026-03-22T10:00:00Z"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


def until_egress(url: str, count: int) -> None:
    """Wait until so many have finished."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url) as client:
        while client.get("/vcon/count", params={"egress_list": "out"}).json() < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_is_ready_on_one_line_and_ends_with_0(
    tmp_path: Path, config: Path, number: signal.Signals
) -> None:
    with vconflow(tmp_path, "serve", "--port", "0") as server:
        url = server.url()
        assert httpx.get(f"{url}/ready").json()["status"] == "ready"
        assert server.stop(number) == 0
        assert server.stdout == f"{READY}{url}\n"
        assert "Traceback" not in server.stderr


def test_several_replicas_are_ready_on_one_line_and_end_with_0(
    tmp_path: Path, config: Path
) -> None:
    with vconflow(tmp_path, "serve", "--port", "0", "--replicas", "2") as server:
        url = server.url()
        httpx.post(f"{url}/vcon?ingress_list=in", content=VCON).raise_for_status()
        until_egress(url, 1)
        assert server.stop(signal.SIGINT) == 0
        assert server.stdout == f"{READY}{url}\n"
        assert server.stderr.count('"replica_ready"') == 2
        assert "Traceback" not in server.stderr


def test_the_flag_goes_before_the_variable(tmp_path: Path, config: Path) -> None:
    env = {"CONSERVER_WORKERS": "3"}
    with vconflow(tmp_path, "serve", "--port", "0", "--replicas", "1", env=env) as server:
        server.url()
        assert server.stop() == 0
        assert "replica_ready" not in server.stderr


def test_a_second_start_goes_on_with_the_kept_data(tmp_path: Path, config: Path) -> None:
    arguments = ("serve", "--config", config, "--port", "0", "--data-dir", tmp_path / "kept")
    with vconflow(tmp_path, *arguments) as server:
        url = server.url()
        httpx.post(f"{url}/vcon?ingress_list=in", content=VCON).raise_for_status()
        until_egress(url, 1)
        before = httpx.get(f"{url}/vcon/{UUID}").content
        assert server.stop() == 0
    assert b"seen:by-test" in before
    assert len(list((tmp_path / "kept" / "storage" / "files").rglob(f"{UUID}.json"))) == 1
    with vconflow(tmp_path, *arguments) as server:
        url = server.url()
        assert httpx.get(f"{url}/vcon/{UUID}").content == before
        assert httpx.get(f"{url}/vcon/egress?egress_list=out").json() == [UUID]
        assert server.stop() == 0


def test_a_redis_of_ones_own_is_used_instead(tmp_path: Path, config: Path, valkey_url: str) -> None:
    env = {"REDIS_URL": valkey_url, "VCONFLOW_DATA_DIR": "here"}
    with vconflow(tmp_path, "serve", "--port", "0", env=env) as server:
        url = server.url()
        httpx.post(f"{url}/vcon?ingress_list=in", content=VCON).raise_for_status()
        until_egress(url, 1)
        assert server.stop() == 0
    assert (tmp_path / "here" / "storage").is_dir()
    assert not (tmp_path / "here" / "valkey").exists()


def test_variables_from_a_dotenv_file_count(tmp_path: Path, config: Path) -> None:
    (tmp_path / ".env").write_text("CONSERVER_API_TOKEN=from-the-file\nVCONFLOW_URL=http://x\n")
    with vconflow(tmp_path, "serve", "--port", "0") as server:
        url = server.url()
        assert httpx.get(f"{url}/vcon").status_code == 403
        key = {"x-conserver-api-token": "from-the-file"}
        assert httpx.get(f"{url}/vcon", headers=key).status_code == 200
        assert server.stop() == 0
        assert "from-the-file" not in server.stdout + server.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--config", "nowhere.yml"], {}, ["no configuration file nowhere.yml"]),
        ([], {"REDIS_URL": "redis://127.0.0.1:1"}, ["REDIS_URL"]),
        ([], {"VCONFLOW_PROT": "1", "VCON_REDIS_EXPIRY": "soon"}, ["PROT", "VCON_REDIS_EXPIRY"]),
        (["--host", "0.0.0.0"], {}, ["CONSERVER_API_TOKEN", "VCONFLOW_ALLOW_OPEN"]),
        (["--host", "0.0.0.0", "--replicas", "2"], {}, ["CONSERVER_API_TOKEN"]),
        ([], {"CONSERVER_WORKERS": "0", "VCONFLOW_REUSE_PORT": "x"}, ["WORKERS", "REUSE_PORT"]),
        ([], {"CONSERVER_WORKERS": "many"}, ["CONSERVER_WORKERS"]),
        (["--replicas", "2"], {"VCONFLOW_TLS_CERTFILE": "none.pem"}, ["TLS cannot be set up"]),
    ],
)
def test_what_keeps_it_from_starting_is_said_without_a_traceback(
    tmp_path: Path, config: Path, arguments: list[str], env: dict[str, str], said: list[str]
) -> None:
    with vconflow(tmp_path, "serve", "--port", "0", *arguments, env=env) as server:
        assert server.wait() == 1
        assert server.stdout == ""
        for text in said:
            assert text in server.stderr
        assert "Traceback" not in server.stderr


def test_a_data_folder_serves_one_at_a_time(tmp_path: Path, config: Path) -> None:
    (tmp_path / "second").mkdir()
    arguments = ("serve", "--config", config, "--port", "0", "--data-dir", tmp_path / "data")
    with vconflow(tmp_path, *arguments) as first:
        first.url()
        with vconflow(tmp_path / "second", *arguments) as second:
            assert second.wait() == 1
            assert "in use by another vconflow" in second.stderr
            assert "Traceback" not in second.stderr
        assert first.stop() == 0


def test_the_demo_shows_what_became_of_the_samples_twice(tmp_path: Path) -> None:
    with vconflow(tmp_path, "demo", "--port", "0") as demo:
        demo.wait_for("Ctrl-C stops the server")
        url = demo.url()
        assert rows(demo.stdout)["accepted"][0] == "24"
        assert rows(demo.stdout)["accepted"][1].startswith("embedded Valkey in data")
        assert rows(demo.stdout)["processed"] == ["24", "chain demo"]
        assert rows(demo.stdout)["stored"] == ["24", "data/storage/files"]
        assert rows(demo.stdout)["handed on"] == ["24 on finished, 2 on complaints"]
        assert len(list((tmp_path / "data/storage/files").rglob("*.json"))) == 24
        assert len(httpx.get(f"{url}/vcons/search?name=Ida Holm").json()) == 1
        assert f"In a browser: {url}/status" in demo.stdout
        assert httpx.get(f"{url}/status").text.startswith("<!DOCTYPE html>")
        assert demo.stop(signal.SIGINT) == 0
    with vconflow(tmp_path, "demo", "--port", "0") as demo:
        demo.wait_for("Ctrl-C stops the server")
        assert "24 of the samples were stored by an earlier run" in demo.stdout
        assert rows(demo.stdout)["handed on"] == ["48 on finished, 4 on complaints"]
        assert demo.stop() == 0


def test_the_demo_with_a_key_never_shows_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\nwordofpass\n")
    env = {"CONSERVER_API_TOKEN_FILE": "keys", "REDIS_URL": "redis://127.0.0.1:1"}
    with vconflow(tmp_path, "demo", "--port", "0", env=env) as demo:
        demo.wait_for("Ctrl-C stops the server")
        assert rows(demo.stdout)["stored"][0] == "24"
        assert "$CONSERVER_API_TOKEN" in demo.stdout
        assert httpx.get(f"{demo.url()}/vcon").status_code == 403
        assert demo.stop() == 0
        assert "wordofpass" not in demo.stdout + demo.stderr


def rows(output: str) -> dict[str, list[str]]:
    """The rows of the table by their first cell."""
    cells = [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in output.splitlines()
        if line.startswith("│")
    ]
    return {first: [cell for cell in rest if cell] for first, *rest in cells}
