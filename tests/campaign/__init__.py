"""Real scripts, real servers, real SIGKILLs: what must hold from the log call to the read API."""
