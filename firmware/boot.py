"""Runs first on a board, before main.py.

Kept empty on purpose: a mistake here would lock you out of the board. All that the board does
starts in main.py, and Ctrl-C at the REPL ends it.
"""
