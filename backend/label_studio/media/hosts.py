"""Which web addresses videos may come from, and whether what they resolve to is public."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, urlsplit

import httpx

from backend.errors import MediaError, MediaUnavailableError, SettingsError

IpAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Resolver: TypeAlias = "Callable[[str, int], Collection[str]]"
"""Host and port to the text of every address it resolves to; raises OSError."""

DEFAULT_PORTS = {"http": 80, "https": 443}
PLAIN_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
BEFORE_PATH = re.compile(r"[^:/?#]*:(?://[^/?#]*)?")
TO_ENCODE = re.compile(r"[^\x00-\x7f]| ")
PUBLIC_QUERY_KEYS = frozenset({"d"})  # local-files paths; whatever else a query holds may be a signature
AZURE_HOST_AGENT = ipaddress.ip_address("168.63.129.16")  # hands out credentials, on an address that is public
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what tokens and permissions are bound to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        """The origin of an http or https address."""
        return cls(url.scheme, url.host, url.port or DEFAULT_PORTS[url.scheme])


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`videos.example.com`, `*.example.com`, or one with a port, `minio:9000`; else the scheme's own port is meant."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """The pattern as people write it.

        Raises:
            SettingsError: it is not a host.
        """
        try:
            parts = urlsplit(f"//{text.lower()}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if parts.path or parts.username is not None or not PLAIN_HOST.fullmatch(host.removeprefix("*.")):
            raise SettingsError(
                f"MEDIA_HOSTS or MEDIA_PRIVATE_HOSTS holds {text!r}: write a host like videos.example.com, "
                "*.example.com or minio:9000, without a scheme or path."
            )
        return cls(host, port)

    def matches(self, origin: Origin) -> bool:
        """Whether the origin is meant."""
        if origin.port != (self.port or DEFAULT_PORTS[origin.scheme]):
            return False
        return origin.host.endswith(self.host[1:]) if self.host.startswith("*.") else origin.host == self.host


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Videos come from Label Studio's own origin and configured hosts; only it and `private` may be on private nets."""

    label_studio: Origin
    public: tuple[HostPattern, ...] = ()
    private: tuple[HostPattern, ...] = ()

    def may_be_private(self, url: httpx.URL) -> bool:
        """Whether this allowed address may resolve to addresses that are not public.

        Raises:
            MediaError: nothing may be fetched from there.
        """
        origin = Origin.of(url)
        if origin == self.label_studio or any(pattern.matches(origin) for pattern in self.private):
            return True
        if any(pattern.matches(origin) for pattern in self.public):
            return False
        raise MediaError(
            f"Videos may not be fetched from {origin.host}:{origin.port} ({shown(str(url))}). "
            "If they should, add it to MEDIA_HOSTS, and to MEDIA_PRIVATE_HOSTS where its address is a private one."
        )


def parse_url(text: str) -> httpx.URL:
    """A plain http or https address, on which all parsers agree.

    Behind the host, blanks and other than ASCII characters are percent-encoded, as browsers do: files have such names.

    Raises:
        MediaError: it holds credentials, a backslash or control characters, or no clear host in ASCII letters.
    """
    try:
        text = _encoded(text)
        url, standard = httpx.URL(text), urlsplit(text)
        default = DEFAULT_PORTS[url.scheme]
        same_host = url.host == (standard.hostname or "")
        same_port = (url.port or default) == (standard.port or default)
    except (httpx.InvalidURL, ValueError, KeyError):
        raise MediaError(f"{shown(text)} is not an http or https address.") from None
    plain = text.isascii() and text.isprintable() and not set(" \\") & set(text)
    if not (plain and same_host and same_port and PLAIN_HOST.fullmatch(url.host)) or "@" in standard.netloc:
        raise MediaError(
            f"{shown(text)} is not a plain address: no credentials, backslashes or control characters, and before "
            "the path neither blanks nor other than ASCII letters (write such a host as xn--...)."
        )
    return url


def _encoded(text: str) -> str:
    """The address with its path and query in ASCII; whatever stands before them is left for the checks."""
    start = BEFORE_PATH.match(text)
    place = start.end() if start else 0
    return text[:place] + TO_ENCODE.sub(lambda found: quote(found[0]), text[place:])


def checked_addresses(host: str, port: int, *, private: bool, resolve: Resolver) -> list[str]:
    """Every address of the host, each of them checked, so that none is left to chance at connecting.

    Raises:
        MediaError: one of them is private, loopback, link-local or otherwise not on the public internet.
        MediaUnavailableError: the name does not resolve right now.
    """
    try:
        addresses = list(dict.fromkeys(resolve(host, port)))
    except (OSError, UnicodeError) as error:
        raise MediaUnavailableError(f"The host {host} cannot be resolved: {error}.") from None
    if not addresses:
        raise MediaUnavailableError(f"The host {host} resolves to no address.")
    refused = [] if private else [address for address in addresses if not _is_public(address)]
    if refused:
        raise MediaError(
            f"The host {host} resolves to {refused[0]}, which is not a public address. "
            "If that is meant, add the host to MEDIA_PRIVATE_HOSTS."
        )
    return addresses


def resolve_host(host: str, port: int) -> list[str]:
    """What the operating system resolves a host to."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def shown(text: str) -> str:
    """A reference as it may be shown and logged: without credentials, fragment, and the values of its query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "the address"
    host = parts.netloc.rpartition("@")[2]
    place = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else f"{host}{parts.path}"
    query = "&".join(_shown_pair(*pair.partition("=")) for pair in parts.query.split("&") if pair)
    return f"{place}?{query}" if query else place


def _shown_pair(key: str, equals: str, value: str) -> str:
    if not equals:
        return "..."
    return f"{key}={value}" if key in PUBLIC_QUERY_KEYS else f"{key}=..."


def _is_public(text: str) -> bool:
    return all(
        address.is_global and not (address.is_multicast or address.is_reserved) and address != AZURE_HOST_AGENT
        for address in _meant(ipaddress.ip_address(text.partition("%")[0]))
    )


def _meant(address: IpAddress) -> Iterator[IpAddress]:
    """The address, and every IPv4 address that packets to it may end at."""
    if not isinstance(address, ipaddress.IPv6Address):
        yield address
        return
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inner = [item for item in carried if item is not None]
    yield from inner or [address]
