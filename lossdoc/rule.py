"""A rule: one question about a curve or a model, with its page, its thresholds and its examples; and asking many."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from lossdoc.errors import NotApplicable, Undecided, UserError, did_you_mean
from lossdoc.findings import Answer, Evidence, Finding, Passed, Report, Severity
from lossdoc.members import Members

Thing = TypeVar("Thing")
HEADINGS = ("Looks like", "Causes", "Confirm with", "Try", "False alarms", "Decided by", "Sources")


@dataclass(frozen=True)
class Page:
    """The page of a rule, read from its docstring: a summary, and one section under each of `HEADINGS`."""

    summary: str
    sections: Mapping[str, str]

    @classmethod
    def parse(cls, docstring: str) -> Page:
        """Split a docstring at its headings.

        Raises:
            ValueError: when a heading is missing; the message names those that are.
        """
        heading = re.compile(rf"^({'|'.join(HEADINGS)}):[ \t]*$", re.MULTILINE)
        summary, *rest = heading.split(inspect.cleandoc(docstring))
        sections = {name: inspect.cleandoc("\n" + text).strip() for name, text in zip(rest[::2], rest[1::2], strict=True)}
        missing = [name for name in HEADINGS if not sections.get(name)]
        if missing:
            raise ValueError(f"the page lacks: {', '.join(missing)}")
        return cls(" ".join(summary.split()), sections)

    def bullets(self, heading: str) -> tuple[str, ...]:
        """Return the items (`- ...`) of a section, each as one line."""
        items = re.split(r"^- ", self.sections[heading], flags=re.MULTILINE)
        return tuple(" ".join(item.split()) for item in items if item.strip())


@dataclass(frozen=True)
class Rule(Generic[Thing]):
    """A question that is answered by evidence, by `Passed` with what was measured, or by None.

    `fires_on` and `quiet_on` make the things on which the rule must and must not fire: its first tests and its picture.
    `mutes` are the names of rules whose findings this one explains: where it fires they are not reported. `dear`: it costs
    as much as many others, and is asked after them where time is short.
    """

    code: str
    severity: Severity
    judge: Callable[[Thing], Answer]
    fires_on: tuple[Callable[[], Thing], ...]
    quiet_on: tuple[Callable[[], Thing], ...]
    mutes: tuple[str, ...]
    dear: bool = False

    @cached_property
    def name(self) -> str:
        """The rule's name in kebab-case."""
        return self.judge.__name__.replace("_", "-")

    @cached_property
    def page(self) -> Page:
        """The rule's page, parsed when first asked for."""
        return Page.parse(self.judge.__doc__ or "")

    @property
    def thresholds(self) -> dict[str, Any]:
        """The keyword-only defaults of the rule's function, by name."""
        parameters = inspect.signature(self.judge).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    @property
    def matter(self) -> str:
        """What the rule judges, as its first parameter is annotated: "Curve", "Runs", "Curve | Runs" or "Subject"."""
        kind = next(iter(self.judge.__annotations__.values()))
        return str(getattr(kind, "__name__", kind))

    def fires(self, thing: Thing) -> Evidence | None:
        """Return the evidence where the rule fires on a thing, None where the thing passes.

        Raises:
            NotApplicable: when the rule cannot judge it.
        """
        answer = self.judge(thing)
        return answer if isinstance(answer, Evidence) else None

    def finding(self, evidence: Evidence) -> Finding:
        """Put evidence and page together; what the evidence says of this very case comes first."""
        return Finding(
            code=self.code,
            name=self.name,
            severity=evidence.severity or self.severity,
            evidence=evidence,
            causes=_merged(evidence.causes, self.page.bullets("Causes")),
            confirm=self.page.bullets("Confirm with"),
            remedies=_merged(evidence.remedies, self.page.bullets("Try")),
        )


def rule(
    *,
    code: str,
    severity: Severity,
    fires_on: Sequence[Callable[[], Thing]],
    quiet_on: Sequence[Callable[[], Thing]],
    mutes: Sequence[str] = (),
    dear: bool = False,
) -> Callable[[Callable[[Thing], Answer]], Rule[Thing]]:
    """Make a function a rule; its name is the rule's, its docstring the page, its keyword-only defaults the thresholds."""

    def decorate(judge: Callable[[Thing], Answer]) -> Rule[Thing]:
        return Rule(code, severity, judge, tuple(fires_on), tuple(quiet_on), tuple(mutes), dear)

    return decorate


def examine(
    title: str,
    thing: Thing,
    rules: Iterable[Rule[Thing]],
    *,
    source: str | None = None,
    run: str | None = None,
    decisive: Severity = Severity.ERROR,
    inconclusive: str | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Put every rule to one thing, in their order, and report; findings come strongest first, then surest."""
    found: list[tuple[Rule[Thing], Finding]] = []
    passed: list[str] = []
    measured: dict[str, Passed] = {}
    skipped: dict[str, str] = {}
    undecided: list[str] = []
    for each in rules:
        try:
            answer = each.judge(thing)
        except NotApplicable as why:
            skipped[each.code] = str(why)
            undecided += [str(why)] if isinstance(why, Undecided) else []
            continue
        if isinstance(answer, Evidence):
            found.append((each, each.finding(answer)))
            continue
        passed.append(each.code)
        if answer is not None:
            measured[each.code] = answer
    found.sort(key=lambda one: one[0].code)
    kept = _settle(found, skipped)
    kept.sort(key=lambda finding: (finding.severity.rank, -finding.evidence.confidence, finding.code))
    report = Report(
        title,
        source,
        run,
        tuple(kept),
        tuple(sorted(passed)),
        dict(sorted(skipped.items())),
        thing,
        decisive,
        inconclusive,
        tuple(notes),
        measured=dict(sorted(measured.items())),
    )
    return replace(report, inconclusive=undecided[0]) if undecided and report.primary == "healthy" else report


def _settle(found: Sequence[tuple[Rule[Thing], Finding]], skipped: dict[str, str]) -> list[Finding]:
    """Drop the findings that another one explains, and say so in `skipped`."""
    fired = [one for one, _ in found]
    kept = []
    for one, finding in found:
        by = _explained_by(one.name, fired)
        if by is None:
            kept.append(finding)
        else:
            skipped[one.code] = f"explained by {by}"
    return kept


def _explained_by(name: str, fired: Sequence[Rule[Thing]]) -> str | None:
    """Return the rule that explains `name` and is itself explained by none (`mutes` has no cycle: a test sees to it)."""
    return next((one.name for one in fired if name in one.mutes and _explained_by(one.name, fired) is None), None)


def resolve(names: Iterable[str], rules: Iterable[Rule[Any]]) -> frozenset[str]:
    """Return the names of rules that are called by name or by code.

    Raises:
        UserError: for the first that does not exist.
    """
    known = {one.name: one.name for one in rules} | {one.code: one.name for one in rules}
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError.of(f"no rule is called '{name}'{hint}; `lossdoc explain` lists them", kind="unknown-name")
    return frozenset(known[name] for name in names)


def _merged(first: Sequence[str], then: Sequence[str]) -> tuple[str, ...]:
    """Return what is said of this very case, then those items of the page that say something else."""
    return tuple(dict.fromkeys((*first, *(item for item in then if not any(_alike(item, each) for each in first)))))


def _alike(item: str, other: str) -> bool:
    """Tell whether two items say the same in other words: two thirds of the shorter one's words stand in the other.

    Words of three letters and less say nothing by themselves.
    """
    words, others = (set(re.findall(r"\w{4,}|\d+", text.lower())) for text in (item, other))
    return 3 * len(words & others) >= 2 * max(min(len(words), len(others)), 1)


patterns: Members[Rule[Any]] = Members("lossdoc.patterns", Rule)
comparisons: Members[Rule[Any]] = Members("lossdoc.comparisons", Rule)
checks: Members[Rule[Any]] = Members("lossdoc.checks", Rule)


FOLDERS = {"LC1": patterns, "LC2": comparisons, "LS": checks}  # by what the codes of their rules begin with
GROUPS = {
    "LC": "curves",
    "LS1": "data",
    "LS2": "head and loss",
    "LS3": "first loss",
    "LS4": "initialization",
    "LS5": "training step",
    "LS6": "learning",
    "LS7": "numbers",
    "LS8": "repeatability",
}


def group_of(code: str) -> str:
    """Return what the rules whose codes begin alike are about; "others" for codes of other packages."""
    return next((group for prefix, group in GROUPS.items() if code.startswith(prefix)), "others")


def groups_in(report: Report) -> dict[str, tuple[int, str]]:
    """Return by group how many rules passed, and what the first of them that measured anything tells; empty of none."""
    groups: dict[str, list[str]] = {}
    for code in report.passed:
        groups.setdefault(group_of(code), []).append(code)
    told = {code: one.summary for code, one in report.measured.items()}
    return {name: (len(codes), next((told[code] for code in codes if code in told), "")) for name, codes in groups.items()}


def names_of(codes: Iterable[str]) -> dict[str, str]:
    """Return the rules' names by code; a code that is no rule's (a skipped stage) stands for itself."""
    wanted = tuple(codes)
    folders = [folder for prefix, folder in FOLDERS.items() if any(code.startswith(prefix) for code in wanted)]
    known = {one.code: one.name for folder in folders for one in folder.all()}
    return {code: known.get(code, code) for code in wanted}
