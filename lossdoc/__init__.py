"""lossdoc, the doctor for neural-network training.

What is listed in `__all__` is there as soon as it is asked for; `import lossdoc` alone loads nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossdoc.api import Curve, Report, Runs, check, diagnose, overfit, sweep
    from lossdoc.errors import UserCodeError, UserError
    from lossdoc.monitor import Monitor

__version__ = "0.1.0"
__all__ = ["Curve", "Monitor", "Report", "Runs", "UserCodeError", "UserError", "check", "diagnose", "overfit", "sweep"]
PLACES = {"Monitor": "lossdoc.monitor", "UserCodeError": "lossdoc.errors", "UserError": "lossdoc.errors"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lossdoc' has no attribute '{name}'")
    import importlib

    found = getattr(importlib.import_module(PLACES.get(name, "lossdoc.api")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
