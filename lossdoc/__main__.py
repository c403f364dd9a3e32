"""Run lossdoc: `lossdoc`, and `python -m lossdoc`."""

import signal
import sys


def main() -> None:
    """Run the command line; an interrupt at any moment, also a second one, ends it without a traceback."""
    try:
        from lossdoc.cli import main as run  # an interrupt while it loads is one too

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the interpreter takes itself down, Python would show where


if __name__ == "__main__":
    main()
