"""What runs on a computer.

Started as modules from the top of the repository: `python -m tools.run`.
"""
