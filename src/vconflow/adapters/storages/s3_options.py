"""Options of the storage `s3`."""

from typing import Annotated, Final

from msgspec import Meta

from vconflow.ports.component import Options, Secret
from vconflow.ports.objects import MULTIPART_FROM, BucketAccess

__all__ = ["S3Options", "access_of"]

_LEAST_PART: Final = 5 * 1024 * 1024


class S3Options(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `s3`."""

    aws_bucket: Annotated[str, Meta(min_length=1, description="The bucket, which has to exist.")]
    aws_access_key_id: Annotated[
        Secret | None,
        Meta(
            description="The access key. Without keys those of the usual places are used: the "
            "environment (`AWS_ACCESS_KEY_ID`), the files of the AWS CLI, the role of the machine."
        ),
    ] = None
    aws_secret_access_key: Annotated[Secret | None, Meta(description="Its secret.")] = None
    aws_region: Annotated[str, Meta(min_length=1, description="The region of the bucket.")] = (
        "us-east-1"
    )
    endpoint_url: Annotated[
        str | None,
        Meta(
            description="The server, for one that is not Amazon's, as `http://minio:9000`.",
        ),
    ] = None
    s3_path: Annotated[str | None, Meta(description="What all keys begin with, before a `/`.")] = (
        None
    )
    concurrency: Annotated[
        int, Meta(ge=1, le=64, description="How many vCons of a batch are written at a time.")
    ] = 32
    multipart_threshold: Annotated[
        int,
        Meta(ge=_LEAST_PART, description="vCons of so many bytes are sent in parts of 8 MiB."),
    ] = MULTIPART_FROM

    def __post_init__(self) -> None:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key belong together")
        if self.endpoint_url and not self.endpoint_url.startswith(("http://", "https://")):
            raise ValueError("endpoint_url must begin with http:// or https://")


def access_of(options: S3Options) -> BucketAccess:
    """Return what opens the bucket."""
    return BucketAccess(
        bucket=options.aws_bucket,
        access_key_id=options.aws_access_key_id,
        secret_access_key=options.aws_secret_access_key,
        region=options.aws_region,
        endpoint_url=options.endpoint_url,
        multipart_from=options.multipart_threshold,
    )
