"""``python -m arcterm``."""

from arcterm.cli import main

main()
