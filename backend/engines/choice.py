"""Settings -> the engine they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.reasoning.judge import Engine
    from backend.settings import Settings


def engine_of(settings: Settings) -> Engine:
    """The engine, loaded and ready.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        SettingsError: the device or quantization cannot be had on this machine.
    """
    if settings.engine == "openai":
        from backend.engines.openai import OpenAIEngine

        return OpenAIEngine(
            settings.openai_base_url,
            settings.openai_api_key.get_secret_value(),
            settings.model,
            timeout_s=settings.engine_timeout_s,
        )
    from backend.engines.local.loading import load_engine

    return load_engine(
        settings.model,
        revision=settings.model_revision,
        device=settings.device,
        quantization=settings.quantization,
        batch=settings.batch,
    )
