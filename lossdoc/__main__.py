"""Run lossdoc as `python -m lossdoc`."""

from lossdoc.cli import main

main()
