"""Hyperdash's own SDK and command line, as PyPI has them, against a real `loghook serve`."""
