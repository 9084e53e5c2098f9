"""Every environment variable, read once, in one place.

`Settings()` reads the process environment and, where there is one, the file `.env`; pass values to `Settings(...)` in
tests instead. The README's table is generated from the fields below.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

BUNDLED_CHECKPOINT = Path(__file__).parent / "checkpoints" / "tiny"


def _listed(value: object) -> object:
    """`a, b` -> ("a", "b"), so that lists can be written the way people write them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _without_slash(value: str) -> str:
    return value.rstrip("/")


def _window(value: object) -> object:
    """`2` -> 2; `off` stays a word."""
    written = str(value).strip().lower()
    if value is None or written == "off":
        return value if value is None else written
    if not written.isdecimal():
        raise ValueError("give a number of rounds, 0 or more, or off")
    return int(written)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Folders = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]
Window = Annotated[int | Literal["off"] | None, BeforeValidator(_window)]
Url = Annotated[str, AfterValidator(_without_slash)]


class Settings(BaseSettings):
    """How one process of the backend is set up; frozen."""

    model_config = SettingsConfigDict(env_file=".env", frozen=True, extra="ignore", env_ignore_empty=True)

    label_studio_url: Url = Field("http://127.0.0.1:8080", description="Where Label Studio answers, as seen from here.")
    label_studio_api_key: SecretStr = Field(
        SecretStr(""), description="Personal access token (recommended) or legacy token of a Label Studio user."
    )
    label_studio_public_url: Url = Field(
        "",
        description="Where people's browsers reach it: for the status page's links, and videos that tasks name by it. "
        "Default: the same.",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis that carries the jobs; put the password in the URL."
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///vrthinker.db"), description="The ledger: SQLite, or PostgreSQL by URL."
    )

    model: str = Field(
        str(BUNDLED_CHECKPOINT),
        description="Checkpoint folder or hub id, e.g. `qunwang13/vrthinker`. Default: the small one for trying out.",
    )
    model_revision: str = Field(
        "", description="Commit or tag of the weights; part of the model version. Default: a digest of a local folder."
    )
    contract: str = Field(
        "vrthinker-128", description="How the checkpoint is asked: `vrthinker-128` or `vr-thinker-96`."
    )
    engine: Literal["transformers", "openai"] = Field(
        "transformers", description="`transformers` in the worker's process, `openai` for a vLLM or SGLang server."
    )
    openai_base_url: Url = Field("http://127.0.0.1:8000/v1", description="Base URL of the OpenAI-compatible server.")
    openai_api_key: SecretStr = Field(SecretStr("none"), description="Its key, if it wants one.")
    engine_timeout_s: float = Field(600.0, gt=0, description="Longest time for one reply of the model, in seconds.")
    device: str = Field("auto", description="`auto` (all GPUs, else CPU), `cpu` or e.g. `cuda:1`.")
    quantization: Literal["none", "8bit", "4bit"] = Field(
        "none", description="Load smaller weights on small cards (needs bitsandbytes)."
    )
    batch: int = Field(
        1, ge=1, le=256, description="Pairs that a worker judges at once. More are faster, and take more GPU memory."
    )
    force_answer: bool = Field(True, description="Ask once more for an answer when the last turn ends without one.")
    memory_window: Window = Field(
        None,
        description="Rounds of requested frames kept in the context, or `off` for all. Default: the contract's own.",
    )
    swap_check: Literal["off", "uncertain", "all"] = Field(
        "off", description="Judge again with the videos exchanged: never, where confidence is low, or always."
    )
    swap_threshold: float = Field(0.8, ge=0, le=1, description="Below this confidence a dimension is `uncertain`.")
    blind_share: float = Field(
        0.0, ge=0, le=1, description="Share of tasks judged but not shown to annotators, to measure agreement unbiased."
    )

    media_hosts: Names = Field((), description="Further hosts that videos may be fetched from, comma-separated.")
    media_private_hosts: Names = Field(
        (), description="Those of MEDIA_HOSTS that may resolve to private addresses, comma-separated."
    )
    media_roots: Folders = Field((), description="Local folders that `file://` and absolute paths may point into.")
    media_max_bytes: int = Field(2_000_000_000, gt=0, description="Largest video accepted, in bytes.")
    media_timeout_s: float = Field(120.0, gt=0, description="Longest time for fetching one video, in seconds.")
    media_cache_dir: Path = Field(Path(".cache/media"), description="Folder for fetched videos.")
    media_cache_bytes: int = Field(20_000_000_000, ge=0, description="How much of it to keep, in bytes.")
    frame_cache_bytes: int = Field(
        1_000_000_000, ge=0, description="Decoded frames to keep for tasks that share a video, in bytes; 0 for none."
    )

    export_dir: Path = Field(
        Path("exports"), description="Where the publisher puts the datasets that *Start Training* asks for."
    )

    host: str = Field("127.0.0.1", description="Address the web process listens on.")
    port: int = Field(9090, ge=1, le=65535, description="Port the web process listens on.")
    web_threads: int = Field(8, ge=1, description="Threads of the web process.")
    web_max_bytes: int = Field(
        100_000_000, gt=0, description="Largest request accepted, in bytes; ten thousand tasks are about 32 MB."
    )
    basic_auth_user: str = Field("", description="With BASIC_AUTH_PASS: Basic auth for everything but /health.")
    basic_auth_pass: SecretStr = Field(SecretStr(""), description="See BASIC_AUTH_USER.")
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="When set, webhooks must carry it in the header X-Webhook-Secret."
    )

    job_timeout_s: int = Field(1800, gt=0, description="Longest time for one judge job, in seconds.")
    max_attempts: int = Field(3, ge=1, description="How often a task is tried before it is recorded as failed.")
    reconcile_interval_s: float = Field(30.0, gt=0, description="How often lost work and annotations are looked for.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")

    @property
    def public_url(self) -> str:
        """Where people's browsers reach Label Studio."""
        return self.label_studio_public_url or self.label_studio_url


def load_settings(**overrides: object) -> Settings:
    """The process's settings.

    Raises:
        SettingsError: a variable has a value out of range; names it, the value and what is expected.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates the values
    except ValidationError as error:
        raise SettingsError("\n".join(_told(problem) for problem in error.errors(include_url=False))) from None


def _told(problem: ErrorDetails) -> str:
    """The variable, its value and what is expected; what our own checks say without the words put before it."""
    variable = ".".join(str(part) for part in problem["loc"]).upper()
    return f"{variable} is {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}."


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `extra` on top, for a process that it starts."""
    return {**os.environ, **extra}  # noqa: TID251  # the one place that reads it
