"""Loopback providers: what the suites of the adapters do not see."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from vconflow.testing.providers import Call, Reply, openai_server
from vconflow.testing.providers.openai_server import said
from vconflow.testing.speech import Unheard, speak, whisper


def broken(messages: Sequence[Mapping[str, Any]]) -> str:
    raise KeyError("the test's own fault")


def ask(url: str, text: str) -> httpx.Response:
    messages = [{"role": "user", "content": text}]
    return httpx.post(
        f"{url}/chat/completions",
        json={"model": "m", "messages": messages},
        headers={"authorization": "Bearer k"},
    )


def test_a_fault_of_the_test_itself_is_not_hidden() -> None:
    with (
        pytest.raises(KeyError, match="own fault"),
        openai_server(complete=broken) as server,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        ask(server.base_url, "hello")


def test_decide_answers_some_calls_otherwise() -> None:
    def decide(call: Call) -> Reply | None:
        return Reply(500) if "fail" in call.prompt else None

    with openai_server(complete=lambda messages: "Yes.", decide=decide) as server:
        assert ask(server.base_url, "please fail").status_code == 500
        assert (
            ask(server.base_url, "please do").json()["choices"][0]["message"]["content"] == "Yes."
        )
        server.answer(said("Queued."))
        assert ask(server.base_url, "fail").json()["choices"][0]["message"]["content"] == "Queued."
        assert server.counts() == {"chat": 3}
        assert [call.prompt for call in server.wait_for(3)] == ["please fail", "please do", "fail"]
        with pytest.raises(TimeoutError, match="3 of 4 calls came"):
            server.wait_for(4, timeout=0.01)


def test_speech_is_heard_with_times() -> None:
    heard = whisper(speak("My delivery was late."))
    assert heard.text == "My delivery was late."
    assert [word.word for word in heard.words] == ["My", "delivery", "was", "late."]
    times = [moment for word in heard.words for moment in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] <= heard.duration + 0.1
    with pytest.raises(Unheard):
        whisper(b"no sound")
