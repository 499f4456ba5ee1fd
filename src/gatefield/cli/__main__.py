"""Run the command line by ``python -m gatefield.cli``."""

from gatefield.cli.app import main

main()
