"""Which GPU a worker in this process runs the model on, and how full it is: for people and for `vrthinker doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.settings import Settings


def device_of(settings: Settings) -> str:
    """Where the model runs: the server's address, `cpu`, or the GPU with its name."""
    if settings.engine == "openai":
        return settings.openai_base_url
    place = _cuda(settings)
    if place is None:
        return "cpu" if settings.device == "auto" else settings.device
    import torch

    return f"{place} {torch.cuda.get_device_name(place)}"


def memory_of(settings: Settings) -> Mapping[str, str]:
    """Free and total bytes of the GPU; nothing where there is none here.

    To be asked between two jobs: in the middle of one, the driver may let the caller wait.
    """
    place = None if settings.engine == "openai" else _cuda(settings)
    if place is None:
        return {}
    import torch

    free, total = torch.cuda.mem_get_info(place)
    return {"memory_free": str(free), "memory_total": str(total)}


def _cuda(settings: Settings) -> str | None:
    """The first GPU that the model is loaded on, None for any other device."""
    if settings.device.startswith("cuda"):
        return settings.device if ":" in settings.device else "cuda:0"
    import torch

    return "cuda:0" if settings.device == "auto" and torch.cuda.is_available() else None
