"""What happens beside the server of the demo: sending, watching, and showing what came of it."""

import asyncio
import time
from pathlib import Path
from typing import Final

import click
import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from vconflow.cli.serve import announce
from vconflow.cli.sources import Found, Source, find, read
from vconflow.cli.submission import Rejection, Tally, submit_all
from vconflow.client import Client, GaveUp
from vconflow.server.running import Running
from vconflow.settings import Settings

__all__ = ["DemoRun"]

CHAIN: Final = "demo"
INGRESS: Final = "demo"
STORAGE: Final = "files"
EGRESS: Final = ("finished", "complaints")
_ENDS: Final = frozenset({"completed", "halted", "deleted", "dead"})
_PATIENCE_SECONDS: Final = 60.0


class DemoRun:
    """Is called when the server is ready."""

    def __init__(self, samples: Path, settings: Settings) -> None:
        self._samples = samples
        self._token = _token(settings)
        self._header = settings.conserver_header_name
        self._folder = settings.vconflow_data_dir / "storage" / STORAGE
        self._console = Console()

    async def __call__(self, running: Running) -> None:
        """Send the samples, show how far they came, then say what to try next."""
        await announce(running)
        try:
            async with Client.open(running.url, token=self._token, header=self._header) as client:
                await self._feed(client, running)
        except (GaveUp, httpx.HTTPError, OSError) as error:
            click.echo(f"the samples could not be sent: {error}", err=True)
        click.echo(self._what_next(running.url))

    async def _feed(self, client: Client, running: Running) -> None:
        sources = await asyncio.to_thread(find, [self._samples / "conversations"])
        before = await asyncio.to_thread(self._stored, sources)
        tally = Tally()
        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console) as progress:
            sending = progress.add_task("sent", total=len(sources))
            working = progress.add_task("processed", total=len(sources))
            await submit_all(
                client,
                read(sources),
                INGRESS,
                concurrency=4,
                tally=tally,
                observer=_Shown(progress, sending),
            )
            processed = await _watch(client, tally.accepted, progress, working)
        stored = await asyncio.to_thread(self._stored, sources)
        waiting = [f"{await client.count(name)} on {name}" for name in EGRESS]
        self._show(tally.accepted, processed, stored, running.redis, waiting)
        if before:
            click.echo(
                f"{before} of the samples were stored by an earlier run: "
                "sending a vCon again replaces it."
            )

    def _stored(self, sources: list[Source]) -> int:
        """How many of the samples are in the folder of the storage."""
        there = {path.stem for path in self._folder.rglob("*.json")}
        uuids = {msgspec.json.decode(source.path.read_bytes())["uuid"] for source in sources}
        return len(there & uuids)

    def _show(
        self, accepted: int, processed: int, stored: int, redis: str, waiting: list[str]
    ) -> None:
        table = Table("step", "vCons", "where")
        table.add_row("accepted", str(accepted), redis)
        table.add_row("processed", str(processed), f"chain {CHAIN}")
        table.add_row("stored", str(stored), str(self._folder))
        table.add_row("handed on", "", ", ".join(waiting))
        self._console.print(table)

    def _what_next(self, url: str) -> str:
        key = f"-H '{self._header}: '\"$CONSERVER_API_TOKEN\" " if self._token else ""
        return "\n".join(
            (
                "Try next:",
                f"  curl {key}'{url}/vcon?size=5'",
                f"  curl {key}'{url}/vcons/search?name=Ida%20Holm'",
                f"  curl {key}'{url}/vcon/egress?egress_list=complaints&limit=2'",
                f"  curl {url}/ready",
                f"  curl {url}/metrics",
                f"In a browser: {url}/status and {url}/docs",
                f"The configuration is {self._samples / 'config.yml'}",
                "Ctrl-C stops the server; the data stays.",
            )
        )


class _Shown:
    def __init__(self, progress: Progress, sending: TaskID) -> None:
        self._progress = progress
        self._sending = sending

    def done(self, found: Found, tally: Tally, rejection: Rejection | None) -> None:
        self._progress.update(self._sending, completed=tally.accepted)
        if rejection is not None:
            self._progress.console.print(
                f"rejected {found.place}: {rejection.detail}", markup=False
            )


async def _watch(client: Client, accepted: int, progress: Progress, task: TaskID) -> int:
    """Wait until as many are processed as were accepted; how many are."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        processed = _processed(await client.metrics())
        progress.update(task, completed=processed)
        if processed >= accepted or time.monotonic() > deadline:
            return processed
        await asyncio.sleep(0.05)


def _processed(metrics: str) -> int:
    return round(
        sum(
            sample.value
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
            if sample.name == "vconflow_entries_total"
            and sample.labels["chain"] == CHAIN
            and sample.labels["outcome"] in _ENDS
        )
    )


def _token(settings: Settings) -> str | None:
    if settings.conserver_api_token is not None:
        return settings.conserver_api_token.reveal()
    if settings.conserver_api_token_file is None:
        return None
    try:
        lines = Path(settings.conserver_api_token_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None  # the server says so itself
    return next((line.strip() for line in lines if line.strip()), None)
