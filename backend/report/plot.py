"""The report's pictures: matplotlib's SVG, in the page's own colours so that they follow light and dark."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

from backend.report.exposure import Exposure
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backend.report.figures import Group, Parts, People, Version
    from backend.report.measure import Share

# Colours that stand for the page's own: matplotlib knows no CSS variables, so they are put in afterwards.
INK, LINE = "#01f0a1", "#01f0a2"
COLOURS = {Exposure.SHOWN: "#01f0a3", Exposure.BLIND: "#01f0a4", Exposure.UNLINKED: "#01f0a5"}
MODEL = "#01f0a6"
VARIABLES = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    COLOURS[Exposure.SHOWN]: "var(--shown)",
    COLOURS[Exposure.BLIND]: "var(--blind)",
    COLOURS[Exposure.UNLINKED]: "var(--unlinked)",
    MODEL: "var(--model)",
}
MARKERS = {Exposure.SHOWN: "o", Exposure.BLIND: "s", Exposure.UNLINKED: "^"}
STYLE: dict[Any, Any] = {  # matplotlib's stubs know each key by name
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
LABELS = ("Tie", "Video 1", "Video 2")
TOP = (-0.03, 1.05)  # room for the markers of 0 and 1
WIDTH = 11.4  # inches: 821 CSS pixels at matplotlib's 72 points
ID = re.compile(r'(\bid="|url\(#|xlink:href="#|(?<!:)href="#)')
UNWANTED = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)


def agreement(groups: Sequence[Group], prefix: str) -> str:
    """Accuracy with and without ties per dimension, with intervals, exposures side by side."""
    with _styled():
        figure, axes = _row(2, 2.6)
        for axis, title, name in zip(
            axes, ("With ties, by label", "Without ties, by label"), ("with_ties", "without_ties"), strict=True
        ):
            shares = {group.exposure: {d: getattr(a, name) for d, a in group.dimensions.items()} for group in groups}
            _whiskers(axis, [(shares[e], COLOURS[e], MARKERS[e]) for e in shares])
            axis.set_title(title)
        return _svg(figure, f"{prefix}-agreement", "Accuracy per dimension with 95 % intervals, by exposure")


def position(version: Version, people: Sequence[People], prefix: str) -> str:
    """The share of Video 1 among winners, of the model and of people."""
    with _styled():
        figure, axes = _row(1, 2.6)
        shown = [(one.position, COLOURS[one.exposure], MARKERS[one.exposure]) for one in people]
        _whiskers(axes[0], [(version.position, MODEL, "D"), *shown])
        axes[0].axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        return _svg(figure, f"{prefix}-position", "Share of Video 1 among winners with 95 % intervals")


def confusions(group: Group, prefix: str) -> str:
    """The 3 x 3 counts of each dimension; the shade is the share of the model's label, its row."""
    with _styled():
        figure, axes = _row(len(Dimension), 2.7)
        for axis, (dimension, found) in zip(axes, group.dimensions.items(), strict=True):
            _heat(axis, found.confusion, COLOURS[group.exposure])
            axis.set_title(dimension.value)
        axes[0].set_ylabel("model says")
        for axis in axes:
            axis.set_xlabel("person says")
        return _svg(
            figure, f"{prefix}-confusion-{group.exposure}", f"Confusion matrices per dimension, {group.exposure}"
        )


def _heat(axis: Axes, confusion: Sequence[Sequence[int]], colour: str) -> None:
    from matplotlib.patches import Rectangle

    for model, cells in enumerate(confusion):
        for human, count in enumerate(cells):
            depth = count / sum(cells) if sum(cells) else 0.0
            cell = Rectangle((human - 0.5, model - 0.5), 1, 1, facecolor=colour, alpha=0.6 * depth, edgecolor="none")
            axis.add_patch(cell)
            axis.text(human, model, f"{count:,}", ha="center", va="center")
    axis.set(xlim=(-0.5, 2.5), ylim=(2.5, -0.5), xticks=range(3), yticks=range(3), aspect="equal")
    axis.set_xticklabels(LABELS, fontsize=8)
    axis.set_yticklabels(LABELS, fontsize=8)
    axis.grid(False)


def calibration(groups: Sequence[Group], prefix: str) -> str:
    """Reliability curves: how often people agree at each confidence, beside the diagonal of perfect calibration."""
    with _styled():
        figure, axes = _row(len(Dimension), 2.7)
        for axis, dimension in zip(axes, Dimension, strict=True):
            axis.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=":")
            for group in groups:
                bins = group.dimensions[dimension].calibration.bins
                x = [one.confidence for one in bins]
                _errors(axis, x, [one.agreed for one in bins], COLOURS[group.exposure], MARKERS[group.exposure], "-")
            axis.set(xlim=TOP, ylim=TOP, title=dimension.value, xlabel="confidence")
        axes[0].set_ylabel("people agree")
        return _svg(figure, f"{prefix}-calibration", "Reliability curves per dimension")


def over_time(parts: Parts, prefix: str) -> str:
    """Agreement with ties by period, one panel for each dimension."""
    with _styled():
        figure, axes = _row(len(Dimension), 2.5)
        names = list(dict.fromkeys(part.name for part in parts.rows))
        for axis, dimension in zip(axes, Dimension, strict=True):
            for exposure in Exposure:
                mine = [part for part in parts.rows if part.exposure is exposure and part.dimensions[dimension].of]
                x = [float(names.index(part.name)) for part in mine]
                shares = [part.dimensions[dimension] for part in mine]
                _errors(axis, x, shares, COLOURS[exposure], MARKERS[exposure], "-")
            axis.set(ylim=TOP, xlim=(-0.5, len(names) - 0.5), title=dimension.value, xticks=[])
            axis.set_xlabel(f"{names[0]} to {names[-1]}", fontsize=8)
        axes[0].set_ylabel("agreement")
        return _svg(figure, f"{prefix}-time", "Agreement over time per dimension")


def _whiskers(axis: Axes, series: Sequence[tuple[Mapping[Dimension, Share], str, str]]) -> None:
    """One dot with its interval for each dimension and series."""
    for place, (shares, colour, marker) in enumerate(series):
        known = [(n, shares[d]) for n, d in enumerate(Dimension) if shares[d].of]
        x = [n + 0.22 * (place - (len(series) - 1) / 2) for n, _ in known]
        _errors(axis, x, [one for _, one in known], colour, marker, "none")
    axis.set(ylim=TOP, xlim=(-0.6, len(Dimension) - 0.4), xticks=range(len(Dimension)))
    axis.set_xticklabels([dimension.value for dimension in Dimension])


def _errors(axis: Axes, x: Sequence[float], shares: Sequence[Share], colour: str, marker: str, line: str) -> None:
    known = [(at, one.value, one.low, one.high) for at, one in zip(x, shares, strict=True) if one.value is not None]
    if not known:
        return
    places, values, lows, highs = zip(*known, strict=True)
    below = [max(0.0, value - low) for value, low in zip(values, lows, strict=True)]
    above = [max(0.0, high - value) for value, high in zip(values, highs, strict=True)]
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line, "linewidth": 1.2, "markersize": 4.5}
    axis.errorbar(places, values, yerr=(below, above), elinewidth=0.9, **style)


def _row(panels: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _styled() -> Any:  # noqa: ANN401  # matplotlib's own context manager
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _svg(figure: Figure, name: str, description: str) -> str:
    """The figure as one <svg> element for inlining: no prologue, ids of its own, colours by CSS variable."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = UNWANTED.sub("", file.getvalue())
    text = ID.sub(rf"\g<1>{name}-", text[text.index("<svg") :])
    for placeholder, variable in VARIABLES.items():
        text = text.replace(placeholder, variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
