"""What is written where only some letters can be: each sign that lossdoc writes has words of ASCII that mean the same."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import TextIO

from lossdoc.errors import harmless

ASCII = str.maketrans(
    dict.fromkeys("–−‐‑—", "-")
    | dict.fromkeys("‘’‚′", "'")
    | dict.fromkeys("“”„″«»", '"')
    | dict.fromkeys("•·⋅∗", "*")
    | dict.fromkeys("│┃", "|")
    | dict.fromkeys("┤├┼└┘┌┐┴┬", "+")
    | dict.fromkeys("─━═", "-")
    | dict.fromkeys("█▓▒░", "#")
    | {"±": "+-", "∓": "-+", "×": "x", "÷": "/", "…": "...", "→": "->", "←": "<-", "↔": "<->", "⇒": "=>", "↑": "^", "↓": "v"}
    | {"≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∝": "~", "≪": "<<", "≫": ">>", "∈": "in", "∞": "inf", "√": "sqrt "}
    | {"°": " deg", "µ": "u", "‰": " per mille", "‖": "||", "∑": "sum ", "∂": "d", "⌊": "floor(", "⌋": ")"}
    | {"α": "alpha", "β": "beta", "γ": "gamma", "ε": "eps", "θ": "theta", "λ": "lambda", "μ": "mu", "π": "pi", "ρ": "rho"}
    | {"σ": "sigma", "τ": "tau", "Δ": "d", "Σ": "sum ", "✓": "ok", "✔": "ok", "✗": "x", "✘": "x", "○": "o", "●": "o"}
)
HANDLER = "lossdoc.ascii"  # of what an encoding does not hold, as codecs call it
LONGEST = 120  # letters of a name within a sentence
LONG = re.compile(rf"\S{{{LONGEST + 1},}}")
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᴸ]+")


def in_ascii(text: str) -> str:
    """Return the text in ASCII alone: `+-` for a plus-minus sign, `x^2` for a square, letters without their accents.

    Letters for which there is nothing, such as Chinese ones, become `?`.
    """
    if text.isascii():
        return text
    text = RAISED.sub(lambda run: "^" + unicodedata.normalize("NFKC", run[0]).replace("−", "-"), text)
    return "".join(each if each.isascii() else _plain(each) for each in text.translate(ASCII))


def clip(text: str, longest: int) -> str:
    """Return a text without its middle where it is too long: names differ at their ends."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]} … {text[-(longest // 3) :]}"


def ending(name: str, longest: int, cut: str = "…") -> str:
    """Return a name without its beginning where it is too long: of runs and layers the end tells more."""
    return name if len(name) <= longest else cut + name[len(cut) - longest :]


def brief(text: str) -> str:
    """Return a sentence without the middles of names that would fill a screen."""
    return LONG.sub(lambda name: clip(name[0], LONGEST), text)


def printable(text: str, stream: TextIO, *, colors: bool = False) -> str:
    """Return the text as the stream's encoding can hold it, and with nothing that commands a terminal but `colors`."""
    encoding = stream.encoding or "ascii"
    return harmless(text, colors=colors).encode(encoding, HANDLER).decode(encoding)


def _plain(letter: str) -> str:
    plain = "".join(each for each in unicodedata.normalize("NFKD", letter) if each.isascii())
    return plain or ("" if unicodedata.combining(letter) else "?")


def _replaced(bad: UnicodeError) -> tuple[str, int]:
    """Return what stands for letters that an encoding does not hold, and where it goes on, as codecs ask."""
    assert isinstance(bad, UnicodeEncodeError)  # noqa: S101 - only `printable` names this handler
    return in_ascii(bad.object[bad.start : bad.end]), bad.end


codecs.register_error(HANDLER, _replaced)
