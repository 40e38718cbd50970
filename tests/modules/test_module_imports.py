"""What modules import of the reference, and how they are found and checked."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from vconflow import registry
from vconflow.adapters.modules.importing import import_module
from vconflow.config import parse
from vconflow.errors import ConfigError
from vconflow.registry import Kind

PROGRAM = """
import sys
from vconflow.adapters.modules.importing import import_module
{code}
"""


def said(code: str, *path: Path) -> str:
    """What a program prints that imports modules, with folders on its path."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)],
        env={"PYTHONPATH": ":".join(map(str, path))},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_both_spellings_are_one_module() -> None:
    one = import_module("lib.vcon_redis")
    assert import_module("server.lib.vcon_redis") is one
    assert import_module("server.vcon") is import_module("vcon")
    assert import_module("server.lib").vcon_redis is one


def test_a_package_of_the_modules_own_goes_first(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").write_text("OWN = True\n")
    (tmp_path / "lib" / "queue.py").write_text("OWN = 'queue'\n")
    (tmp_path / "theirs.py").write_text(
        "import lib, lib.queue\nfrom lib.vcon_redis import VconRedis\n"
        "SEEN = (lib.OWN, lib.queue.OWN, VconRedis.__module__)\n"
    )
    assert said("print(*import_module('theirs').SEEN)", tmp_path) == (
        "True queue vconflow.adapters.modules.shim.vcon_redis"
    )


def test_an_installed_vcon_package_goes_first(tmp_path: Path) -> None:
    (tmp_path / "vcon").mkdir()
    (tmp_path / "vcon" / "__init__.py").write_text("class Vcon: pass\n")
    code = "print(import_module('vcon').__file__, import_module('server.vcon').__name__)"
    assert said(code, tmp_path).startswith(str(tmp_path / "vcon" / "__init__.py"))


def test_nothing_is_served_before_a_module_is_imported() -> None:
    code = "import importlib.util as u; print(u.find_spec('lib'), u.find_spec('redis_mgr'))"
    assert said(code) == "None None"
    code = "import_module('json')\nimport importlib.util as u; print(u.find_spec('lib') is None)"
    assert said(code) == "False"


def test_what_it_prints_at_import_is_not_on_our_standard_output() -> None:
    code = "import_module('ajax.chatty'); print('ours')"
    assert said(code, Path(__file__).parent / "theirs") == "ours"


def test_imports_at_the_same_time_leave_our_standard_output_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, seconds in (("first_in", 0.3), ("last_out", 0.6)):
        (tmp_path / f"{name}.py").write_text(f"import time\ntime.sleep({seconds})\n")
    before = sys.stdout
    threads = [
        threading.Thread(target=import_module, args=[name]) for name in ("first_in", "last_out")
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert sys.stdout is before


def test_what_is_not_served_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"lib\.openai_client"):
        import_module("lib.openai_client")


def test_redis_mgr_says_what_it_is_not() -> None:
    mgr = import_module("redis_mgr")
    with pytest.raises(AttributeError, match=r"for keys of your own connect with redis\.Redis"):
        mgr.redis.blpop("in")
    with pytest.raises(ValueError, match="knows no keys but vcon"):
        mgr.get_key("own:key")


def test_out_of_a_call_there_are_no_vcons() -> None:
    with pytest.raises(RuntimeError, match="only while vconflow calls"):
        import_module("lib.vcon_redis").VconRedis().get_vcon("x")
    import_module("lib.metrics").increment_counter("at.import")


def config(**sections: Any) -> Any:
    return parse(json.dumps({"chains": {}, **sections}), {})


def problems(**sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(**sections)
    return [str(problem) for problem in caught.value.problems]


def test_a_module_is_found_and_checked() -> None:
    read = config(links={"t": {"module": "ajax.tagging", "options": {"tags": ["a"], "x": {}}}})
    link = read.links["t"]
    assert link.target == "vconflow.adapters.modules.link:ModuleLink"
    assert link.options.values == {"tags": ["a"], "x": {}}
    assert "tags" not in repr(link.options)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            "ajax.no_link",
            "ajax.no_link.run() cannot be called with 3 values: too many positional",
        ),
        ("ajax.bad_options", "ajax.bad_options.default_options is no dict"),
        ("ajax.shelf", "ajax.shelf has no function run()"),
        (
            "ajax.nothing",
            "cannot import 'ajax.nothing': ModuleNotFoundError: No module named",
        ),
        ("ajax.ending", "cannot import 'ajax.ending': SystemExit: no licence"),
    ],
)
def test_a_module_that_is_no_link(module: str, words: str) -> None:
    (problem,) = problems(links={"t": {"module": module}})
    assert problem.startswith(f"links.t: {words}")


def test_a_module_that_is_no_storage() -> None:
    assert problems(storages={"s": {"module": "ajax.tagging"}}) == [
        "storages.s: ajax.tagging has no function save()"
    ]


def test_a_module_that_is_not_installed_holds_its_chain() -> None:
    link = {"module": "nowhere.link", "pip_name": "nowhere-links"}
    read = config(
        links={"own": link, "think": {"module": "links.scitt"}},
        chains={"c": {"links": ["own", "think"], "ingress_lists": ["in"]}},
    )
    assert [str(it) for it in read.warnings] == [
        "links.own: nowhere.link is not installed: run `vconflow install`",
        "links.think: links.scitt is not built yet",
        "chains.c: held: it accepts and keeps its vCons, and does not run; not installed: "
        "link 'own' (nowhere.link); not built yet: link 'think' (links.scitt)",
    ]


def test_links_of_their_own_below_the_name_of_ours(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "shout.py").write_text("def run(vcon_uuid, link_name, opts): pass\n")
    code = (
        "from vconflow import registry as r\n"
        "t = r.find(r.Kind.LINK, 'links.shout')\nprint(t.module, r.load(t).__name__)\n"
        "print(r.find(r.Kind.LINK, 'links.tag').path)"
    )
    assert said(code, tmp_path) == "links.shout ModuleLink\nvconflow.links.tag:TagLink"


def test_tracers_of_third_parties_are_not_built() -> None:
    with pytest.raises(registry.NotBuilt, match=r"ajax\.tracer is not built yet"):
        registry.find(Kind.TRACER, "ajax.tracer")


def test_imports_in_all_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old_form", "new_form"):
        (tmp_path / f"acme_{name}.py").write_text("import lib.logging_utils\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    read = config(
        imports={
            "a": "acme_old_form",
            "b": {"module": "acme_new_form", "pip_name": "ajax"},
            "c": {"module": "acme_nowhere", "pip_name": "ajax-nowhere>=1"},
            "d": "acme_nowhere.deep",
        }
    )
    assert {"acme_old_form", "acme_new_form"} <= set(sys.modules)
    assert [str(it) for it in read.warnings] == [
        "imports.c: acme_nowhere is not installed: run `vconflow install`",
        "imports.d: acme_nowhere.deep is not installed",
    ]


def test_an_import_that_fails_is_an_error() -> None:
    assert problems(imports={"e": "ajax.ending"}) == [
        "imports.e: cannot import 'ajax.ending': SystemExit: no licence"
    ]
