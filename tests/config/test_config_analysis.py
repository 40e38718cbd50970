"""The options of links that ask a language model, as configurations have them."""

from typing import Any

import pytest
from config_support import problems, read

from vconflow.config.masking import mask
from vconflow.errors import ConfigError
from vconflow.links.analyze import AnalyzeLink, AnalyzeOptions
from vconflow.links.check_and_tag import CheckAndTagOptions
from vconflow.ports.component import Secret
from vconflow.testing.contracts import resources_for


def options_of(options: str, module: str = "analyze") -> Any:
    return read(f"links: {{x: {{module: links.{module}, options: {options}}}}}").links["x"].options


def test_the_defaults_are_those_of_the_reference() -> None:
    options = options_of("{}")
    assert options == AnalyzeOptions()
    assert options.model == "gpt-3.5-turbo-16k"
    assert options.source.text_location == "body.paragraphs.transcript"
    check = options_of("{tag_name: t, tag_value: v, evaluation_question: q}", "check_and_tag")
    assert isinstance(check, CheckAndTagOptions)
    assert (check.model, check.source.text_location) == ("gpt-5", "body")


@pytest.mark.parametrize("spelling", ["OPENAI_API_KEY", "openai_api_key", "api_key"])
def test_a_key_has_the_spellings_of_the_reference(spelling: str) -> None:
    options = options_of(f"{{{spelling}: sk-1, organization_key: o, project_key: p}}")
    account = options.account()
    assert account.api_key == Secret("sk-1")
    assert (account.organization, account.project) == ("o", "p")


def test_what_is_empty_counts_as_not_given() -> None:
    options = options_of(
        "{OPENAI_API_KEY: '', LITELLM_MASTER_KEY: ' ', AZURE_OPENAI_ENDPOINT: '', only_if: {},"
        " source: {analysis_type: notes}}"
    )
    account = options.account()
    assert (account.api_key, account.litellm_master_key, account.azure_endpoint) == (None,) * 3
    assert options.only_if.section is None
    assert options.source.text_location == "body.paragraphs.transcript"
    assert options_of("{temperature: null, only_if: null}").temperature is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("{promt: p}", "links.x.options: unknown option 'promt', did you"),
        ("{sampling_rate: -1}", "links.x.options.sampling_rate: expected number >= 0"),
        ("{temperature: warm}", "links.x.options.temperature: expected number"),
        ("{context_tokens: 5}", "links.x.options.context_tokens: expected int >= 512"),
        (
            "{source: {text_loc: body}}",
            "links.x.options.source: unknown option 'text_loc', did you mean 'text_location'?",
        ),
        ("{only_if: {section: tags}}", "links.x.options.only_if.section: expected one"),
        ("{only_if: {section: analysis}}", "links.x.options.only_if: needs section, type (or"),
        (
            "{send_ai_usage_data_to_url: portal}",
            "links.x.options.send_ai_usage_data_to_url: expected a URL that begins with http:// or",
        ),
        ("{OPENAI_API_KEY: a, api_key: b}", "links.x.options.api_key: option 'OPENAI_API_KEY' is"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(options: str, problem: str) -> None:
    (told,) = problems(f"links: {{x: {{module: links.analyze, options: {options}}}}}")
    assert told.startswith(problem)


def test_required_options_are_asked_for_one_by_one() -> None:
    told = problems("links: {x: {module: links.check_and_tag, options: {tag_name: ''}}}")
    assert [line.partition(":")[0] for line in told] == [
        "links.x.options.tag_name",
        "links.x.options.tag_value",
        "links.x.options.evaluation_question",
    ]


def test_no_credential_is_shown() -> None:
    config = read("""
        links:
          x:
            module: links.analyze
            options:
              api_key: hidden
              AZURE_OPENAI_API_KEY: hidden
              LITELLM_MASTER_KEY: hidden
              ai_usage_api_token: hidden
              send_ai_usage_data_to_url: https://portal/hidden?key=hidden
              base_url: https://u:hidden@h/v1
              prompt: Sum up.
    """)
    assert "hidden" not in str(mask(config))
    assert mask(config)["links"]["x"]["options"]["prompt"] == "Sum up."


async def test_a_link_without_an_account_does_not_open(tmp_path: Any) -> None:
    with pytest.raises(ConfigError):
        async with AnalyzeLink.open(AnalyzeOptions(), resources_for(tmp_path)):
            pass
