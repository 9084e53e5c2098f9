"""What the address of a video tells before anything is imported. The whole way is tested in `cli/test_import`."""

from __future__ import annotations

from backend.label_studio.importing import below_document_root


def test_an_address_of_local_files_is_a_path_and_any_other_is_not_one() -> None:
    assert below_document_root("/data/local-files/?d=clips/a%20b.mp4") == "clips/a b.mp4"
    for other in ("http://h/data/local-files", "s3://bucket/a.mp4", "http://[h/a.mp4", "https://ex\u2100mple.com/"):
        assert below_document_root(other) is None
