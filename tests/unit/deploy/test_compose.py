"""docker-compose.yml is valid, and safe in the ways that its comments and the README promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from backend.engines.openai import MOST_IMAGES, TOP_LOGPROBS
from backend.reasoning.contract import VRTHINKER_128
from backend.settings import Settings

ROOT = Path(__file__).parents[3]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
TOKENS_PER_PICTURE = 256  # 448 x 448 in merged patches of 28 x 28
FILLED_IN = {"REDIS_PASSWORD": "secret"}


def composed(text: str) -> dict[str, Any]:
    """The file as Docker Compose reads it: anchors merged, variables filled in from a minimal `.env`."""

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name in FILLED_IN:
            return FILLED_IN[name]
        assert kind == "-", f"{name} has neither a value nor a default"
        return str(rest)

    loaded: dict[str, Any] = yaml.safe_load(VARIABLE.sub(fill, text))
    return {name: value for name, value in loaded.items() if not name.startswith("x-")}


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    found: dict[str, Any] = composed(text)["services"]
    return found


def test_the_file_fits_the_compose_specification(text: str) -> None:
    parsed = PyCompose.from_yaml(yaml.safe_dump(composed(text)))
    assert sorted(parsed.service_names()) == [
        *("label-studio", "light-worker", "publisher", "redis", "vllm", "web", "worker"),
    ]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("restart: unless-stopped", "restart: sometimes"),
        ("healthcheck:", "healthchek:"),
        ("condition: service_healthy", "condition: well"),
    ],
)
def test_the_check_notices_what_the_specification_forbids(text: str, right: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        PyCompose.from_yaml(yaml.safe_dump(composed(text.replace(right, wrong, 1))))


def test_every_service_restarts_and_says_whether_it_is_healthy(services: dict[str, Any]) -> None:
    assert {name: service["restart"] for name, service in services.items()} == dict.fromkeys(services, "unless-stopped")
    assert all("test" in service["healthcheck"] for service in services.values())


def test_redis_keeps_jobs_asks_for_a_password_and_is_not_published(services: dict[str, Any]) -> None:
    command = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--requirepass secret" in command
    assert "ports" not in services["redis"]


def test_only_whoever_runs_the_model_gets_a_gpu_and_torch(services: dict[str, Any]) -> None:
    with_gpu = [name for name, service in services.items() if "deploy" in service]
    assert with_gpu == ["worker", "vllm"]
    dockerfile = services["web"]["build"]["dockerfile"]
    assert {services[name]["build"]["dockerfile"] for name in ("publisher", "light-worker")} == {dockerfile}
    assert "torch.txt" not in (ROOT / dockerfile).read_text(encoding="utf-8")
    assert "torch.txt" in (ROOT / services["worker"]["build"]["dockerfile"]).read_text(encoding="utf-8")


def test_each_profile_runs_the_model_once_and_shares_everything_else(services: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles") for name, service in services.items()}
    common = dict.fromkeys(("label-studio", "redis", "web", "publisher"))
    assert profiles == common | {"worker": ["transformers"], "vllm": ["vllm"], "light-worker": ["vllm"]}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert "\nCOMPOSE_PROFILES=transformers\nENGINE=transformers\n" in example


def test_the_model_server_takes_a_whole_conversation_and_the_light_worker_finds_it(services: dict[str, Any]) -> None:
    options = dict(option.removeprefix("--").partition("=")[::2] for option in services["vllm"]["command"])
    worker = services["light-worker"]["environment"]
    pictures = 2 * (len(VRTHINKER_128.initial_slots()) + (VRTHINKER_128.max_turns - 1) * VRTHINKER_128.max_indices)
    assert json.loads(options["limit-mm-per-prompt"])["image"] >= pictures == MOST_IMAGES
    assert int(options["max-logprobs"]) >= TOP_LOGPROBS
    assert "enable-prefix-caching" in options
    assert options["served-model-name"] == options["model"] == worker["MODEL"]
    tokens = pictures * TOKENS_PER_PICTURE + VRTHINKER_128.max_turns * VRTHINKER_128.max_new_tokens
    assert tokens < int(options["max-model-len"])
    assert (worker["ENGINE"], worker["OPENAI_BASE_URL"]) == ("openai", "http://vllm:8000/v1")


def test_the_workers_have_no_database(services: dict[str, Any]) -> None:
    assert not any(services[name]["environment"]["DATABASE_URL"] for name in ("worker", "light-worker"))
    assert services["publisher"]["environment"]["DATABASE_URL"]


@pytest.mark.parametrize(
    ("name", "none"),
    [
        (
            "label-studio",
            "REDIS_PASSWORD LABEL_STUDIO_API_KEY OPENAI_API_KEY BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL",
        ),
        ("web", "LABEL_STUDIO_PASSWORD"),
        ("publisher", "LABEL_STUDIO_PASSWORD"),
        ("worker", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
        ("light-worker", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
    ],
)
def test_no_service_gets_a_secret_that_it_does_not_need(services: dict[str, Any], name: str, none: str) -> None:
    """All of `.env` goes in by `env_file`; what `environment` says is stronger, and empty means unset to `Settings`."""
    environment = services[name]["environment"]
    assert {secret: environment.get(secret) for secret in none.split()} == dict.fromkeys(none.split(), "")


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings(_env_file=None)
    for name in ("LABEL_STUDIO_PASSWORD", "BASIC_AUTH_PASS", "WEBHOOK_SECRET", "DATABASE_URL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
    assert Settings(_env_file=None) == unset


def test_the_web_process_sees_the_videos_where_label_studio_has_them(services: dict[str, Any]) -> None:
    root = services["label-studio"]["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    [videos] = [volume for volume in services["label-studio"]["volumes"] if f":{root}/" in volume]
    assert videos.endswith(":ro")
    assert videos in services["web"]["volumes"]


def test_no_secret_is_written_into_the_file(text: str) -> None:
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|API_KEY|AUTH", line) and not line.lstrip().startswith("#"):
            assert "${" in line or line.endswith(': ""'), line


def test_the_example_environment_names_every_variable_without_a_default(text: str) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    required = {match[1] for match in VARIABLE.finditer(text) if match[2] == "?"}
    assert required
    assert all(re.search(rf"^{name}=", example, re.MULTILINE) for name in required)
