"""`python -m tests.showcase`: the documented chain, and what it took."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from vconflow.telemetry import log
from vconflow.testing.service_process import service

from .conversations import conversations
from .passage import Findings, finished, look, post_all
from .report import table
from .scripts import CONCERNS
from .stage import CONFIG, Stage, open_stage


@click.command(context_settings={"show_default": True})
@click.option("--conversations", "count", type=click.IntRange(1, len(CONCERNS)), default=50)
@click.option("--stay", is_flag=True, help="Keep everything running until Ctrl-C.")
def main(count: int, stay: bool) -> None:
    """Carry spoken conversations through samples/documented-chain.yml.

    Speech is real, and so are the model that writes it down, PostgreSQL, S3 and Milvus; Deepgram
    and OpenAI are servers on this machine. Ends with 1 when anything is missing anywhere.
    """
    log.configure("CRITICAL")
    sys.exit(asyncio.run(_run(count, stay)))


async def _run(count: int, stay: bool) -> int:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="vcf-showcase-") as folder:
        console.print("starting PostgreSQL, S3, Milvus, a webhook and the providers")
        async with (
            open_stage(Path(folder)) as stage,
            service(Path(folder), CONFIG, **stage.environment) as process,
        ):
            findings = await _carry(process.url, stage, count, console)
            if stay:
                console.print(f"{process.url}/status shows it; Ctrl-C ends it", highlight=False)
                await asyncio.Event().wait()
    for missing in findings.missing:
        console.print(f"missing: {missing}", highlight=False)
    return 1 if findings.missing else 0


async def _carry(url: str, stage: Stage, count: int, console: Console) -> Findings:
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:

        def shown(name: str) -> TaskID:
            return progress.add_task(name, total=count)

        speaking = shown("spoken")
        made = []
        for it in conversations(count, stage.recordings):
            made.append(it)
            progress.advance(speaking)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            posting, going, looking = shown("posted"), shown("through"), shown("looked for")
            started = time.perf_counter()
            await post_all(client, made, lambda: progress.advance(posting))
            await finished(client, count, lambda done: progress.update(going, completed=done))
            seconds = time.perf_counter() - started
            findings = await look(client, stage, made, lambda: progress.advance(looking))
            metrics = (await client.get("/metrics")).text
    console.print(table(made, findings.histories, metrics, seconds))
    console.print(f"{count} conversations in {seconds:.1f} s", highlight=False)
    return findings


if __name__ == "__main__":
    main()
