"""A remedy: one change of what is trained that may repair it, as a change of the description or of the subject itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lossdoc.members import Members
from lossdoc.subject import Point, Subject

if TYPE_CHECKING:
    from torch import nn

    from lossdoc.findings import Finding
    from lossdoc.parts.layer import Layer
    from lossdoc.spec import Spec

Apply = Callable[[Subject], Subject]


@dataclass(frozen=True)
class Change:
    """One change that may repair a subject.

    `values` are new values by their path in the model.yaml: the subject is then built anew from the changed description,
    and the fix can be written as a diff. Where the change lies in the user's own code, `values` is empty, `apply` does
    to the subject what `line`, the line of code to change, would do to its source; None where that cannot be tried.
    `causes` are the names of the findings that it proves where it repairs, the most telling first. `longer` is by how much
    longer than before is trained. `prior` is how likely it is, where that differs from its remedy's.
    """

    summary: str
    values: Mapping[str, Any] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    apply: Apply | None = None
    line: str = ""
    longer: float = 1.0
    prior: float | None = None

    @property
    def key(self) -> str:
        """What tells it from other changes of the same subject."""
        return named(self.values) if self.values else self.summary


def named(values: Mapping[str, Any]) -> str:
    """Return the name of an experiment with other values by their paths, whoever asks for it."""
    return ", ".join(f"{path} = {value!r}" for path, value in sorted(values.items()))


@dataclass(frozen=True)
class Patient:
    """What is to be repaired: the subject, and the description it was built from (None where it came from Python code).

    `values` are those by which the description differs from its file, after the changes that have been made already. `make`
    builds the subjects of changed descriptions.
    """

    subject: Subject
    spec: Spec | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    make: Callable[[Point], Subject] | None = None

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the description, none where the model is the user's own code."""
        return (self.spec.model.layers or ()) if self.spec is not None else ()

    @cached_property
    def written(self) -> list[Any]:
        """The same layers as they stand in the file."""
        if self.spec is None or not self.layers:
            return []
        model = self.spec.document.data["model"]
        return list(model if isinstance(model, list) else model["layers"])

    @cached_property
    def model(self) -> nn.Module:
        """The untrained model, to be looked at only."""
        return self.subject.build(self.subject.seed)

    def configured(self, path: str) -> Any:
        """Return what stands in the file at a path of blocks, None where nothing does or a shorthand stands for it."""
        data = None if self.spec is None else self.spec.document.data
        for part in path.split("."):
            data = data.get(part) if isinstance(data, dict) else None
        return data


@dataclass(frozen=True)
class Remedy:
    """A way to repair: `proves` are the names of the causes that it cures, `relieves` those of symptoms that it may relieve.

    `changes(patient, finding)` yields the changes to try, the mildest first; none where it does not apply. `prior` orders
    the remedies of a symptom: how often, from 0 to 1, what it cures is the cause, by rule of thumb from the counts of real
    faults in Humbatova et al. (2020), Taxonomy of Real Faults in Deep Learning Systems, and Cao et al. (2022), DeepFD.
    """

    proves: tuple[str, ...]
    changes: Callable[[Patient, Finding], Iterator[Change]]
    relieves: tuple[str, ...] = ()
    prior: float = 0.1

    @property
    def cures(self) -> tuple[str, ...]:
        """The names of all the findings that it answers."""
        return tuple(dict.fromkeys((*self.proves, *self.relieves)))


remedies: Members[Remedy] = Members("lossdoc.remedies", Remedy)
