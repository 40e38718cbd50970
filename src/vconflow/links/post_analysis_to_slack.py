"""post_analysis_to_slack: tell channels of Slack about analyses that somebody has to look at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from vconflow.errors import ConfigError, Problem
from vconflow.links.slack.channels import Channels, NoSuchChannel, open_channels
from vconflow.links.slack.message import (
    blocks_of,
    body_text,
    details_url,
    fitting,
    includes,
    team_and_dealer,
)
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources, Secret
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["SlackLink", "SlackOptions"]

_POSTED = "was_posted_to_slack"
_POSTED_SO_FAR = "was_posted_to_slack_channels"
_OWN_TEAM = "strolid"
_DEALER_LENGTH = 200


class SlackCondition(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which analyses are told about."""

    analysis_type: Annotated[str, Meta(description="Their type.")] = "customer_frustration"
    includes: Annotated[str, Meta(description="What their body has to say.")] = "NEEDS REVIEW"


class SlackOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `post_analysis_to_slack`."""

    token: Annotated[
        Secret | None, Meta(description="The bot's token, with the scope `chat:write`.")
    ] = None
    default_channel_name: Annotated[
        str | None, Meta(description="The channel that is told about all of them.")
    ] = None
    channel_name: Annotated[
        str | None, Meta(description="The same, where `default_channel_name` is not set.")
    ] = None
    url: Annotated[
        str,
        Meta(
            description="The page of a vCon, with `{vcon_id}` where its uuid goes; without, "
            '`?_vcon_id="<uuid>"` is appended. Empty: no button.'
        ),
    ] = ""
    analysis_to_post: Annotated[
        str, Meta(description="The type of the analysis of the same dialog that is posted.")
    ] = "summary"
    only_if: Annotated[SlackCondition, Meta(description="Which analyses are told about.")] = (
        msgspec.field(default_factory=SlackCondition)
    )
    base_url: Annotated[str, Meta(description="The API of Slack.")] = "https://slack.com/api/"
    timeout: Annotated[float, Meta(gt=0, description="Seconds that one message may take.")] = 30.0


class SlackLink:
    """Posts every analysis that fits once: `was_posted_to_slack` in it says that it was.

    The vCon is kept after each message, so that a crash repeats one at most. A vCon whose
    attachment `strolid_dealer` names a team is posted to `team-<team>-alerts` first; where that
    channel does not exist, the default channel is told so.
    """

    options: ClassVar[type[Options]] = SlackOptions
    paid: ClassVar[bool] = True

    def __init__(self, options: SlackOptions, channels: Channels) -> None:
        self._options = options
        self._channels = channels
        self._default = options.default_channel_name or options.channel_name or ""

    @classmethod
    @asynccontextmanager
    async def open(cls, options: SlackOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the client of Slack without connecting. Raises ConfigError."""
        token = options.token.reveal() if options.token else ""
        if not token:
            raise _missing("token", "set the bot's token")
        if not (options.default_channel_name or options.channel_name):
            raise _missing("default_channel_name", "name the channel to post to")
        async with open_channels(token, options.base_url, options.timeout) as channels:
            yield cls(options, channels)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Post what is due. Raises Retryable and Permanent as Slack answers."""
        for index, analysis in enumerate(vcon.analysis):
            if self._is_due(analysis):
                await self._post(vcon, index, run)
        return CONTINUE

    def _is_due(self, analysis: dict[str, Any]) -> bool:
        condition = self._options.only_if
        return (
            analysis.get("type") == condition.analysis_type
            and not analysis.get(_POSTED)
            and includes(analysis, condition.includes)
        )

    async def _post(self, vcon: Vcon, index: int, run: LinkRun) -> None:
        team, dealer = team_and_dealer(vcon)
        text = self._text(vcon, index)
        url = self._options.url and details_url(self._options.url, vcon.uuid)
        if team and team != _OWN_TEAM:
            text = fitting(text, fitting(f" #{dealer[:_DEALER_LENGTH]}") if dealer else "")
            await self._post_to_team(vcon, index, run, f"team-{team}-alerts", text, url)
        else:
            text = fitting(text)
        await self._channels.post(self._default, text, blocks_of(text, url))
        analysis = vcon.edit("analysis")[index]
        analysis[_POSTED] = True
        analysis.pop(_POSTED_SO_FAR, None)
        await run.keep()

    async def _post_to_team(
        self, vcon: Vcon, index: int, run: LinkRun, channel: str, text: str, url: str
    ) -> None:
        if vcon.analysis[index].get(_POSTED_SO_FAR) == [channel]:
            return
        try:
            await self._channels.post(channel, text, blocks_of(text, url))
        except NoSuchChannel:
            notice = f"The channel name doesn't exist - {fitting(channel)}"
            await self._channels.post(self._default, notice)
        vcon.edit("analysis")[index][_POSTED_SO_FAR] = [channel]
        await run.keep()

    def _text(self, vcon: Vcon, index: int) -> str:
        every = vcon.analysis
        dialog, wanted = every[index].get("dialog"), self._options.analysis_to_post
        for analysis in every:
            if analysis.get("type") == wanted and analysis.get("dialog") == dialog:
                return body_text(analysis)
        # Somebody has to look at it all the same.
        return f"(there is no {wanted})"


def _missing(option: str, message: str) -> ConfigError:
    return ConfigError([Problem((option,), message, "missing")])
