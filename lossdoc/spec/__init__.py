"""YAML → typed blocks: all faults at once, each with line and column."""

from lossdoc.spec.loading import load, loads, made
from lossdoc.spec.models import Range, Spec
from lossdoc.spec.schema import schema
from lossdoc.spec.template import TEMPLATES, template

__all__ = ["TEMPLATES", "Range", "Spec", "load", "loads", "made", "schema", "template"]
