"""What the tests need around the code they test: interpreters, servers, peers."""
