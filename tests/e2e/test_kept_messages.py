"""kill -9 between two messages of one link: those that were sent stay sent, the vCon arrives."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import redis
from pymongo import AsyncMongoClient
from vconflow_process import vconflow

from slack_double import TOKEN, SlackDouble, slack_double
from vconflow.model.identifiers import new_uuid
from vconflow.testing import servers
from vconflow.testing.webhook_receiver import WebhookReceiver, webhook_receiver

MESSAGES = 4


def config_of(
    slack: SlackDouble, redis_url: str, mongo_url: str, receiver: WebhookReceiver
) -> dict[str, Any]:
    slack_options = {
        "token": TOKEN,
        "default_channel_name": "alerts",
        "base_url": slack.base_url,
    }
    return {
        "links": {
            "pick": {"module": "links.jq_link", "options": {"filter": ".analysis | length > 1"}},
            "tell": {"module": "links.post_analysis_to_slack", "options": slack_options},
        },
        "storages": {
            "redis": {"module": "storage.redis_storage", "options": {"redis_url": redis_url}},
            "mongo": {"module": "storage.mongo", "options": {"url": mongo_url}},
            "hook": {"module": "storage.webhook", "options": {"webhook-urls": [receiver.url]}},
        },
        "chains": {
            "main": {
                "links": ["pick", "tell"],
                "ingress_lists": ["in"],
                "storages": ["redis", "mongo", "hook"],
            }
        },
    }


def conversation(*bodies: str) -> dict[str, Any]:
    review = [
        *(("customer_frustration", n, "NEEDS REVIEW") for n in range(len(bodies))),
        *(("summary", n, body) for n, body in enumerate(bodies)),
    ]
    return {
        "vcon": "0.0.1",
        "uuid": new_uuid("kept"),
        "created_at": "2024-03-14T09:26:53Z",
        "parties": [],
        "dialog": [{"type": "text", "start": "2024-03-14T09:26:53Z"}] * 9,
        "analysis": [
            {"type": kind, "dialog": n, "vendor": "v", "body": body, "encoding": "none"}
            for kind, n, body in review
        ],
    }


async def until(done: Any) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.02)


async def test_messages_that_were_sent_are_not_sent_again(
    tmp_path: Path, valkey_url: str, mongo_server: servers.MongoServer
) -> None:
    told = conversation(*(f"summary {n}" for n in range(MESSAGES)))
    passed_over = conversation()
    with (
        slack_double() as slack,
        webhook_receiver() as receiver,
        redis.Redis.from_url(valkey_url) as store,
    ):
        slack.hangs_at = 2
        config = config_of(slack, valkey_url, mongo_server.url, receiver)
        async with vconflow(tmp_path, config) as first:
            async with httpx.AsyncClient(base_url=first.url) as client:
                for document in (passed_over, told):
                    reply = await client.post(
                        "/vcon", params={"ingress_lists": "in"}, json=document
                    )
                    assert reply.status_code == 201
            await until(lambda: slack.asked == 3)
            await first.die()
        assert len(slack.posted) == 2
        async with vconflow(tmp_path, config) as second:
            await until(lambda: receiver.received)
            await second.terminate()
        texts = [message["text"] for message in slack.posted]
        assert texts == [f"summary {n}" for n in range(MESSAGES)]
        assert slack.asked == MESSAGES + 1  # only the call that was under way was made twice
        stored = store.get(f"vcon_storage:{told['uuid']}")
        async with AsyncMongoClient[dict[str, Any]](mongo_server.url) as mongo:
            found = await mongo["conserver"]["vcons"].find_one({"_id": told["uuid"]})
        assert found is not None
        assert found["_vconflow"]["document"] == stored == receiver.received[0].body
        analyses = json.loads(stored)["analysis"]
        marks = [analysis.get("was_posted_to_slack") for analysis in analyses]
        assert marks == [True] * MESSAGES + [None] * MESSAGES
        assert not store.exists(f"vcon_storage:{passed_over['uuid']}")
