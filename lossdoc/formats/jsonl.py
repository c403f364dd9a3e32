"""One JSON report a line, for logs and streams."""

from __future__ import annotations

import json

from lossdoc.format import Document, Format, Screen, plain


def render(document: Document, screen: Screen) -> str:
    """Return one line a report, each with the document's schema and command; one line of errors where there are some."""
    whole = plain(document)
    head = {name: whole[name] for name in ("schema", "lossdoc", "command")}
    rows = [{**head, **report} for report in whole["reports"]]
    if document.errors:
        rows.append({**head, "errors": whole["errors"]})
    return "".join(json.dumps(row, allow_nan=False, ensure_ascii=not screen.unicode) + "\n" for row in rows)


JSONL = Format(render)
