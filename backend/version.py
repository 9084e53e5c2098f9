"""The model version: one name for everything that could change a judgement.

Label Studio groups predictions by it, the ledger is keyed by it, and a worker refuses orders of another one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import SettingsError
from backend.reasoning.contract import Contract, contract_named

if TYPE_CHECKING:
    from backend.settings import Settings

# Of each file this many blocks of this many bytes, evenly spread: fine-tuning may leave the first tensors untouched.
BLOCKS = 256
BLOCK_BYTES = 1 << 14
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
MODEL_FILES = ("*.json", "*.jinja", "*.txt", "*.safetensors", "*.bin")


def contract_of(settings: Settings) -> Contract:
    """The contract that these settings select, with their memory window.

    Raises:
        SettingsError: no contract has that name.
    """
    contract = contract_named(settings.contract)
    window = settings.memory_window
    if window is None:
        return contract
    return replace(contract, memory_window=None if window == "off" else window)


def model_version(settings: Settings) -> str:
    """`<model>-<weights>.<contract>.<engine>`, and a digest of all that changes answers and is not a file's content.

    Readable first, because people see it in Label Studio; letters, digits, `.`, `_` and `-` only.

    Raises:
        SettingsError: no contract has that name, or MODEL is nothing that weights can be told by.
    """
    contract = contract_of(settings)
    options = (
        contract.digest,
        settings.force_answer,
        settings.quantization if settings.engine == "transformers" else None,
        settings.swap_check,
        settings.swap_threshold if settings.swap_check == "uncertain" else None,
        # In full: the readable part shows neither whose model it is nor the end of a long tag.
        None if Path(settings.model).is_dir() else settings.model,
        settings.model_revision,
    )
    digest = hashlib.sha256(repr(options).encode()).hexdigest()[:6]
    name = Path(settings.model).resolve().name
    readable = f"{name}-{_weights(settings)}.{contract.name}v{contract.version}.{settings.engine}.{digest}"
    return re.sub(r"[^A-Za-z0-9._-]", "-", readable)


def _weights(settings: Settings) -> str:
    """The revision given, else a digest of the folder's files: their names, sizes and samples of their bytes.

    Raises:
        SettingsError: there is nothing to tell the weights by.
    """
    if settings.model_revision:
        return settings.model_revision[:12]
    folder = Path(settings.model)
    if not folder.is_dir():
        if settings.engine == "transformers" and not HUB_ID.fullmatch(settings.model):
            raise SettingsError(
                f"MODEL is {settings.model!r}, neither a folder here nor a hub id such as qunwang13/vrthinker. Every "
                "process needs the folder, at the same path or not, or MODEL_REVISION to tell its weights from others."
            )
        return "main"
    digest = hashlib.sha256()
    for path in sorted(path for pattern in MODEL_FILES for path in folder.glob(pattern)):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(BLOCK_BYTES, size // BLOCKS)):
                file.seek(start)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()[:8]
