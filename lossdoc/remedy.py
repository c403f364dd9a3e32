"""A remedy: one change of what is trained that may repair it, as a change of the description or of the subject itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossdoc.members import Members
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from lossdoc.findings import Finding
    from lossdoc.spec import Spec


@dataclass(frozen=True)
class Patient:
    """What is to be repaired: the subject, and the description it was built from (None where it came from Python code)."""

    subject: Subject
    spec: Spec | None = None


@dataclass(frozen=True)
class Change:
    """One change that may repair a subject.

    `values` are new values by their path in the model.yaml: the subject is then built anew from the changed description,
    and the fix can be written as a diff. Where the change lies in the user's own code, `values` is empty, `apply` does
    to the subject what `line`, the line of code to change, would do to its source; None where that cannot be tried.
    """

    summary: str
    values: Mapping[str, Any]
    apply: Callable[[Subject], Subject] | None = None
    line: str = ""
    longer: float = 1.0


@dataclass(frozen=True)
class Remedy:
    """A way to repair: `cures` are the names of the findings that it answers, the likeliest cause first.

    `changes(patient, finding)` yields the changes to try, the mildest first; none where it does not apply.
    """

    cures: tuple[str, ...]
    changes: Callable[[Patient, Finding], Iterator[Change]]


remedies: Members[Remedy] = Members("lossdoc.remedies", Remedy)
