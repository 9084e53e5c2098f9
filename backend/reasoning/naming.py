"""How replies name the dimensions, and which of them one sentence is about."""

from __future__ import annotations

import re

from backend.types import Dimension

# The contract's names, and what checkpoints write instead of them.
NAMES = {
    Dimension.TA: r"text(?:ual)?[ -](?:(?:to[ -])?video[ -])?alignment|prompt[ -](?:alignment|adherence|fidelity)"
    r"|(?:align|adher|faithful|fidelity|match|follow)\w*(?: \w+){0,3} (?:prompt|caption)",
    Dimension.MQ: r"(?:motion|movement)[ -](?:quality|smoothness|coherence)|temporal (?:consistency|coherence)",
    Dimension.VQ: r"(?:visual|image|(?<!overall )video)[ -]quality",
    Dimension.OA: r"overall (?:assessment|judge?ment|preference|verdict|winner|evaluation|comparison|impression"
    r"|(?:video )?quality|performance)|(?:better|stronger|superior|preferred|preferable|wins?|winner) overall",
}
MENTIONS = {dimension: re.compile(rf"\b{dimension}\b|\b(?i:{name})\b") for dimension, name in NAMES.items()}
OVERALL_FIRST = re.compile(r"\W*overall\b(?! \w+ quality)", re.IGNORECASE)
ASSIGNMENT = re.compile(rf"\b(?:{'|'.join(Dimension)})\s*=")
# A sentence ends where a new one can begin, which "vs. Video 2" and "e.g. blur" do not.
BOUNDARY = re.compile(r"(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)[.!?;][\"')\]*_]*+\s++(?![a-z])")


def dimensions_of(sentence: str) -> frozenset[Dimension]:
    """The dimensions that one sentence explains.

    At most two: who names more announces or sums up, which explains nothing but OA. "Overall" is also a plain word: it
    stands for OA in a name such as "overall assessment", or where it opens a sentence that is about nothing else.
    """
    if is_answer(sentence):
        return frozenset()
    found = frozenset(dimension for dimension, mention in MENTIONS.items() if mention.search(sentence))
    others = found - {Dimension.OA}
    if len(others) >= 2:
        summing_up = Dimension.OA in found or OVERALL_FIRST.match(sentence)
        return frozenset({Dimension.OA}) if summing_up else others if len(others) == 2 else frozenset()
    if not found and OVERALL_FIRST.match(sentence):
        return frozenset({Dimension.OA})
    return found


def is_answer(sentence: str) -> bool:
    """Whether a sentence gives labels for several dimensions: an answer, not a reason."""
    return len(ASSIGNMENT.findall(sentence)) > 1


def sentences(line: str, start: int = 0) -> list[tuple[int, int]]:
    """Where the sentences of one line from `start` begin and end."""
    ends = [boundary.end() for boundary in BOUNDARY.finditer(line, start)]
    return list(zip([start, *ends], [*ends, len(line)], strict=True))
