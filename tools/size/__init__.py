"""`make size`: what the client weighs."""
