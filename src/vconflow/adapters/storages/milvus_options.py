"""Options of the storage `milvus`, and the account that its embeddings are paid from."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from vconflow.ports.component import EXPECTED, LOCAL_FILE_OR_URL, LOCAL_PATH, Options, Secret
from vconflow.ports.providers import Account, CallLimit

__all__ = ["IndexType", "Metric", "MilvusOptions", "account", "index_parameters"]

IndexType = Literal[
    "ANNOY", "AUTOINDEX", "DISKANN", "FLAT", "HNSW", "IVF_FLAT", "IVF_PQ", "IVF_SQ8", "SCANN"
]
Metric = Literal["L2", "IP", "COSINE"]


class MilvusOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `milvus`."""

    aliases: ClassVar[dict[str, str]] = {
        "AZURE_OPENAI_API_KEY": "azure_openai_api_key",
        "AZURE_OPENAI_API_VERSION": "azure_openai_api_version",
        "AZURE_OPENAI_ENDPOINT": "azure_openai_endpoint",
        "LITELLM_MASTER_KEY": "litellm_master_key",
        "LITELLM_PROXY_URL": "litellm_proxy_url",
        "OPENAI_API_KEY": "api_key",
        "OPENAI_BASE_URL": "base_url",
        "openai_api_key": "api_key",
        "organization_key": "organization",
        "project_key": "project",
    }

    host: Annotated[str, Meta(description="The host of Milvus.", min_length=1)] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535, description="Its TCP port.")] = 19530
    uri: Annotated[
        str,
        Meta(
            # A URL that ends in .db would be a file to the driver.
            pattern=r"^(https?://.+(?<!\.db)$|(?!.*://))",
            description="`https://host:port` in place of host and port; or the name of a file, "
            "`vectors.db`: then Milvus runs inside this process (extra `milvus-lite`).",
            extra={
                LOCAL_PATH: LOCAL_FILE_OR_URL,
                EXPECTED: "a URL of http or https that does not end in .db, or a file",
            },
        ),
    ] = ""
    user: Annotated[str, Meta(description="The user at Milvus, if it asks for one.")] = ""
    password: Annotated[Secret | None, Meta(description="The user's password.")] = None
    token: Annotated[
        Secret | None, Meta(description="In place of user and password: `user:password`, or a key.")
    ] = None
    collection_name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z_][A-Za-z0-9_]{0,254}$",
            extra={EXPECTED: "up to 255 letters, digits and underscores, no digit first"},
            description="The collection.",
        ),
    ] = "vcons"
    create_collection_if_missing: Annotated[
        bool, Meta(description="Make the collection, with its index, when there is none.")
    ] = False
    skip_if_exists: Annotated[
        bool,
        Meta(
            description="Embed no text again that the collection has embedded already. What has "
            "changed is always brought up to date."
        ),
    ] = True
    embedding_model: Annotated[
        str,
        Meta(min_length=1, description="The model; `local:wordllama` is one that costs nothing."),
    ] = "text-embedding-3-small"
    embedding_dim: Annotated[
        int, Meta(ge=1, le=32_768, description="How many numbers its vectors have.")
    ] = 1536
    provider_concurrency: CallLimit = None
    api_key: Annotated[Secret | None, Meta(description="The key for the embeddings.")] = None
    organization: Annotated[str, Meta(description="The organization at OpenAI.")] = ""
    project: Annotated[str, Meta(description="The project at OpenAI.")] = ""
    base_url: Annotated[str, Meta(description="Another server that speaks OpenAI's language.")] = ""
    litellm_proxy_url: Annotated[str, Meta(description="A LiteLLM proxy.")] = ""
    litellm_master_key: Annotated[Secret | None, Meta(description="Its key.")] = None
    azure_openai_endpoint: Annotated[str, Meta(description="An endpoint of Azure OpenAI.")] = ""
    azure_openai_api_key: Annotated[Secret | None, Meta(description="Its key.")] = None
    azure_openai_api_version: Annotated[str, Meta(description="Its API version.")] = ""
    index_type: Annotated[IndexType, Meta(description="The index of a new collection.")] = (
        "IVF_FLAT"
    )
    metric_type: Annotated[Metric, Meta(description="The metric of a new collection.")] = "L2"
    nlist: Annotated[
        int, Meta(ge=1, le=65_536, description="Clusters of an IVF or SCANN index.")
    ] = 128
    m: Annotated[int, Meta(ge=2, le=2048, description="Edges per node of an HNSW index.")] = 16
    ef_construction: Annotated[
        int, Meta(ge=1, description="Candidates while an HNSW index is built.")
    ] = 200
    pq_m: Annotated[
        int, Meta(ge=1, description="Parts of a vector in an IVF_PQ index; divides embedding_dim.")
    ] = 8
    pq_nbits: Annotated[int, Meta(ge=1, le=64, description="Bits of each part.")] = 8
    n_trees: Annotated[int, Meta(ge=1, le=1024, description="Trees of an ANNOY index.")] = 50

    def __post_init__(self) -> None:
        if self.index_type == "IVF_PQ" and self.embedding_dim % self.pq_m:
            raise ValueError("pq_m must divide embedding_dim")

    @property
    def embedded_file(self) -> str:
        """The file of a Milvus inside this process, empty for a server."""
        return "" if "://" in self.uri else self.uri

    @property
    def address(self) -> str:
        """The URL of a server."""
        return self.uri or f"http://{self.host}:{self.port}"


def index_parameters(options: MilvusOptions) -> dict[str, int]:
    """What the index of a new collection is made with, beside its metric."""
    match options.index_type:
        case "HNSW":
            return {"M": options.m, "efConstruction": options.ef_construction}
        case "IVF_PQ":
            return {"nlist": options.nlist, "m": options.pq_m, "nbits": options.pq_nbits}
        case "IVF_FLAT" | "IVF_SQ8" | "SCANN":
            return {"nlist": options.nlist}
        case "ANNOY":
            return {"n_trees": options.n_trees}
        case _:
            return {}


def account(options: MilvusOptions) -> Account:
    """The account at the provider of the embeddings."""
    return Account(
        api_key=options.api_key,
        base_url=options.base_url,
        organization=options.organization,
        project=options.project,
        azure_endpoint=options.azure_openai_endpoint,
        azure_api_key=options.azure_openai_api_key,
        azure_api_version=options.azure_openai_api_version,
        litellm_proxy_url=options.litellm_proxy_url,
        litellm_master_key=options.litellm_master_key,
        concurrency=options.provider_concurrency,
    )
