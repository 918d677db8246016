"""`make bench` and `make wire`: what the client costs, beside others."""
