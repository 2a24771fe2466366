"""Against the real Polyaxon 2.18 server, which runs alone."""
