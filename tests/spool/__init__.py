"""The spool against a model, against death at every step, and against bad disks."""
