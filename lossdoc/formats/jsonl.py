"""One JSON report a line, for logs and streams."""

from __future__ import annotations

import json

from lossdoc.format import Document, Format, Screen, plain


def render(document: Document, screen: Screen) -> str:
    """Return one line a report, each with the document's schema and command; a line of errors, one of warnings if any."""
    whole = plain(document)
    head = {name: whole[name] for name in ("schema", "lossdoc", "command")}
    rows = [{**head, **report} for report in whole["reports"]]
    rows += [{**head, name: whole[name]} for name in ("errors", "warnings") if name in whole]
    return "".join(json.dumps(row, allow_nan=False, ensure_ascii=not screen.unicode) + "\n" for row in rows)


JSONL = Format(render)
