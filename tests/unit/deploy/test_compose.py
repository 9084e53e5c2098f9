"""docker-compose.yml is valid, and safe in the ways that its comments and the README promise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from backend.engines.openai import MOST_IMAGES, TOP_LOGPROBS
from backend.reasoning.contract import VRTHINKER_128
from backend.settings import Settings
from tests.unit.deploy.composed import ROOT, VARIABLE, composed

TOKENS_PER_PICTURE = 256  # 448 x 448 in merged patches of 28 x 28
COMMON = ("label-studio", "redis", "web", "publisher")
FURTHER_GPUS = range(1, 8)


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    found: dict[str, Any] = composed(text)["services"]
    return found


def test_the_file_fits_the_compose_specification(text: str) -> None:
    parsed = PyCompose.from_yaml(yaml.safe_dump(composed(text)))
    first = [*COMMON, "worker", "vllm", "light-worker"]
    further = [f"{name}-{gpu}" for name in ("worker", "vllm", "light-worker") for gpu in FURTHER_GPUS]
    assert sorted(parsed.service_names()) == sorted(first + further)


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
    further = [f"{name}-{gpu}" for name in ("worker", "vllm") for gpu in FURTHER_GPUS]
    assert with_gpu == ["worker", "vllm", *further]
    dockerfile = services["web"]["build"]["dockerfile"]
    assert {services[name]["build"]["dockerfile"] for name in ("publisher", "light-worker")} == {dockerfile}
    assert "torch.txt" not in (ROOT / dockerfile).read_text(encoding="utf-8")
    assert "torch.txt" in (ROOT / services["worker"]["build"]["dockerfile"]).read_text(encoding="utf-8")


def test_each_profile_runs_the_model_once_and_shares_everything_else(services: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles") for name, service in services.items()}
    first = {"worker": ["transformers"], "vllm": ["vllm"], "light-worker": ["vllm"]}
    workers = {f"worker-{gpu}": [f"gpu-{gpu}"] for gpu in FURTHER_GPUS}
    servers = {f"{name}-{gpu}": [f"vllm-{gpu}"] for name in ("vllm", "light-worker") for gpu in FURTHER_GPUS}
    assert profiles == dict.fromkeys(COMMON) | first | workers | servers
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
    workers = [service for name, service in services.items() if "worker" in name]
    assert not any(worker["environment"]["DATABASE_URL"] for worker in workers)
    assert services["publisher"]["environment"]["DATABASE_URL"]


@pytest.mark.parametrize(
    ("name", "none"),
    [
        (
            "label-studio",
            "REDIS_PASSWORD REDIS_URL LABEL_STUDIO_API_KEY OPENAI_API_KEY BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL",
        ),
        ("web", "LABEL_STUDIO_PASSWORD"),
        ("publisher", "LABEL_STUDIO_PASSWORD"),
        ("worker", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
        ("light-worker", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
        ("worker-7", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
        ("light-worker-7", "LABEL_STUDIO_PASSWORD BASIC_AUTH_PASS WEBHOOK_SECRET DATABASE_URL"),
    ],
)
def test_no_service_gets_a_secret_that_it_does_not_need(services: dict[str, Any], name: str, none: str) -> None:
    """All of `.env` goes in by `env_file`; what `environment` says is stronger, and empty means unset to `Settings`."""
    environment = services[name]["environment"]
    assert {secret: environment.get(secret) for secret in none.split()} == dict.fromkeys(none.split(), "")


def test_each_further_gpu_has_a_worker_or_a_server_with_light_workers(services: dict[str, Any]) -> None:
    for gpu in FURTHER_GPUS:
        for name in ("worker", "vllm"):
            there = services[f"{name}-{gpu}"]
            [device] = there["deploy"]["resources"]["reservations"]["devices"]
            assert device == {"driver": "nvidia", "device_ids": [str(gpu)], "capabilities": ["gpu"]}
            own = {"profiles": there["profiles"], "deploy": there["deploy"]}
            assert there == services[name] | own
        light, first = services[f"light-worker-{gpu}"], services["light-worker"]
        server = {"OPENAI_BASE_URL": f"http://vllm-{gpu}:8000/v1"}
        assert light["environment"] == first["environment"] | server
        assert set(light["depends_on"]) == {"redis", f"vllm-{gpu}"}
    devices = [services[name]["deploy"]["resources"]["reservations"]["devices"] for name in ("worker", "vllm")]
    assert [device["device_ids"] for [device] in devices] == [["0"], ["0"]]


def test_ports_in_env_move_what_the_host_shows_and_nothing_inside(text: str) -> None:
    """`.env` reaches the containers whole, and both Label Studio and the web process read PORT."""
    services = composed(text, {"PORT": "7000", "LABEL_STUDIO_PORT": "8081", "WEB_PORT": "9091"})["services"]
    label_studio, web = services["label-studio"], services["web"]
    assert {label_studio["environment"][name] for name in ("PORT", "LABEL_STUDIO_PORT")} == {"8080"}
    assert label_studio["ports"] == ["8081:8080"]
    assert label_studio["environment"]["LABEL_STUDIO_HOST"] == "http://localhost:8081"
    assert (web["environment"]["HOST"], web["environment"]["PORT"]) == ("0.0.0.0", "9090")  # noqa: S104
    assert web["ports"] == ["127.0.0.1:9091:9090"]
    assert web["environment"]["LABEL_STUDIO_PUBLIC_URL"] == "http://localhost:8081"
    for service, port in ((label_studio, 8080), (web, 9090)):
        assert f":{port}/health" in " ".join(service["healthcheck"]["test"])


def test_all_who_compute_the_model_version_see_the_same_checkpoints(text: str) -> None:
    services = composed(text, {"MODEL": "/models/tuned", "MODELS": "/big/disk"})["services"]
    for name, service in services.items():
        runs_the_model = any(part in name for part in ("web", "publisher", "worker", "vllm"))
        assert ("/big/disk:/models:ro" in service["volumes"]) == runs_the_model, name
        if runs_the_model:
            asked = "--model=/models/tuned" in service["command"] or service["environment"].get("MODEL")
            assert asked in {True, "/models/tuned"}, name


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
