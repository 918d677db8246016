"""What runs on a computer; started as modules from the top of the repository: `python -m tools.run.run`."""
