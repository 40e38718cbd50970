"""The whole configuration: sections, names, chains, what is held, and all errors at once."""

from pathlib import Path

import pytest
from config_support import problems, read

from vconflow.config import BatchConfig, RetryConfig, build, check, load
from vconflow.errors import ConfigError
from vconflow.ports.component import Secret

SAMPLES = Path(__file__).parents[2] / "samples"


def test_a_complete_chain() -> None:
    config = read("""
        links:
          echo:
            module: strangers_components:EchoLink
            ingress-lists: []
            timeout: "2.5"
            retry: {attempts: "3", base: 0.5, max: 10}
        storages:
          files:
            module: storage.file
            timeout: 7
            retry: {attempts: 2}
            batch: {items: 10, parallel: 1}
          more: {module: storages.file, batch: 20}
        chains:
          main:
            links: [echo]
            storages: [files, more]
            ingress_lists: [in]
            egress_lists: [out]
            enabled: "1"
            concurrency: "16"
            timeout: 30
          off: {links: [echo], ingress_lists: [in], enabled: 0}
    """)
    link, files = config.links["echo"], config.storages["files"]
    assert (link.target, link.timeout) == ("strangers_components:EchoLink", 2.5)
    assert link.retry == RetryConfig(attempts=3, base=0.5, max=10.0)
    assert (files.timeout, files.retry) == (7.0, RetryConfig(attempts=2))
    assert files.batch == BatchConfig(items=10, parallel=1)
    assert config.storages["more"].batch == BatchConfig(items=20)
    assert config.storages["more"].target == files.target
    main = config.chains["main"]
    assert (main.links, main.storages) == (("echo",), ("files", "more"))
    assert (main.ingress_lists, main.egress_lists) == (("in",), ("out",))
    assert (main.enabled, main.concurrency, main.timeout, main.held) == (True, 16, 30.0, None)
    assert config.chains["off"].enabled is False
    assert config.warnings == ()


def test_an_empty_file_is_a_configuration_without_chains() -> None:
    assert read("").chains == {}
    assert read("chains:\nlinks:\n").links == {}


def test_all_errors_of_a_file_are_listed_with_their_places() -> None:
    assert problems("""
        links:
          summarize: {module: links.hugging_llm_link}
          a: {module: links.weebhook, retri: {}}
          b: {module: strangers_components:EchoLink, retry: {atempts: 3}, timeout: 0}
          c: {module: tag}
          d: {options: {}}
          e: links.tag
        storages:
          pg: {module: storage.postgres, options: {prot: 5432, port: secret1}, batch: 0}
          f: {module: links.tag}
        chains:
          main: {links: [a, b, sumarize], storages: pg, ingress_lists: [in]}
          two: {links: [summarize, summarize], storages: [pgg], tracers: [jlinc], enabled: maybe}
    """) == [
        "links.a: unknown key 'retri', did you mean 'retry'?",
        "links.a.module: unknown module 'links.weebhook', did you mean 'links.webhook'?",
        "links.b.timeout: expected number > 0.0",
        "links.b.retry: unknown option 'atempts', did you mean 'attempts'?",
        "links.c.module: unknown module 'tag', did you mean 'links.tag'?",
        "links.d.module: is required",
        "links.e: expected a mapping, got str",
        "storages.pg.batch.items: expected int >= 1",
        "storages.pg.options: unknown option 'prot', did you mean 'port'?",
        "storages.pg.options.port: expected int, got str",
        "storages.f.module: unknown module 'links.tag'",
        "chains.main.links[2]: unknown link 'sumarize', did you mean 'summarize'?",
        "chains.main.storages: expected list, got str",
        "chains.two.links[1]: link 'summarize' is in this chain twice;"
        " give the second its own name",
        "chains.two.storages[0]: unknown storage 'pgg', did you mean 'pg'?",
        "chains.two.tracers[0]: unknown tracer 'jlinc'",
        "chains.two.enabled: expected bool, got str",
    ]


def test_a_list_feeds_one_enabled_chain() -> None:
    assert problems("""
        chains:
          one: {ingress_lists: [a, b]}
          two: {ingress_lists: [c, b]}
          off: {ingress_lists: [a], enabled: false}
    """) == [
        "chains.two.ingress_lists[1]: list 'b' already feeds chain 'one'; a list feeds one chain"
    ]


def test_more_lists_or_entries_than_one_process_can_serve_are_refused() -> None:
    def chains(count: int) -> dict[str, object]:
        names = [f"l{number}" for number in range(count)]
        return {"one": {"ingress_lists": names[::2], "egress_lists": names[1::2]}}

    assert len(build({"chains": chains(20_000)}, {}).chains["one"].ingress_lists) == 10_000
    for document in (
        {"chains": chains(20_001)},
        {"chains": {f"c{number}": {} for number in range(5001)}},
        {"links": {f"l{number}": {"module": "links.tag"} for number in range(5001)}},
    ):
        with pytest.raises(ConfigError) as caught:
            build(document, {})
        assert [(it.loc, it.type) for it in caught.value.problems] == [((*document,), "too_long")]


def test_sections_and_keys_that_are_slips_are_errors() -> None:
    assert problems("chain: {}\nlinks: []\nstorages: text") == [
        "unknown section 'chain', did you mean 'chains'?",
        "links: expected a mapping of names",
        "storages: expected a mapping of names",
    ]
    assert problems("- a") == ["the configuration must be a mapping"]


def test_what_is_ignored_is_said() -> None:
    config = read("""
        x-defaults: {anything: 1}
        dashboards: {}
        links: {t: {module: "strangers_components:EchoLink", colour: red, "x:note": 1}}
        chains: {c: {links: [t], ingress_lists: []}, d: {ingress_lists: [l], egress_lists: [l]}}
    """)
    assert list(map(str, config.warnings)) == [
        "dashboards: is no section of the configuration and ignored",
        "links.t.colour: is not known and ignored",
        "links.t.x:note: is not known and ignored",
        "chains.c: has no ingress list and never runs",
        "chains.d.egress_lists[0]: list 'l' feeds this chain: its vCons go round without end",
    ]


def test_chains_that_feed_each_other_in_a_ring() -> None:
    config = read("""
        chains:
          in: {ingress_lists: [in], egress_lists: [out, a]}
          a: {ingress_lists: [a], egress_lists: [out, b]}
          b: {ingress_lists: [b], egress_lists: [c, out]}
          c: {ingress_lists: [c], egress_lists: [a]}
    """)
    assert list(map(str, config.warnings)) == [
        "chains.a.egress_lists[1]: list 'b' leads back to this chain by way of 'b', 'c': vCons go "
        "round without end unless a link stops them"
    ]


def test_chains_that_meet_again_or_are_not_enabled_make_no_ring() -> None:
    config = read("""
        chains:
          in: {ingress_lists: [in], egress_lists: [a, b]}
          a: {ingress_lists: [a], egress_lists: [c]}
          b: {ingress_lists: [b], egress_lists: [c]}
          c: {ingress_lists: [c], egress_lists: [d]}
          d: {ingress_lists: [d], egress_lists: [in], enabled: false}
    """)
    assert config.warnings == ()


@pytest.mark.parametrize("name", ["'a,b'", "' a'"])
def test_a_list_that_no_request_can_name(name: str) -> None:
    config = read(f"chains: {{c: {{ingress_lists: [fine, {name}]}}}}")
    assert [(w.place, w.type) for w in config.warnings] == [
        ("chains.c.ingress_lists[1]", "unnameable")
    ]


def test_chains_that_use_what_is_not_built_are_held() -> None:
    config = read("""
        links:
          summarize: {module: links.hugging_llm_link, options: {x: 1}}
          own: {module: my_module}
        storages: {sftp: {module: storage.sftp}}
        tracers: {jlinc: {module: my_tracer}}
        chains:
          one: {links: [summarize], ingress_lists: [a]}
          two: {links: [own], storages: [sftp], tracers: [jlinc], ingress_lists: [b]}
          off: {links: [summarize], ingress_lists: [c], enabled: 0}
          runs: {ingress_lists: [d]}
    """)
    held = {name: chain.held for name, chain in config.chains.items()}
    assert held == {
        "one": "not built yet: link 'summarize' (links.hugging_llm_link)",
        "two": "not installed: link 'own' (my_module); not built yet: storage 'sftp' "
        "(storage.sftp), tracer 'jlinc' (my_tracer)",
        "off": None,
        "runs": None,
    }
    assert config.links["summarize"].options is None
    assert config.links["summarize"].unbuilt == "links.hugging_llm_link is not built yet"
    assert [w.place for w in config.warnings if w.type == "held"] == ["chains.one", "chains.two"]
    assert [w.place for w in config.warnings if w.type == "not_built"] == [
        "links.summarize",
        "links.own",
        "storages.sftp",
        "tracers.jlinc",
    ]


@pytest.mark.parametrize(
    ("said", "followed"),
    [
        ("", {"one": ("a", "b"), "two": ("a", "b")}),
        (", tracers: [b]", {"one": ("b",), "two": ()}),
        (", tracers: []", {"one": (), "two": ()}),
    ],
)
def test_which_tracers_follow_a_chain(said: str, followed: dict[str, tuple[str, ...]]) -> None:
    """As in the reference all follow all, unless some chain says which."""
    config = read(f"""
        tracers:
          a: {{module: tracers.jlinc}}
          b: {{module: tracers.jlinc, options: {{dlq_vcon_on_error: 1}}}}
          own: {{module: my_tracer}}
        chains:
          one: {{ingress_lists: [a]{said}}}
          two: {{ingress_lists: [b]}}
    """)
    assert {name: chain.tracers for name, chain in config.chains.items()} == followed
    assert config.tracers["a"].timeout == 10


def test_slips_in_tracers_are_told_with_their_places() -> None:
    assert problems("""
        tracers:
          jlinc: {module: tracers.jlinc, options: {agrement_id: x, data_store_api_url: host}}
        chains:
          one: {ingress_lists: [a], tracers: [jlink, jlinc, jlinc]}
    """) == [
        "tracers.jlinc.options: unknown option 'agrement_id', did you mean 'agreement_id'?",
        "tracers.jlinc.options.data_store_api_url: expected a URL that begins with"
        " http:// or https://",
        "chains.one.tracers[0]: unknown tracer 'jlink', did you mean 'jlinc'?",
        "chains.one.tracers[2]: tracer 'jlinc' is in this chain twice;"
        " give the second its own name",
    ]


def test_what_a_text_has_to_look_like_is_told_in_words() -> None:
    assert problems("""
        links:
          hook: {module: links.webhook, options: {webhook-urls: [https://h, ftp://h]}}
          other: {module: links.webhook, options: {headers: {X-Ok: a, 'X Key:hidden': b}}}
        storages:
          files: {module: storage.file, options: {extension: .json}}
    """) == [
        "links.hook.options.webhook-urls[1]: expected a URL of http or https",
        "links.other.options: headers: 'X Key' cannot be the name of a header",
        "storages.files.options.extension: expected up to 64 letters, digits, dots, hyphens and"
        " underscores, a letter or digit first",
    ]


def test_variables_are_expanded_in_every_value() -> None:
    config = read(
        """
        links: {x: {module: "${MODULE}", options: {names: ["${A}-${B:-b}", "$${A}", "${a.b}"]}}}
        chains: {c: {ingress_lists: ["${LIST:-in}"], enabled: "${ON:-1}"}}
        """,
        {"MODULE": "strangers_components:EchoLink", "A": "1", "ON": ""},
    )
    assert getattr(config.links["x"].options, "names", None) == ("1-b", "${A}", "${a.b}")
    assert config.chains["c"].ingress_lists == ("in",)
    assert config.chains["c"].enabled is True


def test_a_variable_without_value_and_default_is_an_error() -> None:
    text = """
        links: {x: {module: "strangers_components:EchoLink", options: {names: [a, "${NONE}"]}}}
        chains: {c: {ingress_lists: ["${GONE}"]}}
    """
    found = problems(text)
    assert "links.x.options.names[1]: environment variable NONE is not set" in found
    assert "chains.c.ingress_lists[0]: environment variable GONE is not set" in found


def test_partner_keys_followers_and_imports() -> None:
    config = read("""
        ingress_auth: {a: one, b: [two, three]}
        followers: {f: {url: http://u, egress_list: e, follower_ingress_list: a, auth_token: t}}
        imports: {x: some.module, y: {module: m, pip_name: p}}
        chains: {c: {ingress_lists: [a]}}
    """)
    partners = config.access.partners
    keys = {name: [partner.key for partner in partners[name]] for name in partners}
    assert keys == {"a": [Secret("one")], "b": [Secret("two"), Secret("three")]}
    assert config.followers["f"].auth_token == Secret("t")
    assert (config.imports["x"].module, config.imports["y"].pip_name) == ("some.module", "p")
    assert [w.place for w in config.warnings] == [
        "imports.x",
        "imports.y",
        "ingress_auth.b",
    ]


def test_bad_partner_keys_and_followers() -> None:
    found = problems("""
        ingress_auth: {a: "", b: [good, 5], c: {k: v}}
        followers: {f: {url: http://u, egres_list: e}}
        imports: {x: [1]}
    """)
    assert found == [
        "imports.x: expected a mapping, got list",
        "ingress_auth.a: an empty key would let everybody in",
        "ingress_auth.b[1]: expected a key as text: put it in quotes",
        "ingress_auth.c: unknown option 'k'",
        "ingress_auth.c.name: is required",
        "ingress_auth.c.key: is required",
        "followers.f: unknown key 'egres_list', did you mean 'egress_list'?",
        "followers.f.egress_list: is required",
        "followers.f.follower_ingress_list: is required",
    ]


def test_the_version_follows_the_content() -> None:
    one = read("chains: {a: {ingress_lists: [x]}, b: {ingress_lists: [y]}}")
    same = read("# a comment\nchains:\n  b: {ingress_lists: [y]}\n  a: {ingress_lists: [x]}")
    other = read("chains: {a: {ingress_lists: [x]}, b: {ingress_lists: [z]}}")
    assert one.version == same.version != other.version


def test_json_is_read_too() -> None:
    assert read('{"chains": {"c": {"ingress_lists": ["a"]}}}').chains["c"].ingress_lists == ("a",)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yml cannot be read: No such file"):
        load(tmp_path / "none.yml", {})
    (tmp_path / "latin.yml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="not UTF-8: byte 3"):
        load(tmp_path / "latin.yml", {})


def test_a_report_for_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("chains: {c: {links: [a]}}")
    assert check(path, {}).errors == ("chains.c.links[0]: unknown link 'a'",)
    assert check(path, {}).config is None
    path.write_text("\ufeffchains: {c: {}}", encoding="utf-8")
    report = check(path, {})
    assert report.errors == ()
    assert report.warnings == ("chains.c: has no ingress list and never runs",)
    assert report.config is not None


def test_the_reference_sample_loads_and_names_what_waits() -> None:
    config = load(SAMPLES / "reference-config.yml", {})
    assert config.chains["support"].held is None
    held = config.chains["analysed"].held or ""
    assert held == "not built yet: storage 'elasticsearch' (storage.elasticsearch)"
    assert config.chains["analysed"].tracers == ("jlinc",)
    assert config.chains["support"].tracers == ()
    assert getattr(config.storages["postgres"].options, "port", None) == 5432
    waiting = {w.place for w in config.warnings if w.type == "not_built"}
    assert waiting >= {"links.custom_pypi_link", "storages.drop_box"}
    assert not waiting & {"links.tag", "storages.files", "storages.postgres"}


def test_components_that_cannot_be_imported() -> None:
    assert problems("""
        links:
          a: {module: "strangers_broken:Link"}
          b: {module: "strangers_components:NoComponent"}
          c: null
        chains: {main: null}
    """) == [
        "links.a: cannot import 'strangers_broken': RuntimeError: no such device",
        "links.b: strangers_components:NoComponent is no component: it needs `options` and `open`",
        "links.c: expected a mapping, got nothing",
        "chains.main: expected a mapping, got nothing",
    ]
