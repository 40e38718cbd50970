"""`vconflow reference`: every link, storage, option and variable, as Markdown."""

from pathlib import Path

import click

from vconflow.reference import render

__all__ = ["command"]


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write to this file instead of standard output.",
)
def command(output: Path | None) -> None:
    """Describe every link, storage and option that this version has, as Markdown."""
    text = render()
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
