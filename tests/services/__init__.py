"""Real servers for the tests: private, on loopback, in temporary folders, ended by the pid that started them."""
