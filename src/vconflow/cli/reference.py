"""`vconflow reference`: sections, components, variables and routes, as Markdown."""

from pathlib import Path

import click

from vconflow.cli.reference_text import render

__all__ = ["command"]


@click.command(short_help="Describe all settings, options and routes.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write to this file instead of standard output.",
)
def command(output: Path | None) -> None:
    """Describe every section, link, storage, variable and route of this version, as Markdown."""
    text = render()
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
