"""YAML → typed blocks: all faults at once, each with line and column."""

from lossdoc.spec.loading import load, loads
from lossdoc.spec.models import Range, Spec
from lossdoc.spec.template import template

__all__ = ["Range", "Spec", "load", "loads", "template"]
