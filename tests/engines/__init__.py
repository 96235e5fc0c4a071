"""Real servers for tests: each is started, stopped, killed, paused and restarted in a folder of its own."""
