"""The text of a log as lines: encodings, line ends, redrawn progress bars and terminal escapes taken care of."""

from __future__ import annotations

import re

from lossdoc.reader import HEAD

BINARY = bytes(code for code in range(32) if code not in (7, 8, 9, 10, 12, 13, 27))  # what no text holds
ESCAPES = r"\x1b\][^\x07\n]{0,400}(?:\x07|\x1b\\)|\x1b\[[0-9;?]{0,40}[A-Za-z]|[\x07\x1b\x0c]"
REDRAWN = r"\x08+"  # a bar that steps back over itself
REPEATED = r"(?<=\])(?=[^\n\]]{0,60}\d{1,3}%\|)"  # a bar right behind another: "...step=274]Training:   5%|"


def utf8(data: bytes) -> bytes | None:
    """Return the bytes as UTF-8 with bare LF line ends, None where they are no text."""
    head = data[:HEAD]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data[: len(data) // 2 * 2].decode("utf-16", errors="replace").encode()
    elif b"\0" in head and not head[1::2].strip(b"\0"):  # UTF-16 without its mark: every second byte of ASCII is 0
        data = data[: len(data) // 2 * 2].decode("utf-16-le", errors="replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    head = data[:HEAD]
    if len(head.translate(None, BINARY)) != len(head):
        return None
    if b"\r" in data:  # CR CR LF comes from a Windows text file written in text mode; a lone CR is an old line end
        data = data.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def lines(data: bytes) -> list[str]:
    """Return the lines of a text without escapes, every redraw of a progress bar a line of its own; none of binary data."""
    found = utf8(data)
    if found is None:
        return []
    text = found.decode("utf-8", errors="replace")
    if "\x08" in text:
        text = re.sub(REDRAWN, "\n", text)
    if "%|" in text:
        text = re.sub(REPEATED, "\n", text)
    return re.sub(ESCAPES, "", text).split("\n")


def whole(head: bytes) -> list[str]:
    """Return the whole lines of a file's first bytes; the last one is left out where the file goes on."""
    found = lines(head)
    return found[:-1] if len(head) >= HEAD and len(found) > 1 else found
