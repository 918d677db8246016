"""`make run`: simulated boards against a real server."""
