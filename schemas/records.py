"""The small frozen values that tasks and flows pass to each other."""

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base of every schema here: frozen, closed, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(Record):
    """A committed folder of the store."""

    uri: str = Field(description="folder of the artifact: an fsspec URI or a local path")
    digest: str = Field(description="SHA-256 over the data files (names and contents), in hex")
    kind: str = Field(description="stage that made it: zoo, tokens, windows, model, ...")


class FileEntry(Record):
    """One data file of an artifact."""

    sha256: str
    size: int = Field(ge=0, description="bytes")


class Manifest(Record):
    """What an artifact is and where it came from; its presence is the commit.

    See ARCHITECTURE.md, "The store".
    """

    # A metric may be infinite or not a number; strings keep the file valid JSON, and read back.
    model_config = ConfigDict(ser_json_inf_nan="strings")

    schema_version: int = 1
    stage: str
    key: str = Field(description="stage key: a hash of code, configuration, inputs and versions")
    digest: str = Field(description="content digest; free of wall times and host names")
    kind: str
    config: dict[str, object] = Field(description="canonical stage configuration")
    inputs: dict[str, Artifact] = Field(description="lineage: artifacts this one was made from")
    files: dict[str, FileEntry] = Field(description="relative path -> size and SHA-256")
    metrics: dict[str, float] = Field(default_factory=dict, description="flat metric name -> value")
    facts: dict[str, str] = Field(default_factory=dict, description="e.g. the reader used")
    timings: dict[str, float] = Field(
        default_factory=dict, description="measured of this machine; differs between equal runs"
    )
    seed: int
    versions: dict[str, str] = Field(description="library -> version")
    git_revision: str | None = None
    created: float = Field(default=0.0, ge=0, description="when, in seconds since 1970 (UTC)")
    seconds: float = Field(ge=0, description="wall time of the stage, in seconds")
