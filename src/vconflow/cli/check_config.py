"""`vconflow check-config`: what is wrong with a configuration, before anything starts."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import msgspec

from vconflow.cli.startup import load_config, show_missing_packages
from vconflow.config import ChainConfig, Config
from vconflow.config.hints import hint_for
from vconflow.errors import ConfigError, Problem

__all__ = ["command"]


@click.command(short_help="Check a configuration file.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def command(file: Path, as_json: bool) -> None:
    """Check the configuration FILE: 0 when it is fine, else 1 with every error and its place.

    Warnings name what is not built yet, held or ignored; the way through each chain is shown.
    """
    try:
        config = load_config(file)
    except ConfigError as error:
        _report(file, error.problems, "error", as_json=as_json)
        raise SystemExit(1) from None
    _report(file, config.warnings, "warning", as_json=as_json, config=config)


def _report(
    file: Path,
    problems: Sequence[Problem],
    level: str,
    *,
    as_json: bool,
    config: Config | None = None,
) -> None:
    if as_json:
        click.echo(
            msgspec.json.format(msgspec.json.encode(_as_json(file, problems, level, config)))
        )
        return
    for hint, alike in groupby(problems, hint_for):
        for problem in alike:
            click.echo(f"{level}: {problem}", err=True)
        if hint:
            click.echo(f"    {hint}", err=True)
    if config is None:
        return
    show_missing_packages(file)
    click.echo(f"{file}: errors: 0, warnings: {len(config.warnings)}")
    click.echo(_counts(config))
    for chain in config.chains.values():
        click.echo(f"chain {chain.name}{_state(chain)}: {_way(chain)}")


def _as_json(
    file: Path, problems: Sequence[Problem], level: str, config: Config | None
) -> dict[str, Any]:
    told = [
        {
            "level": level,
            "loc": problem.loc,
            "place": problem.place,
            "msg": problem.message,
            "type": problem.type,
            "hint": hint_for(problem),
        }
        for problem in problems
    ]
    chains = config.chains.values() if config else ()
    states = {chain.name: _state(chain).strip(" ()") or "runs" for chain in chains}
    return {"file": str(file), "ok": config is not None, "problems": told, "chains": states}


def _counts(config: Config) -> str:
    lists = {
        name
        for chain in config.chains.values()
        for name in (*chain.ingress_lists, *chain.egress_lists)
    }
    parts = {
        "chain": len(config.chains),
        "link": len(config.links),
        "storage": len(config.storages),
        "list": len(lists),
    }
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in parts.items())


def _state(chain: ChainConfig) -> str:
    if not chain.enabled:
        return " (disabled)"
    return " (held)" if chain.held else ""


def _way(chain: ChainConfig) -> str:
    """The way of a vCon through the chain, e.g. `[in] -> tag, webhook -> {files} -> [out]`."""
    stops = [
        f"[{', '.join(chain.ingress_lists)}]",
        ", ".join(chain.links),
        f"{{{', '.join(chain.storages)}}}" if chain.storages else "",
        f"[{', '.join(chain.egress_lists)}]" if chain.egress_lists else "",
    ]
    return " -> ".join(stop for stop in stops if stop)
