"""`python -m tools.fleet`: see control.py."""

from tools.fleet.control import main

main()
