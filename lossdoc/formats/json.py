"""One strict JSON document, for scripts."""

from __future__ import annotations

import json

from lossdoc.format import Document, Format, Screen, plain


def render(document: Document, screen: Screen) -> str:
    """Return the document as indented JSON; NaN and infinity are null."""
    return json.dumps(plain(document), indent=1, allow_nan=False, ensure_ascii=not screen.unicode) + "\n"


JSON = Format(render)
