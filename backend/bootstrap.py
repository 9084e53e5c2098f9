"""Settings -> the parts that processes share. The engine is chosen in `engines.choice`, which the web never reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.label_studio.client import LabelStudioClient
from backend.ledger import Ledger

if TYPE_CHECKING:
    from backend.label_studio.media.fetcher import MediaFetcher
    from backend.settings import Settings


def open_ledger(settings: Settings) -> Ledger:
    """The ledger at DATABASE_URL.

    Raises:
        LedgerError: it cannot be used.
    """
    return Ledger.open(
        settings.database_url.get_secret_value(),
        blind_share=settings.blind_share,
        max_attempts=settings.max_attempts,
    )


def connect_label_studio(settings: Settings) -> LabelStudioClient:
    """Label Studio at LABEL_STUDIO_URL; nothing is sent yet."""
    return LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key.get_secret_value())


def open_fetcher(settings: Settings, label_studio: LabelStudioClient) -> MediaFetcher:
    """What fetches videos, with the limits that are set; the token goes to Label Studio only."""
    from backend.label_studio.media.fetcher import MediaFetcher

    return MediaFetcher(
        label_studio_url=settings.label_studio_url,
        authorization=label_studio.authorization_for,
        cache_dir=settings.media_cache_dir,
        max_bytes=settings.media_max_bytes,
        timeout_s=settings.media_timeout_s,
        cache_bytes=settings.media_cache_bytes,
        public_url=settings.label_studio_public_url,
        hosts=settings.media_hosts,
        private_hosts=settings.media_private_hosts,
        roots=settings.media_roots,
    )
