"""Spec → Subject: imports the user's code, reads the data, makes models."""

from lossdoc.build.data import fitted
from lossdoc.build.subjects import Variants, subject
from lossdoc.build.trial import trial

__all__ = ["Variants", "fitted", "subject", "trial"]
