"""The commands that end by themselves: check-config, reference, and the group."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vconflow import __version__
from vconflow.cli import main
from vconflow.reference import render

FINE = """
links:
  mark: {module: links.tag, options: {tags: [a]}}
  think: {module: links.analyze, options: {prompt: p}}
storages:
  files: {module: storage.file}
chains:
  main: {links: [mark], storages: [files], ingress_lists: [in], egress_lists: [out]}
  clever: {links: [mark, think], ingress_lists: [clever_in]}
  off: {links: [mark], ingress_lists: [in], enabled: false}
"""

WRONG = """
links:
  mark: {module: links.tagg}
  count: {module: links.sampler, options: {valu: 3}}
chains:
  main: {links: [mark, cuont], ingress_lists: [in]}
"""


def run(*arguments: object, **env: str) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], env=env)


def test_check_config_shows_the_way_through_every_chain(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(FINE)
    result = run("check-config", path)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{path}: errors: 0, warnings: 2",
        "3 chains, 2 links, 1 storage, 3 lists",
        "chain main: [in] -> mark -> {files} -> [out]",
        "chain clever (held): [clever_in] -> mark, think",
        "chain off (disabled): [in] -> mark",
    ]
    assert "warning: links.think: links.analyze is not built yet" in result.stderr
    assert "warning: chains.clever: held" in result.stderr


def test_check_config_names_every_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(WRONG)
    result = run("check-config", path)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        "links.mark.module",
        "links.count.options",
        "chains.main.links[1]",
    ]
    assert "did you mean 'links.tag'" in lines[0]
    assert not result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no configuration file"),
        ("links: [", "error: not YAML: line 1"),
        ("links: {a: {module: links.webhook, options: {webhook-urls: ['${NOT_SET}']}}}", "NOT_SET"),
    ],
)
def test_check_config_of_what_cannot_be_read(
    tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "config.yml"
    if content is not None:
        path.write_text(content)
    result = run("check-config", path)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_reference_to_standard_output_and_to_a_file(tmp_path: Path) -> None:
    result = run("reference")
    assert result.exit_code == 0
    assert result.stdout.rstrip("\n") == render().rstrip("\n")
    assert "webhook-urls" in result.stdout
    run("reference", "--output", tmp_path / "reference.md")
    assert (tmp_path / "reference.md").read_text() == render()
    unwritable = run("reference", "--output", tmp_path / "none" / "reference.md")
    assert unwritable.exit_code == 1
    assert "reference.md: No such file or directory" in unwritable.stderr


def test_the_group_lists_its_commands_and_its_version() -> None:
    result = run("--help")
    for name in ("serve", "check-config", "submit", "reference", "demo"):
        assert f"\n  {name} " in result.stdout
    assert run("--version").stdout == f"vconflow, version {__version__}\n"
    assert run("serv").exit_code == 2
