"""Diet: make a vCon small, by moving its media elsewhere or dropping parts of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta

from vconflow.errors import Permanent
from vconflow.links.dialog_work import for_each_dialog
from vconflow.links.dieting.bodies import BucketMover, MediaMover, PostMover, replace_body
from vconflow.links.dieting.parts import remove_attachments, remove_system_prompts
from vconflow.model.vcon import Vcon
from vconflow.ports.component import SECRET_URL, Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.objects import AccountOptions
from vconflow.ports.urls import HttpUrlOrNothing

__all__ = ["DietLink", "DietOptions"]

_UPLOADS = 4


class DietOptions(AccountOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `diet`."""

    remove_dialog_body: Annotated[
        bool,
        Meta(
            description="Take the bodies out of dialogs: to `s3_bucket` if it is set, else to "
            "`post_media_to_url`, else for good."
        ),
    ] = False
    post_media_to_url: Annotated[
        HttpUrlOrNothing,
        Meta(
            extra={SECRET_URL: True},
            description='Where to POST each body, as `{"content", "vcon_uuid", "dialog_id", ...}`; '
            'the answer `{"url"}` says where it is from then on.',
        ),
    ] = ""
    post_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that posting one body may take.")
    ] = 60.0
    remove_analysis: Annotated[bool, Meta(description="Remove all analysis.")] = False
    remove_attachment_types: Annotated[
        tuple[str, ...],
        Meta(description="Media types of attachments to remove, also as patterns: `image/*`."),
    ] = ()
    remove_system_prompts: Annotated[
        bool,
        Meta(
            description="Remove every member called `system_prompt`, wherever it is, so that no "
            "model takes orders from it."
        ),
    ] = False
    s3_bucket: Annotated[
        str,
        Meta(description="The bucket for bodies, as `[s3_path/]uuid/dialog-index-hash.extension`."),
    ] = ""
    s3_path: Annotated[str, Meta(description="What the names of objects begin with.")] = ""
    presigned_url_expiration: Annotated[
        Annotated[int, Meta(ge=1, le=604800)] | None,
        Meta(
            description="Seconds that the URL in the vCon works, an hour if unset, a week at most.",
        ),
    ] = None


class DietLink:
    """Moves or removes bodies of dialogs, and removes analysis, attachments and system prompts.

    A body goes only when what it held has arrived elsewhere. Doing it again changes nothing.
    """

    options: ClassVar[type[Options]] = DietOptions

    def __init__(self, options: DietOptions, mover: MediaMover | None) -> None:
        self._options = options
        self._mover = mover

    @classmethod
    @asynccontextmanager
    async def open(cls, options: DietOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the bucket, if one is to be used. Raises ConfigError."""
        async with AsyncExitStack() as stack:
            mover: MediaMover | None = None
            if options.s3_bucket:
                bucket = resources.objects.bucket(options.access(options.s3_bucket))
                seconds = options.presigned_url_expiration
                opened = await stack.enter_async_context(bucket)
                mover = BucketMover(opened, options.s3_path, seconds or 3600)
            elif options.post_media_to_url:
                mover = PostMover(resources.http, options.post_media_to_url, options.post_timeout)
            yield cls(options, mover)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Make it small. Raises Permanent for a signed or encrypted vCon; nothing is moved then."""
        if vcon.form != "unsigned":
            raise Permanent(f"this vCon is {vcon.form}: nothing can be taken out of it")
        options = self._options
        if options.remove_analysis:
            vcon.remove("analysis")
        if options.remove_attachment_types:
            remove_attachments(vcon, options.remove_attachment_types)
        if options.remove_system_prompts:
            remove_system_prompts(vcon)
        if options.remove_dialog_body:
            await self._empty_dialogs(vcon)
        return CONTINUE

    async def _empty_dialogs(self, vcon: Vcon) -> None:
        uuid, version, mover = vcon.uuid, vcon.version, self._mover

        async def work(index: int, dialog: dict[str, Any]) -> None:
            moved = await mover.move(uuid, index, dialog) if mover and dialog["body"] else None
            replace_body(dialog, moved, version)

        dialogs = {
            index: dialog
            for index, dialog in enumerate(vcon.edit("dialog"))
            if isinstance(dialog, dict) and "body" in dialog and dialog.get("body_type") != "url"
        }
        await for_each_dialog(work, dialogs, _UPLOADS)
