"""`make fleet` and `make credentials`: identities for boards, and a server that knows them."""
