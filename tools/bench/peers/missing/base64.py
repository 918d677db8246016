"""The least that micro-nats needs of a `base64` module; no job of the benchmark calls it."""
