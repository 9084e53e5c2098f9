"""A video reference -> a file to decode, for as long as it is needed."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import tenacity

from backend.errors import MediaError, MediaUnavailableError, SettingsError
from backend.label_studio.media.cache import Cache, Slot
from backend.label_studio.media.download import Answer, Downloader, RangeRefusedError
from backend.label_studio.media.hosts import HostPattern, HostPolicy, Origin, Resolver, parse_url, resolve_host
from backend.label_studio.media.network import Deadline
from backend.label_studio.media.source import LocalFile, Remote, is_media_path, locate

ATTEMPTS = 3


class MediaFetcher:
    """Fetches videos within limits; safe for threads and for several processes with one cache folder.

    `authorization` gives the header for an address of Label Studio; it is asked for Label Studio's own media paths
    only, hop by hop, so the token reaches nothing else. `public_url` is Label Studio's address in people's browsers.
    """

    def __init__(
        self,
        *,
        label_studio_url: str,
        authorization: Callable[[str], Mapping[str, str]],
        cache_dir: Path,
        max_bytes: int,
        timeout_s: float,
        cache_bytes: int,
        public_url: str = "",
        hosts: Sequence[str] = (),
        private_hosts: Sequence[str] = (),
        roots: Sequence[Path] = (),
        resolve: Resolver = resolve_host,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._label_studio_url = label_studio_url.rstrip("/")
        self._public_url = public_url.rstrip("/")
        self._authorization = authorization
        try:
            own = parse_url(self._label_studio_url)
        except MediaError as error:
            raise SettingsError(f"LABEL_STUDIO_URL is no usable address: {error}") from None
        self._origin, self._prefix = Origin.of(own), _sent(own).rstrip("/")
        self._roots = tuple(roots)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._cache = Cache(cache_dir, cache_bytes)
        policy = HostPolicy(
            self._origin,
            tuple(HostPattern.parse(host) for host in hosts),
            tuple(HostPattern.parse(host) for host in private_hosts),
        )
        context = ssl_context or httpx.create_ssl_context()
        self._downloader = Downloader(policy, self._headers_for, resolve, max_bytes, context)

    @contextmanager
    def fetch(self, reference: str, task: int | None = None) -> Iterator[Path]:
        """The video as a file that stays until the block is left; `task` is needed for cloud storages.

        Raises:
            MediaError: the video cannot be had: bad reference, refused address, 404, too large, not a video.
            MediaUnavailableError: not right now; what was fetched so far is kept for the next try.
            LabelStudioError: the token is not accepted.
        """
        source = locate(reference, task, self._label_studio_url, self._roots, self._public_url)
        if isinstance(source, LocalFile):
            yield self._small_enough(source.path)
            return
        deadline = Deadline(self._timeout_s)
        try:
            with ExitStack() as in_use:
                path = None
                while path is None:
                    path = in_use.enter_context(self._cache.use(self._fetched(source, deadline)))
                yield path
        finally:
            self._cache.make_room()

    def _small_enough(self, path: Path) -> Path:
        size = path.stat().st_size
        if size > self._max_bytes:
            raise MediaError(f"{path} has {size} bytes, more than MEDIA_MAX_BYTES allows ({self._max_bytes}).")
        return path

    def _headers_for(self, url: httpx.URL) -> Mapping[str, str]:
        path = _sent(url)
        # Beside Label Studio's own path, other applications may live on its host.
        below = Origin.of(url) == self._origin and path.startswith(f"{self._prefix}/")
        if not (below and is_media_path(path.removeprefix(self._prefix))):
            return {}
        return self._authorization(str(url))

    def _fetched(self, remote: Remote, deadline: Deadline) -> Path:
        """The path of the current version in the cache, fetched where it is not there yet."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, MediaUnavailableError) and deadline.left() > 0
            ),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
            reraise=True,
        )
        with self._cache.slot(remote.key, deadline) as slot:
            return retrying(self._brought, remote, slot, deadline)

    def _brought(self, remote: Remote, slot: Slot, deadline: Deadline) -> Path:
        """One try, of as many requests as it takes: some servers hand out a long video range by range."""
        path = None
        while path is None:
            version, start = slot.begun() or ("", 0)
            try:
                with self._downloader.get(remote, start, deadline) as answer:
                    path = slot.kept(answer.version, answer.total)
                    if path is None:
                        if answer.start and version != answer.version:
                            raise RangeRefusedError(f"{remote.name} has changed since its first part was fetched.")
                        path = self._taken(remote, answer, slot)
            except RangeRefusedError:
                slot.forget_begun()  # what follows asks from the start, which is never refused like this
        return path

    def _taken(self, remote: Remote, answer: Answer, slot: Slot) -> Path | None:
        """Write the body behind what is there; the video's path once it is whole."""
        if answer.start == 0:
            slot.forget_begun()
        with slot.appending(answer.version, answer.start) as part:
            if part is None:
                return None
            self._cache.make_room((answer.total or 0) - answer.start)
            try:
                part.writelines(answer.body)
            except MediaUnavailableError:
                if not answer.resumable:
                    slot.forget_begun()
                raise
            except MediaError:
                slot.forget_begun()
                raise
            size = part.tell()
            if answer.total in {None, size}:
                return slot.keep(part, answer.version)
            if size == answer.start or size > answer.total:
                slot.forget_begun()
                raise MediaUnavailableError(f"{remote.name} ended at byte {size} of {answer.total}.")
        return None


def _sent(url: httpx.URL) -> str:
    """The path as it goes over the wire: decoded, a `%3F` in it would look like the begin of a query."""
    return url.raw_path.partition(b"?")[0].decode("ascii")
