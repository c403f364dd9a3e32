"""The pages of `lossdoc explain`: of one rule, or the list of all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from lossdoc.chart import draw, told
from lossdoc.curve import Curve
from lossdoc.errors import UserError, did_you_mean
from lossdoc.format import Screen
from lossdoc.rule import FOLDERS, HEADINGS, Rule, checks, group_of

WIDEST = 78
USUAL = Screen(WIDEST)
TITLES = dict(
    zip(("Patterns of loss curves", "Comparisons of two runs", "Checks on a model"), FOLDERS.values(), strict=True)
)


def page(name: str, screen: Screen = USUAL) -> str:
    """Return the page of a pattern or a check, by name or code; of both, where a cause has one name on curve and model.

    A page is the rule's docstring under its headings, its thresholds, and an example's picture. Words of model.yaml have
    pages as well: what they mean, and their keys.

    Raises:
        UserError: when nothing has that name.
    """
    screen = replace(screen, width=min(screen.width, WIDEST))
    found = [_page(rule, screen) for rule in _find(name)]
    if not found or "-" not in name:  # no word has a hyphen; a schedule is called like a pattern
        found += _word(name, screen.width, there=bool(found))
    return "\n".join(found)


def _page(rule: Rule[Any], screen: Screen) -> str:
    parts = [f"{rule.name} ({rule.code}, {rule.severity.value})", "", *textwrap.wrap(rule.page.summary, screen.width), ""]
    parts += _picture(rule, screen)
    for heading in HEADINGS:
        parts += [heading, *(_section(rule.page.sections[heading], screen.width)), ""]
    if rule.thresholds:
        parts += ["Thresholds", *(f"  {name} = {value}" for name, value in rule.thresholds.items()), ""]
    return "\n".join(parts)


def in_markdown(rule: Rule[Any]) -> str:
    """Return the page of a rule in Markdown, as it stands in docs/rules."""
    parts = [f"# {rule.name}", "", f"`{rule.code}` · {rule.severity.value}", "", rule.page.summary, ""]
    picture = [line[2:] for line in _picture(rule, USUAL) if line]
    parts += ["```text", *picture, "```", ""] if picture else []
    for heading in HEADINGS:
        parts += [f"## {heading}", "", rule.page.sections[heading], ""]
    if rule.thresholds:
        parts += ["## Thresholds", "", *(f"- `{name} = {value}`" for name, value in rule.thresholds.items()), ""]
    return "\n".join(parts)


def index_in_markdown() -> str:
    """Return the list of all rules in Markdown, each with a link to its page."""
    parts = ["# What lossdoc looks for", ""]
    for title, folder in TITLES.items():
        parts += [f"## {title}", "", "| name | code | severity | what it finds |", "|---|---|---|---|"]
        for rule in sorted(folder.all(), key=lambda one: one.code):
            first = rule.page.summary.split(". ")[0].rstrip(".").replace("|", "\\|")
            parts.append(f"| [{rule.name}]({rule.name}.md) | {rule.code} | {rule.severity.value} | {first} |")
        parts.append("")
    return "\n".join(
        [
            *parts,
            "These pages are what `lossdoc explain NAME` shows; `pytest tests/test_docs.py --overwrite` writes them.",
            "",
        ]
    )


def contents(width: int = 110) -> str:
    """Return the list of all patterns and checks, each with its severity and its first sentence."""
    parts = []
    for title, rules in _by_title():
        parts.append(title)
        for rule in rules:
            lead = f"  {rule.name:<27} {rule.severity.value:<8} "
            first = rule.page.summary.split(". ")[0].rstrip(".")
            if width < len(lead) + 30:  # there is no room beside it
                parts.append(lead.rstrip())
                lead = " " * 6
            parts += textwrap.wrap(
                first, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
            )
        parts.append("")
    return "\n".join(
        [
            *parts,
            *textwrap.wrap(
                "`lossdoc explain NAME` shows one of them, or a word of model.yaml: `lossdoc explain relu`.", width
            ),
            "",
        ]
    )


def _by_title() -> Iterator[tuple[str, list[Rule[Any]]]]:
    """Yield all rules in the order of their codes, the checks by what they are about."""
    for title, folder in TITLES.items():
        for group, alike in groupby(sorted(folder.all(), key=lambda one: one.code), lambda one: group_of(one.code)):
            yield (f"{title}: {group}" if folder is checks else title), list(alike)


def _find(name: str) -> list[Rule[Any]]:
    found = [folder.get(name) for folder in FOLDERS.values() if name in folder.names()]
    return found or [rule for folder in FOLDERS.values() for rule in folder.all() if rule.code == name.upper()]


def _word(name: str, width: int, *, there: bool) -> list[str]:
    from lossdoc.spec import words  # brings pydantic

    found = words.page(name, width)
    if found is None and not there:
        hint = did_you_mean(name, [name for folder in FOLDERS.values() for name in folder.names()] + words.names())
        raise UserError.of(f"nothing is called '{name}'{hint}; `lossdoc explain` lists what there is", kind="unknown-name")
    return [] if found is None else [found]


def _picture(rule: Rule[Any], screen: Screen) -> list[str]:
    """Return the first example on which the rule fires, drawn, with its span; nothing for a rule on models."""
    if not rule.code.startswith("LC"):
        return []
    example = rule.fires_on[0]()
    if not isinstance(example, Curve):
        return []
    evidence = rule.fires(example)
    span = None if evidence is None else evidence.span
    if screen.drawing:
        lines = draw(example, span, width=screen.width - 8, height=9, unicode=screen.unicode)
    else:
        lines = [part for line in told(example, span) for part in textwrap.wrap(line, screen.width - 2)]
    return [*("  " + line for line in lines), ""]


def _section(text: str, width: int) -> list[str]:
    """Wrap a section's paragraphs and bullets."""
    lines: list[str] = []
    for block in text.replace("\n- ", "\n\n- ").split("\n\n"):
        hang = "    " if block.startswith("- ") else "  "
        lines += textwrap.wrap(" ".join(block.split()), width, initial_indent="  ", subsequent_indent=hang)
    return lines
