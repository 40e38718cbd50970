"""The commands that end by themselves: check-config, reference, and the group."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from vconflow import __version__
from vconflow.cli import main
from vconflow.cli.reference_text import render
from vconflow.settings import Settings

FINE = """
links:
  mark: {module: links.tag, options: {tags: [a]}}
  think: {module: links.hugging_llm_link, options: {prompt: p}}
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
    assert "warning: links.think: links.hugging_llm_link is not built yet" in result.stderr
    assert "warning: chains.clever: held" in result.stderr


def test_check_config_names_every_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(WRONG)
    result = run("check-config", path)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(":")[1].strip() for line in lines] == [
        "links.mark.module",
        "links.count.options",
        "chains.main.links[1]",
    ]
    assert "did you mean 'links.tag'" in lines[0]
    assert not result.stdout


UNKNOWN = """
chanes: {}
unheard-of: 1
links:
  mark: {module: links.tagg}
  odd: {module: links.unheard_of}
  foreign: {module: no_such_package.mod:Link}
  theirs: {module: their_package.link}
  later: {module: links.scitt}
  count: {module: links.sampler, options: {valu: 3}, tiemout: 3, whatever: 1}
chains:
  main: {links: [mark, cuont, later], storages: [none], tracers: [none], ingress_lists: [in]}
ingress_auth: {inn: a-key}
"""


def test_check_config_explains_each_unknown_part(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(UNKNOWN)
    lines = run("check-config", path).stderr.splitlines()
    problems = [line for line in lines if line.startswith("error: ")]
    assert all(line.startswith(("error: ", "    ")) for line in lines)
    assert lines[-1].startswith("    ")
    said = {line.split(": ", 2)[1]: line.split(": ", 2)[-1] for line in problems}
    assert said["unknown section 'chanes', did you mean 'chains'?"]
    assert said["links.mark.module"] == "unknown module 'links.tagg', did you mean 'links.tag'?"
    assert said["links.odd.module"] == "unknown module 'links.unheard_of'"
    assert said["links.foreign"].startswith("cannot import 'no_such_package.mod'")
    assert said["links.count"] == "unknown key 'tiemout', did you mean 'timeout'?"
    assert said["links.count.options"].startswith("unknown option 'valu', did you mean 'value'")
    assert said["chains.main.links[1]"] == "unknown link 'cuont', did you mean 'count'?"
    assert said["chains.main.storages[0]"] == "unknown storage 'none'"
    assert said["chains.main.tracers[0]"] == "unknown tracer 'none'"


def test_check_config_explains_what_is_ignored_held_and_not_built(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("""
unheard-of: 1
links:
  theirs: {module: their_package.link}
  later: {module: links.scitt}
chains: {main: {links: [theirs, later], ingress_lists: [in]}}
ingress_auth: {inn: a-key}
""")
    result = run("check-config", path)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert ["a hint" if line[:4] == "    " else line.split(": ")[1] for line in lines] == [
        "unheard-of",
        "a hint",
        "links.theirs",
        "links.later",
        "a hint",
        "chains.main",
        "a hint",
        "ingress_auth.inn",
        "a hint",
    ]
    assert "is held" in lines[4]
    assert "starts by itself" in lines[6]


def test_check_config_as_json(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(WRONG)
    result = run("check-config", "--json", path)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["file"], told["ok"], told["chains"]) == (str(path), False, {})
    assert told["problems"][2] == {
        "level": "error",
        "loc": ["chains", "main", "links", 1],
        "place": "chains.main.links[1]",
        "msg": "unknown link 'cuont', did you mean 'count'?",
        "type": "unknown_link",
        "hint": "Name a link of the section `links`, or add it there.",
    }
    path.write_text(FINE)
    result = run("check-config", "--json", path)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["chains"] == {"main": "runs", "clever": "held", "off": "disabled"}
    assert [problem["level"] for problem in told["problems"]] == ["warning"] * 2


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


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--config", "config.yml", "--port", "0"),
        ("check-config", "config.yml"),
        ("submit", "--list", "in", "config.yml"),
        ("dead-letters", "list"),
        ("demo", "--port", "0"),
    ],
)
def test_an_unknown_variable_of_ours_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").write_text(FINE)
    result = run(*command, VCONFLOW_PROT="1")
    assert result.exit_code == 1
    assert "unknown variable 'VCONFLOW_PROT', did you mean 'VCONFLOW_PORT'?" in result.stderr


def test_the_reference_lists_every_variable_with_its_default() -> None:
    lines = run("reference").stdout.partition("\n## Environment\n")[2].splitlines()
    for field in msgspec.structs.fields(Settings):
        (line,) = [one for one in lines if one.startswith(f"| `{field.encode_name}` |")]
        _, _, _, default, description, _ = line.replace("\\|", "").split("|")
        assert description.strip()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert default.strip(" `") in {f"{field.default:g}", f"{field.default}"}
