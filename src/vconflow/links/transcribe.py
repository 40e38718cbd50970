"""Transcribe: a transcript for each recording, by the vendor of choice."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, structs

from vconflow.links.deepgram_link import DeepgramLink
from vconflow.links.groq_whisper import GroqWhisperLink
from vconflow.links.hugging_face_whisper import HuggingFaceWhisperLink
from vconflow.links.openai_transcribe import OpenaiTranscribeLink
from vconflow.links.transcription.link import Plan, TranscriptionLink
from vconflow.links.transcription.options import TranscriptionOptions
from vconflow.links.transcription.vendor_options import VendorOptions

__all__ = ["TranscribeLink", "TranscribeOptions"]

_VENDORS: dict[str, type[TranscriptionLink]] = {
    "deepgram": DeepgramLink,
    "openai": OpenaiTranscribeLink,
    "groq": GroqWhisperLink,
    "hugging_face": HuggingFaceWhisperLink,
}


class TranscribeOptions(
    TranscriptionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Options of the link `transcribe`."""

    vendor: Annotated[
        Literal["deepgram", "openai", "groq", "hugging_face"],
        Meta(description="Who transcribes; each takes the defaults of the link of its own."),
    ] = "deepgram"
    vendor_options: Annotated[
        VendorOptions,
        Meta(description="Options of that vendor's own link, in the spellings of that."),
    ] = msgspec.field(default_factory=VendorOptions)
    minimum_duration: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="Shorter recordings, in seconds, are skipped. Unset: as the link of the "
            "vendor does.",
        ),
    ] = None

    def __post_init__(self) -> None:
        self.of_vendor()

    def of_vendor(self) -> TranscriptionOptions:
        """The options of the vendor's own link. Raises ValueError for those it does not have."""
        options = _VENDORS[self.vendor].options
        known = {field.encode_name for field in structs.fields(options)} | options.aliases.keys()
        values = {name: getattr(self, name) for name in TranscriptionOptions.__struct_fields__}
        spelled: dict[str, str] = {}
        for name, spelling, value in self.vendor_options.given():
            if spelling not in known:
                raise ValueError(f"vendor_options: {self.vendor} has no option {spelling!r}")
            if name in spelled:
                raise ValueError(f"vendor_options: {spelled[name]!r} and {spelling!r} are the same")
            spelled[name], values[name] = spelling, value
        for name in ("minimum_duration", "language"):
            if (value := getattr(self, name)) is not None:
                values[name] = value
        return options(**values)


class TranscribeLink(TranscriptionLink):
    """Adds a transcript to each recording that has none, several at a time."""

    options: ClassVar[type[TranscriptionOptions]] = TranscribeOptions

    @classmethod
    def plan(cls, options: TranscribeOptions) -> Plan:
        """As the vendor's own link does."""
        return _VENDORS[options.vendor].plan(options.of_vendor())
