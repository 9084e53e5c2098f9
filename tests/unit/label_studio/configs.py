"""Labeling configs for tests: ours as shipped, and small ones in other people's words."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parents[3] / "label_config"
FULL, BLIND, MINIMAL = (
    (SHIPPED / name).read_text(encoding="utf-8")
    for name in ("pairwise_video.xml", "pairwise_video_blind.xml", "pairwise_video_minimal.xml")
)
DIMENSION_NAMES = ("ta", "mq", "vq", "oa")


def choices(name: str, *values: str, attributes: str = "") -> str:
    """One <Choices> control; Video 1, Tie, Video 2 unless told otherwise."""
    inner = "".join(f'<Choice value="{value}"/>' for value in values or ("Video 1", "Tie", "Video 2"))
    return f'<Choices name="{name}" toName="left" {attributes}>{inner}</Choices>'


def config(
    *controls: str,
    videos: str = '<Video name="left" value="$clip_a"/><Video name="right" value="$clip_b"/>',
    prompt: str = '<Text name="words" value="$caption"/>',
    names: tuple[str, ...] = DIMENSION_NAMES,
) -> str:
    """A config with choices for each of `names` and whatever `controls` add."""
    return f"<View>{prompt}{videos}{''.join(map(choices, names))}{''.join(controls)}</View>"
