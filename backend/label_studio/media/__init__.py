"""Videos that tasks point at, fetched safely: from Label Studio, configured hosts and configured folders only."""

from backend.label_studio.media.fetcher import MediaFetcher
from backend.label_studio.media.source import LocalFile, Remote, locate

__all__ = ["LocalFile", "MediaFetcher", "Remote", "locate"]
