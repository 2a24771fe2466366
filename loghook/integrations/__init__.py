"""What other tools write, as runs: one module for each tool, importing it only when used."""
