"""What happens to whole processes, on good days and on bad ones."""
