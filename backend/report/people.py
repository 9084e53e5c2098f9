"""People's answers on their own: how far people agree with each other, and which place they prefer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backend.report.exposure import Exposure
from backend.report.figures import Alpha, People
from backend.report.measure import alpha, share
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from backend.report.gather import Answers
    from backend.report.measure import Counts, Labels, Share


def people(answers: Answers) -> list[People]:
    """One entry for each exposure that occurs: who saw a judgement agrees with it, and so with others who saw it."""
    exposures, asked = np.array(answers.exposure, np.int8), _asked(answers)
    found = []
    for number, exposure in enumerate(Exposure):
        mine = exposures == number
        if not mine.any():
            continue
        labels = {d: np.array(answers.human[d], np.int8)[mine] for d in Dimension}
        found.append(
            People(
                exposure,
                int(mine.sum()),
                {d: _alpha(asked[mine], labels[d]) for d in Dimension},
                {d: _position(labels[d]) for d in Dimension},
            )
        )
    return found


def _asked(answers: Answers) -> Labels:
    """A number for what each answer is to: its task with the videos and the prompt that it had."""
    tasks, data = np.array(answers.task, np.int64), np.array(answers.data, np.int64)
    asked: Labels = tasks * (data.max(initial=0) + 1) + data
    return asked


def _alpha(asked: Labels, labels: Labels) -> Alpha:
    given = labels >= 0
    values = _by_question(asked[given], labels[given])
    several = values[values.sum(1) > 1]
    return Alpha(len(several), int(several.sum()), alpha(several))


def _by_question(asked: Labels, labels: Labels) -> Counts:
    """How often each thing that was asked (row) was given each label (column)."""
    names, rows = np.unique(asked, return_inverse=True)
    return np.bincount(rows * 3 + labels, minlength=len(names) * 3).reshape(-1, 3)


def _position(labels: Labels) -> Share:
    first = int((labels == Preference.VIDEO_1).sum())
    return share(first, first + int((labels == Preference.VIDEO_2).sum()))
