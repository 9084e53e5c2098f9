"""Where videos may come from."""

from __future__ import annotations

import httpx
import pytest

from backend.errors import MediaError, MediaUnavailableError, SettingsError
from backend.label_studio.media.hosts import (
    HostPattern,
    HostPolicy,
    Origin,
    Resolver,
    checked_addresses,
    parse_url,
    resolve_host,
    shown,
)

PUBLIC = "93.184.216.34"


def policy(hosts: str = "", private: str = "") -> HostPolicy:
    return HostPolicy(
        Origin("http", "label-studio", 8080),
        tuple(HostPattern.parse(host) for host in hosts.split()),
        tuple(HostPattern.parse(host) for host in private.split()),
    )


@pytest.mark.parametrize(
    ("url", "hosts", "private", "may_be_private"),
    [
        ("http://label-studio:8080/data/upload/a.mp4", "", "", True),
        ("https://videos.example.com/a.mp4", "videos.example.com", "", False),
        ("https://VIDEOS.example.com/a.mp4", "Videos.Example.com", "", False),
        ("https://videos.example.com:443/a.mp4", "videos.example.com", "", False),
        ("http://videos.example.com/a.mp4", "videos.example.com", "", False),
        ("https://bucket.s3.example.com/a.mp4", "*.s3.example.com", "", False),
        ("http://minio:9000/a.mp4", "", "minio:9000", True),
        ("http://minio:9000/a.mp4", "minio:9000", "", False),
        ("http://minio:9000/a.mp4", "minio:9000", "minio:9000", True),
        ("http://[2001:db8::1]:9000/a.mp4", "[2001:db8::1]:9000", "", False),
    ],
)
def test_allows_label_studio_and_configured_hosts(url: str, hosts: str, private: str, may_be_private: bool) -> None:
    assert policy(hosts, private).may_be_private(httpx.URL(url)) is may_be_private


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://label-studio/a.mp4", ""),
        ("http://label-studio:8081/a.mp4", ""),
        ("https://label-studio:8080/a.mp4", ""),
        ("http://127.0.0.1:8080/a.mp4", ""),
        ("https://evil.example.com/a.mp4", "videos.example.com"),
        ("https://videos.example.com.evil.com/a.mp4", "videos.example.com"),
        ("https://notvideos.example.com/a.mp4", "videos.example.com"),
        ("https://videos.example.com./a.mp4", "videos.example.com"),
        ("https://videos.example.com:8443/a.mp4", "videos.example.com"),
        ("http://videos.example.com:443/a.mp4", "videos.example.com"),
        ("https://s3.example.com/a.mp4", "*.s3.example.com"),
        ("https://evils3.example.com/a.mp4", "*.s3.example.com"),
        ("http://2130706433/a.mp4", "127.0.0.1"),
    ],
)
def test_refuses_every_other_origin_and_says_what_to_set(url: str, hosts: str) -> None:
    with pytest.raises(MediaError, match="MEDIA_HOSTS"):
        policy(hosts).may_be_private(httpx.URL(url))


@pytest.mark.parametrize("text", ["http://a.com", "a.com/path", "user@a.com", "a.com:port", "a b", "*", "", "*.*.com"])
def test_refuses_hosts_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="MEDIA_HOSTS"):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:password@videos.example.com/a.mp4",
        "http://videos.example.com@evil.com/a.mp4",
        "http://@videos.example.com/a.mp4",
        "http://videos.example.com\\@evil.com/a.mp4",
        "http://evil.com\\.videos.example.com/a.mp4",
        "http://videos.example.com /a.mp4",
        "http://videos.example.com/a\tb.mp4",
        "http://videos.example.com/a.mp4\r\nX-Evil: 1",
        "http://videos.example.com/a\x7f.mp4",
        "http://videos.example.com/\ud800.mp4",
        "http://videos.example.com/a\\b.mp4",
        "http://vıdeos.example.com/a.mp4",
        "http://ü@videos.example.com/a.mp4",
        "http://videos。example。com/a.mp4",
        "http://videos%2eexample.com/a.mp4",
        "http:///etc/passwd",
        "http:videos.example.com/a.mp4",
        "http://videos.example.com:99999/a.mp4",
        "http://videos.example.com:x/a.mp4",
        "http://[fe80::1%25eth0]/a.mp4",
        "//videos.example.com/a.mp4",
        "ftp://videos.example.com/a.mp4",
        "gopher://videos.example.com/a.mp4",
        "http://",
        "",
    ],
)
def test_refuses_addresses_that_are_not_plain(text: str) -> None:
    with pytest.raises(MediaError):
        parse_url(text)


def test_keeps_the_query_of_a_plain_address() -> None:
    url = parse_url("https://Videos.Example.com/a%20b.mp4?X-Amz-Signature=a%2Fb&d=%7Ec")
    assert (url.host, url.raw_path) == ("videos.example.com", b"/a%20b.mp4?X-Amz-Signature=a%2Fb&d=%7Ec")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://cdn.example.com/my clip.mp4", b"/my%20clip.mp4"),
        ("https://cdn.example.com/été.mp4?d=ネ コ.mp4", b"/%C3%A9t%C3%A9.mp4?d=%E3%83%8D%20%E3%82%B3.mp4"),
        ("https://cdn.example.com/5.00\u202fPM.mp4", b"/5.00%E2%80%AFPM.mp4"),
        ("https://cdn.example.com?d=a b", b"/?d=a%20b"),
        ("https://cdn.example.com/my%20clip (1)+a.mp4", b"/my%20clip%20(1)+a.mp4"),
    ],
)
def test_encodes_the_names_of_files_as_browsers_do(text: str, sent: bytes) -> None:
    assert parse_url(text).raw_path == sent


def test_says_that_odd_characters_are_refused_in_the_host_only() -> None:
    with pytest.raises(MediaError, match="before the path neither blanks nor other than ASCII letters"):
        parse_url("http://vıdeos.example.com/a b.mp4")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",  # noqa: S104  # refused, not bound to
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_refuses_private_addresses_also_beside_public_ones(address: str) -> None:
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(MediaError, match="MEDIA_PRIVATE_HOSTS") as caught:
            checked_addresses("host", 80, private=False, resolve=lambda *_, found=addresses: found)
        assert not caught.value.retryable


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_takes_public_addresses_once_each(address: str) -> None:
    found = checked_addresses("host", 80, private=False, resolve=lambda *_: [address, PUBLIC, address])
    assert found == list(dict.fromkeys([address, PUBLIC]))


def test_takes_private_addresses_where_allowed() -> None:
    assert checked_addresses("host", 80, private=True, resolve=lambda *_: ["10.0.0.1"]) == ["10.0.0.1"]


def test_a_name_that_does_not_resolve_may_do_so_later() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    answers: tuple[Resolver, ...] = (fail, lambda *_: [])
    for resolve in answers:
        with pytest.raises(MediaUnavailableError, match=r"nowhere\.example\.com"):
            checked_addresses("nowhere.example.com", 80, private=False, resolve=resolve)


def test_resolves_with_the_operating_system() -> None:
    assert "127.0.0.1" in resolve_host("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/local-files/?d=videos/a.mp4", "/data/local-files/?d=videos/a.mp4"),
        (
            "https://user:secret@b.example.com/k.mp4?X-Amz-Signature=secret",
            "https://b.example.com/k.mp4?X-Amz-Signature=...",
        ),
        ("https://b.example.com/k.mp4?sv=1&sig=secret#secret", "https://b.example.com/k.mp4?sv=...&sig=..."),
        ("https://b.example.com/k.mp4?secret", "https://b.example.com/k.mp4?..."),
        ("s3://bucket/key.mp4", "s3://bucket/key.mp4"),
        ("http://[::1/a", "the address"),
    ],
)
def test_shows_addresses_without_their_secrets(text: str, expected: str) -> None:
    assert shown(text) == expected
