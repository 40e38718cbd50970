"""Transcribing the recordings of a vCon, whoever does it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

import msgspec

from vconflow.errors import Permanent, Retryable
from vconflow.links.dialog_work import for_each_dialog
from vconflow.links.recordings.dialogs import RecordedDialog, recorded_dialogs
from vconflow.links.recordings.files import RecordingFiles
from vconflow.links.recordings.splitting import Cutting, in_pieces
from vconflow.links.transcription.merging import merged
from vconflow.links.transcription.options import TranscriptionOptions
from vconflow.links.usage_portal import PortalAccess, UsagePortal
from vconflow.model.media_types import UNKNOWN
from vconflow.model.references import targets
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.failures import joined
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.providers import TranscriberOptions
from vconflow.ports.transcriber import Recording, Transcriber, Transcript

__all__ = ["Plan", "TranscriptionLink"]

_TYPE = "transcript"


class Plan(msgspec.Struct, frozen=True):
    """What the options of a vendor's link come to.

    `vendor` is what analyses say, `provider` whom to ask by which `transcriber` options. `stated`
    are the options that analyses repeat. `media_type` is that of recordings of which nobody says
    it; with `text_only` the body of an analysis is `{"transcript": ...}`. `cutting` says how long
    recordings are cut, None sends them whole. `portal` is told what was used.
    """

    vendor: str
    provider: str
    transcriber: TranscriberOptions
    language: str | None
    minimum_duration: float
    stated: dict[str, Any]
    minimum_confidence: float = 0.0
    media_type: str = UNKNOWN
    text_only: bool = False
    cutting: Cutting | None = None
    portal: PortalAccess = PortalAccess()


class TranscriptionLink(ABC):
    """Adds a transcript of each recording that has none, several at a time.

    What was transcribed is kept when something else fails.
    """

    options: ClassVar[type[TranscriptionOptions]]
    paid: ClassVar[bool] = True

    def __init__(
        self,
        plan: Plan,
        options: TranscriptionOptions,
        transcriber: Transcriber,
        files: RecordingFiles,
        portal: UsagePortal | None,
    ) -> None:
        self._plan = plan
        self._options = options
        self._transcriber = transcriber
        self._files = files
        self._portal = portal
        self.planned_seconds = options.fetch_timeout + options.provider_timeout

    @classmethod
    @abstractmethod
    def plan(cls, options: Any) -> Plan:
        """What the options of this vendor come to."""

    @classmethod
    @asynccontextmanager
    async def open(cls, options: Any, resources: Resources) -> AsyncIterator[Self]:
        """Open the account. Raises ConfigError."""
        plan = cls.plan(options)
        files = RecordingFiles(resources, options.limits, plan.media_type)
        await files.clear()
        account = resources.providers.transcriber(plan.provider, plan.transcriber)
        async with account as transcriber:
            yield cls(plan, options, transcriber, files, UsagePortal.of(plan.portal, resources))

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Transcribe what is not yet. Raises Permanent for a signed or encrypted vCon."""
        if vcon.form != "unsigned":
            raise Permanent(f"this vCon is {vcon.form}: no transcript can be added to it")
        adding = asyncio.Lock()
        calls = asyncio.Semaphore(self._options.concurrency)

        async def work(index: int, dialog: RecordedDialog) -> None:
            transcript = await self._transcript(dialog, calls)
            if transcript is None:
                return
            if self._is_sure(transcript):
                async with adding:
                    self._add(vcon, index, transcript)
                    await run.keep()
            if self._portal is not None:
                what = f"{self._plan.provider.upper()}_TRANSCRIBE"
                await self._portal.tell(vcon.uuid, what, transcript.usage)

        await for_each_dialog(work, self._wanted(vcon), self._options.concurrency)
        return CONTINUE

    def _wanted(self, vcon: Vcon) -> dict[int, RecordedDialog]:
        done = {
            index
            for item in vcon.analysis
            if item.get("type") == _TYPE
            for index in targets(item.get("dialog"))
        }
        return {
            dialog.index: dialog
            for dialog in recorded_dialogs(vcon)
            if dialog.index not in done and not self._is_short(dialog.duration)
        }

    def _is_short(self, duration: float | None) -> bool:
        return duration is not None and duration < self._plan.minimum_duration

    async def _transcript(
        self, dialog: RecordedDialog, calls: asyncio.Semaphore
    ) -> Transcript | None:
        """What was said; None if the recording is too short."""
        async with self._recording(dialog) as recording:
            if self._is_short(recording.duration):
                return None
            return await self._of_pieces(recording, calls)

    def _is_sure(self, transcript: Transcript) -> bool:
        confidence = transcript.confidence
        return confidence is None or confidence >= self._plan.minimum_confidence

    async def _of_pieces(self, recording: Recording, calls: asyncio.Semaphore) -> Transcript:
        async def ask(piece: Recording) -> Transcript:
            async with calls:
                return await self._transcriber.transcribe(
                    piece, language=self._plan.language or None
                )

        if self._plan.cutting is None:
            return await ask(recording)
        async with in_pieces(recording, self._plan.cutting) as pieces:
            # All of them end before one that failed is told of: their files go then.
            answers = await asyncio.gather(*map(ask, pieces), return_exceptions=True)
        return merged(_all_of(answers))

    @asynccontextmanager
    async def _recording(self, dialog: RecordedDialog) -> AsyncIterator[Recording]:
        if self._options.provider_fetches and self._transcriber.takes_urls:
            recording = await self._files.by_url(dialog)
            if recording is not None:
                yield recording
                return
        async with self._files.open(dialog) as recording:
            yield recording

    def _add(self, vcon: Vcon, index: int, transcript: Transcript) -> None:
        text_only = self._plan.text_only
        vcon.add_analysis(
            type=_TYPE,
            dialog=index,
            vendor=self._plan.vendor,
            product=transcript.usage.model,
            vendor_schema={"opts": self._plan.stated},
            usage=msgspec.to_builtins(transcript.usage),
            body={"transcript": transcript.text} if text_only else transcript.body,
        )


def _all_of(answers: Sequence[Transcript | BaseException]) -> list[Transcript]:
    """The transcripts of all pieces. Raises what stands in their way longest."""
    transcripts = [answer for answer in answers if isinstance(answer, Transcript)]
    failures = []
    for answer in answers:
        if isinstance(answer, Retryable):
            failures.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
    if failures:
        reasons = "; ".join(dict.fromkeys(map(str, failures)))
        raise joined(failures, reasons, repeats=bool(transcripts))
    return transcripts
