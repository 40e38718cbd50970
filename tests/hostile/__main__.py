"""Hostile requests for as long as you like: `make fuzz ARGS="--minutes 10 --seed 7"`.

Rounds of all kinds of attack, each round with a seed of its own, so that a finding is repeated by
`--seed` and `--rounds 1`. The exit code says whether anything was found.
"""

import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from attacks import ATTACKS, attack, conversations  # noqa: E402  # found by the paths above
from stage import Stage, open_stage  # noqa: E402

CASES = 400
"""Of each kind in a round."""


@click.command(context_settings={"show_default": True})
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=5.0)
@click.option("--rounds", type=click.IntRange(1), help="So many, whatever the time.")
@click.option("--seed", type=int, help="Of the first round; random if not said.")
def main(minutes: float, rounds: int | None, seed: int | None) -> None:
    """Send hostile requests to a server of our own; ends with 1 when one was answered wrongly."""
    beside = HERE.parents[2] / "shared" / "data"
    start = conversations(Path(os.environ.get("VCONFLOW_TEST_DATA", beside)))
    seeds = _seeds(random.randrange(1_000_000) if seed is None else seed, minutes, rounds)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        opened = open_stage(Path(folder))
        stage = runner.run(opened.__aenter__())
        try:
            found = _run(stage, start, seeds)
        finally:
            runner.run(opened.__aexit__(None, None, None))
    sys.exit(1 if found else 0)


def _run(stage: Stage, start: list[bytes], seeds: Iterable[int]) -> int:
    cases: Counter[str] = Counter()
    findings: list[str] = []
    began, before = time.monotonic(), stage.resident()
    for rounds, seed in enumerate(seeds, 1):
        for name in ATTACKS:
            tried = stage.tried
            try:
                attack(name, stage, start, seed, CASES)
                stage.check()
            except AssertionError as error:
                findings.append(f"{name}, --seed {seed} --rounds 1: {error}")
                click.echo(f"FOUND {findings[-1]}")
            cases[name] += stage.tried - tried
        took = time.monotonic() - began
        click.echo(f"round {rounds}, seed {seed}: {stage.tried:,} cases, {took:.0f} s")
    _report(stage, cases, findings, time.monotonic() - began, stage.resident() - before)
    return len(findings)


def _seeds(first: int, minutes: float, rounds: int | None) -> Iterator[int]:
    ends = time.monotonic() + minutes * 60
    for number in itertools.count():
        if number >= rounds if rounds else number and time.monotonic() > ends:
            return
        yield first + number


def _report(
    stage: Stage, cases: Counter[str], findings: list[str], seconds: float, grown: int
) -> None:
    click.echo()
    for name, count in cases.items():
        click.echo(f"{name:24} {count:>9,} cases")
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(stage.answers.items()))
    click.echo(f"answers: {answers}")
    click.echo(f"memory: {grown / 1024:+.0f} MiB over {seconds / 60:.1f} minutes")
    click.echo(f"{sum(cases.values()):,} cases, {len(findings)} findings")


if __name__ == "__main__":
    main()
