"""The environment becomes frozen settings, or a message that says which variable is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.errors import SettingsError
from backend.settings import BUNDLED_CHECKPOINT, Settings, load_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the product and no `.env` file."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_any_variable_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.model == str(BUNDLED_CHECKPOINT)
    assert settings.contract == "vrthinker-128"
    assert (settings.swap_check, settings.force_answer) == ("off", True)
    assert settings.media_roots == ()


def test_people_reach_label_studio_where_the_backend_does_unless_told_otherwise() -> None:
    assert load_settings(label_studio_url="http://ls:8080/").public_url == "http://ls:8080"
    told = load_settings(label_studio_url="http://ls:8080", label_studio_public_url="https://label.example/")
    assert told.public_url == "https://label.example"


def test_variables_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWAP_CHECK", "all")
    monkeypatch.setenv("port", "8123")
    assert (load_settings().swap_check, load_settings().port) == ("all", 8123)


def test_a_file_named_env_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(tmp_path, ".env").write_text("PORT=8001\nHOST=0.0.0.0\nUNKNOWN=1\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "8002")
    assert (load_settings().port, load_settings().host) == (8002, "0.0.0.0")  # noqa: S104  # a value that is only read


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("MEMORY_WINDOW", "")
    assert (load_settings().port, load_settings().memory_window) == (9090, None)


@pytest.mark.parametrize(
    ("written", "hosts"),
    [("a.org, b.org", ("a.org", "b.org")), ("a.org", ("a.org",)), (" , ", ()), ("a,,b", ("a", "b"))],
)
def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch, written: str, hosts: tuple[str, ...]) -> None:
    monkeypatch.setenv("MEDIA_HOSTS", written)
    assert load_settings().media_hosts == hosts


def test_folders_become_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ROOTS", "/data/videos,/mnt/more")
    assert load_settings().media_roots == (Path("/data/videos"), Path("/mnt/more"))


def test_urls_lose_their_trailing_slash() -> None:
    assert load_settings(label_studio_url="http://ls:8080/").label_studio_url == "http://ls:8080"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("port", "http"),
        ("swap_check", "sometimes"),
        ("swap_threshold", 1.5),
        ("blind_share", -0.1),
        ("memory_window", -1),
        ("memory_window", "some"),
        ("batch", 0),
        ("max_attempts", 0),
        ("engine", "magic"),
        ("media_timeout_s", 0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_variable_and_value(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(**{name: value})
    assert str(raised.value).startswith(f"{name.upper()} is {value!r}: ")


def test_what_our_own_checks_say_comes_through_as_it_is() -> None:
    with pytest.raises(SettingsError, match=r"^MEMORY_WINDOW is 'x': give a number of rounds, 0 or more, or off\.$"):
        load_settings(memory_window="x")


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)PORT is 0.*MAX_ATTEMPTS is 0"):
        load_settings(port=0, max_attempts=0)


def test_secrets_do_not_show_up_when_settings_are_printed() -> None:
    settings = load_settings(label_studio_api_key="hush", redis_url="redis://:hush@redis:6379/0", webhook_secret="hush")
    assert "hush" not in f"{settings!r} {settings}"
    assert settings.label_studio_api_key.get_secret_value() == "hush"


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]  # just what is refused


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_says_what_it_is_for(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")
