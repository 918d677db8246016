"""The names that micro-nats imports of a `datetime` module; no job of the benchmark uses them."""

datetime = timezone = None
