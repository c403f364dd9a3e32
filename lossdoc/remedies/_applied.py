"""A change made: the description changed and built anew, or the subject changed where the description cannot be."""

from __future__ import annotations

from collections.abc import Callable

from lossdoc.remedy import Change, Patient
from lossdoc.subject import Point, Subject

Make = Callable[[Point], Subject]


def applied(patient: Patient, change: Change, make: Make | None) -> Patient:
    """Return the patient with one change; `make` builds subjects from values by their path in the file.

    What was changed in the subject alone is lost where the description is built anew: such changes come last.

    Raises:
        NotApplicable: when the change is one that nobody but the user can make.
        UserError: when what was changed does not fit together.
        UserCodeError: when the user's own code raises.
    """
    if change.values and patient.spec is not None and make is not None:
        values = {**patient.values, **change.values}
        subject = make(Point(0, values, patient.subject.seed))
        return Patient(subject, patient.spec.with_values(change.values), values)
    if change.apply is not None:
        return Patient(change.apply(patient.subject), None, patient.values)
    from lossdoc.errors import NotApplicable

    raise NotApplicable("it is in code of your own: only you can change it")
