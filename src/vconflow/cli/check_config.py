"""`vconflow check-config`: what is wrong with a configuration, before anything starts."""

from pathlib import Path

import click

from vconflow.cli.startup import errors_shown, load_config, show_warnings
from vconflow.config import ChainConfig, Config

__all__ = ["command"]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Check the configuration FILE: 0 when it is fine, else 1 with every error and its place."""
    with errors_shown():
        config = load_config(file)
        show_warnings(config)
    click.echo(f"{file}: errors: 0, warnings: {len(config.warnings)}")
    click.echo(_counts(config))
    for chain in config.chains.values():
        click.echo(f"chain {chain.name}{_state(chain)}: {_way(chain)}")


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
