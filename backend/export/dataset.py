"""A dataset folder from the ledger: what `vrthinker export` does, for anybody to call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from PIL import Image

from backend.errors import NothingToExportError, SettingsError
from backend.export.card import dataset_card
from backend.export.conversation import TraceSource, Unfit, contract_for, example_of, source_of
from backend.export.folder import MANIFEST, drafting
from backend.export.formats import Unaligned, images_of, video_align
from backend.export.manifest import NO_PICTURES, Manifest, Tallies
from backend.export.pictures import Pictures, Shown
from backend.export.reading import LeftOut, read_records
from backend.export.record import pseudonym
from backend.export.row import row_of
from backend.export.selection import Selection
from backend.export.writing import RECORDS, VIDEO_ALIGN, Case, add_line, chosen_formats
from backend.label_studio.layout import parse_layout
from backend.types import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from backend.export.conversation import Example
    from backend.export.folder import Draft
    from backend.export.pictures import OpenPair
    from backend.export.record import Record
    from backend.export.writing import Format
    from backend.jobs.judging import Fetcher
    from backend.ledger import Answered, Ledger, Project
    from backend.reasoning.contract import Contract
    from backend.types import InspectedFrame

README = "README.md"
TELL_EVERY = 100  # annotations


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export and how.

    No `formats` means all that are possible. `since_last` takes only what no earlier export holds, or what was changed
    since. `names` are people's names by Label Studio's user id, where they are wanted in the dataset instead of
    pseudonyms.
    """

    project: int
    out: Path
    selection: Selection = field(default_factory=Selection)
    since_last: bool = False
    formats: tuple[str, ...] = ()
    frames: bool = False
    names: Mapping[int, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Videos:
    """Where pictures come from: what fetches videos, and what opens them."""

    fetcher: Fetcher
    open_pair: OpenPair


def export_dataset(
    ledger: Ledger,
    options: ExportOptions,
    videos: Videos | None = None,
    observe: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Write the dataset to `options.out`, whole or not at all; `videos` are needed for `options.frames`.

    The same ledger and options give the same bytes. `observe` is told how many of how many annotations were looked at.

    Raises:
        SettingsError: a format is unknown or needs the pictures, or the project is unknown.
        ValueError: pictures are wanted without `videos`.
        NothingToExportError: no answer is left to be exported.
        ExportError: the folder cannot be written.
        LabelConfigError: the project's labeling config is not for pairwise judging.
        LabelStudioError: the token is not accepted while videos are fetched.
        LedgerError: the ledger cannot be used.
    """
    if options.frames and videos is None:
        raise ValueError("pictures are wanted, but there is nothing to fetch videos with")
    chosen = chosen_formats(options.formats, frames=options.frames)
    project = ledger.project(options.project)
    if project is None:
        known = ", ".join(str(one.id) for one in ledger.projects()) or "none"
        raise SettingsError(
            f"The ledger does not know project {options.project}; it knows: {known}. "
            f"Run vrthinker sync {options.project}."
        )
    with drafting(options.out) as draft:
        export = _Export(ledger, options, project, draft, chosen, videos)
        export.write(observe)
        manifest = export.finished()
    ledger.mark_exported(project.id, export.answers)
    return manifest


class _Export:
    """One export on its way: the records go by, one after the other."""

    def __init__(
        self,
        ledger: Ledger,
        options: ExportOptions,
        project: Project,
        draft: Draft,
        chosen: tuple[Format, ...],
        videos: Videos | None,
    ) -> None:
        self._ledger, self._options, self._project = ledger, options, project
        self._draft, self._formats = draft, chosen
        self._name_of = _naming(ledger, options)
        self._selection = _selecting(ledger, options, self._name_of)
        self._pictures = Pictures(draft, videos.fetcher, videos.open_pair) if options.frames and videos else None
        self._tallies = Tallies()
        self.answers: list[tuple[int, str, datetime]] = []

    def write(self, observe: Callable[[int, int], None]) -> None:
        """Every record into every file."""
        layout = parse_layout(self._project.label_config)
        answered = self._answered(observe)
        for record in read_records(answered, layout, self._name_of, self._tallies.left_out):
            if self._selection.takes(record):
                self._add(record)
            else:
                self._tallies.left_out[LeftOut.NOT_SELECTED] += 1
        if not self._tallies.records:
            raise NothingToExportError(_nothing(self._tallies))

    def finished(self) -> Manifest:
        """Card and manifest, when all else is written."""
        for made in self._formats:
            made.finish(self._draft)
        self._draft.close()
        for made in self._formats:
            made.convert(self._draft)
        manifest = Manifest(
            program=version("vrthinker"),
            project=self._project.id,
            title=self._project.title,
            options=_told(self._options, self._selection, self._formats),
            model_versions=tuple(sorted(self._tallies.model_versions)),
            counts=self._tallies.as_json(),
            files=self._draft.files,
        )
        self._draft.put(README, dataset_card(manifest, self._formats).encode("utf-8", "replace"))
        content = json.dumps(manifest.as_json(), ensure_ascii=False, indent=1)
        with (self._draft.folder / MANIFEST).open("xb") as file:
            file.write(content.encode("utf-8", "replace") + b"\n")
        return manifest

    def _answered(self, observe: Callable[[int, int], None]) -> Iterator[Answered]:
        total = self._ledger.annotation_count(self._project.id)
        answered = self._ledger.answered(self._project.id, self._selection.model_version)
        for done, one in enumerate(answered):
            if done % TELL_EVERY == 0:
                observe(done, total)
            yield one
        observe(total, total)

    def _add(self, record: Record) -> None:
        contract = contract_for(record.judgement)
        shown = self._pictures.shown(record, contract) if self._pictures and contract else Shown()
        if shown.problem:
            record = replace(record, problems=(*record.problems, shown.problem))
        if shown.clips:
            record = replace(record, judgement=replace(record.judgement, clips=shown.clips))
        source, example = self._example(record, contract)
        self._tallies.count(record)
        self._count_example(record, source, shown)
        aligned = self._aligned(record, shown)
        told = source if isinstance(source, TraceSource) else None
        add_line(self._draft, RECORDS, row_of(record, trace_source=told, files=shown.files))
        self._write_example(record, example if shown.files else None, shown, aligned)
        if not self._lacks_pictures(source, shown) and aligned is not Unaligned.NO_PICTURES:  # they may be there again
            self.answers.append((record.annotation, record.model_version, record.updated_at))

    def _example(self, record: Record, contract: Contract | None) -> tuple[TraceSource | Unfit, Example | None]:
        """Whose reasons an example of this record has, and where pictures are written the example itself.

        Replaying a conversation takes longer than all the rest, and only rows with pictures need it.
        """
        if self._pictures is None:
            return source_of(record, contract), None
        made = example_of(record, contract, _blank)
        return (made, None) if isinstance(made, Unfit) else (made.trace_source, made)

    def _count_example(self, record: Record, source: TraceSource | Unfit, shown: Shown) -> None:
        if isinstance(source, Unfit):
            self._tallies.no_example(source)
        elif self._lacks_pictures(source, shown):
            self._tallies.no_example(NO_PICTURES)
        else:
            self._tallies.example(source, pair=source is TraceSource.PERSON or record.human != record.model)

    def _lacks_pictures(self, source: TraceSource | Unfit, shown: Shown) -> bool:
        """Whether it would be an example, had its pictures been there."""
        return self._pictures is not None and not isinstance(source, Unfit) and not shown.files

    def _aligned(self, record: Record, shown: Shown) -> list[str] | Unaligned:
        row = video_align(record, lost=bool(shown.problem))
        if isinstance(row, Unaligned) and any(made.name == VIDEO_ALIGN for made in self._formats):
            self._tallies.unaligned[row] += 1
        return row

    def _write_example(
        self, record: Record, example: Example | None, shown: Shown, aligned: list[str] | Unaligned
    ) -> None:
        case = Case(record, example, images_of(example, shown.files) if example else [], aligned)
        for made in self._formats:
            made.write(self._draft, case)


def _blank(seen: InspectedFrame) -> Frame:
    """A place for the picture: rows name its file."""
    return Frame(seen.ref, seen.index, seen.wanted, seen.seconds, BLANK)


BLANK = Image.new("RGB", (1, 1))


def _naming(ledger: Ledger, options: ExportOptions) -> Callable[[int | None], str]:
    """What annotators are called in this dataset, by their id in Label Studio."""
    if (names := options.names) is not None:
        return lambda user: "unknown" if user is None else names.get(user, f"user {user}")
    salt = ledger.pseudonym_salt(options.project)
    return lambda user: pseudonym(user, options.project, salt)


def _selecting(ledger: Ledger, options: ExportOptions, name_of: Callable[[int | None], str]) -> Selection:
    """The selection with annotators as this dataset names them, and with what is exported already."""
    selection = options.selection
    named = tuple(name_of(int(given)) if given.isdecimal() else given for given in selection.annotators)
    exported = ledger.exported(options.project) if options.since_last else {}
    return replace(selection, annotators=named, exported=exported)


def _told(options: ExportOptions, selection: Selection, chosen: tuple[Format, ...]) -> dict[str, Any]:
    """The options as the manifest tells them; without the folder, which says nothing about the content."""
    return {
        "only": selection.only,
        "dimensions": [dimension.value for dimension in selection.dimensions],
        "annotators": list(selection.annotators),
        "since": "last" if options.since_last else selection.since and selection.since.isoformat(),
        "model_version": selection.model_version,
        "min_confidence": selection.min_confidence,
        "formats": [made.name for made in chosen],
        "frames": options.frames,
        "names": options.names is not None,
    }


def _nothing(tallies: Tallies) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(tallies.left_out.items()))
    return (
        f"There is nothing to export. Annotations left out: {counts or 'none, the ledger holds none'}. "
        "Widen the selection, or fetch annotations with vrthinker sync."
    )
