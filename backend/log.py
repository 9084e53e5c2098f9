"""How this package logs: one line per job in `key=value` form; never headers, tokens or bodies.

A video's address may be presigned and a prompt is the customer's, so neither is ever logged: ids say enough.
"""

from __future__ import annotations

import logging
import time

# They log addresses and bodies. RQ's loggers are named one by one, because RQ sets a level of its own on import.
CHATTY = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "redis",
    "rq.job",
    "rq.queue",
    "rq.registry",
    "rq.worker",
    "sqlalchemy",
    "urllib3",
)
LONGEST = 300  # characters of one value
SEPARATORS = set(' ="')
OF_A_TRACEBACK = "\n\t"


class PlainFormatter(logging.Formatter):
    """Formats what a terminal may be shown, also where a traceback quotes what somebody else wrote."""

    def format(self, record: logging.LogRecord) -> str:
        """The record without control characters, but for those that shape a traceback."""
        return plain(super().format(record), keep=OF_A_TRACEBACK)


def configure_logging(level: str) -> None:
    """Log to standard error from `level` on, times in UTC; libraries are heard from WARNING on."""
    handler = logging.StreamHandler()
    formatter = PlainFormatter("%(asctime)sZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def line(event: str, **fields: object) -> str:
    """`event key=value ...` on one line; None is left out, floats are rounded, texts with blanks are quoted."""
    return " ".join([event, *(f"{name}={_value(value)}" for name, value in fields.items() if value is not None)])


def plain(text: str, keep: str = "") -> str:
    r"""The text with `\x1b` and the like for each character that cannot be seen, so that a terminal obeys none.

    Those are control characters, separators of lines, marks that turn the direction of writing, and half characters;
    the characters in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = plain(" ".join(str(value).split()))
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    if text and not SEPARATORS & set(text):
        return text
    escaped = text.replace('"', "'")
    return f'"{escaped}"'
