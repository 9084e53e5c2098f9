"""What the documents say about Compose on several machines, and about its results on the host, is what the files do."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from backend.settings import Settings
from backend.version import model_version
from tests.unit.deploy.composed import ROOT, VARIABLE, composed

if TYPE_CHECKING:
    from pathlib import Path

FENCED = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"docker compose (up|run|exec|cp)\b([^`\n]*)")
MOUNTED = re.compile(r'-v "\$PWD/(\w+):/data/(\w+)" (\S+) vrthinker (?:report|export)\b.* --out (\w+)/')
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SCALING = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
RACK = "docker/rack.yml"
WORKERS = ("worker", "light-worker")


def env_with(name: str) -> dict[str, str]:
    """The `.env` in scaling.md that sets `name`."""
    [found] = [block for block in FENCED.findall(SCALING) if re.search(rf"^{name}=", block, re.MULTILINE)]
    return dict(line.partition("=")[::2] for line in found.splitlines())


def services(env: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = composed(TEXT, env)["services"]
    return found


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_machines_env_decides_where_everything_is(name: str) -> None:
    env = env_with("REDIS_URL") | {"REDIS_PASSWORD": "pw", "OPENAI_BASE_URL": "http://10.0.0.9:8000/v1"}
    worker = services(env)[name]["environment"]
    assert worker["REDIS_URL"] == "redis://:pw@10.0.0.5:6379/0"
    assert worker["LABEL_STUDIO_URL"] == "http://10.0.0.5:8080"
    assert worker.get("OPENAI_BASE_URL") in {None, "http://10.0.0.9:8000/v1"}


def test_where_env_says_nothing_of_it_everything_is_in_compose() -> None:
    worker = services()["light-worker"]["environment"]
    assert worker["REDIS_URL"] == "redis://:secret@redis:6379/0"
    assert worker["LABEL_STUDIO_URL"] == "http://label-studio:8080"


def test_the_documented_env_of_a_worker_machine_has_no_secret_that_workers_are_kept_from() -> None:
    env = env_with("REDIS_URL")
    kept = {name for worker in WORKERS for name, value in services()[worker]["environment"].items() if value == ""}
    assert not {name for name in kept if env.get(name) is not None} - {"MODEL_REVISION"}


def test_the_documented_env_names_all_that_makes_the_model_version(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: set[str] = set()

    class Noticed(Settings):
        def __getattribute__(self, name: str) -> object:
            if name in Settings.model_fields:
                looked_at.add(name.upper())
            return super().__getattribute__(name)

    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    model_version(Noticed(model="owner/name", swap_check="uncertain", _env_file=None))
    paragraph = SCALING[SCALING.index("REDIS_URL=") :]
    assert {"MODEL", "SWAP_THRESHOLD"} <= looked_at
    assert [name for name in sorted(looked_at) if name not in paragraph] == []


def test_only_the_rack_file_publishes_redis_and_only_where_it_is_told_to() -> None:
    rack = (ROOT / RACK).read_text(encoding="utf-8")
    assert [(match[1], match[2]) for match in VARIABLE.finditer(rack)] == [("REDIS_BIND", "?")]
    env = env_with("REDIS_BIND")
    assert composed(rack, env) == {"services": {"redis": {"ports": ["10.0.0.5:6379:6379"]}}}
    assert env["COMPOSE_FILE"].split(":") == ["docker-compose.yml", RACK]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documented_compose_commands_name_services_that_there_are(document: Path) -> None:
    known = services()
    for verb, rest in COMMAND.findall(document.read_text(encoding="utf-8")):
        words = shlex.split(rest.rstrip("\\"), comments=True)
        scaled = [words[at + 1].partition("=")[0] for at, word in enumerate(words) if word == "--scale"]
        named = [word for word in words if word in known]
        assert set(scaled) <= set(known), rest
        if verb != "up":
            assert named, rest
        if verb == "up" and "--no-deps" in words:
            assert named == [word for word in words if not word.startswith("-") and "=" not in word], rest


def test_profiles_in_the_documents_exist() -> None:
    there = {profile for service in services().values() for profile in service.get("profiles", [])}
    named = [
        profile
        for document in DOCUMENTS
        for listed in re.findall(r"COMPOSE_PROFILES=([\w,-]+)", document.read_text(encoding="utf-8"))
        for profile in listed.split(",")
    ]
    assert len(named) > 5
    assert set(named) <= there


@pytest.mark.parametrize("name", ["report.md", "project-managers.md", "data-teams.md"])
def test_what_a_documented_command_writes_lands_in_a_mounted_folder(name: str) -> None:
    found = MOUNTED.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))
    assert found
    for host, inside, service, out in found:
        assert host == inside == out
        image = (ROOT / services()[service]["build"]["dockerfile"]).read_text(encoding="utf-8")
        assert "WORKDIR /data\n" in image
