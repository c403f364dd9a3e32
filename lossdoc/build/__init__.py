"""Spec → Subject: imports the user's code, reads the data, makes models."""

from lossdoc.build.subjects import Variants, subject
from lossdoc.build.trial import trial

__all__ = ["Variants", "subject", "trial"]
