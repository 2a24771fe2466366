"""For each transport module a strict fake of its platform, in a module of the same name with a class `Bench`.

See `bench.py` for what a Bench has to offer. The conformance suite looks here by itself.
"""
