"""Tests of the transports: the parts on their own, and one conformance suite over every registered transport."""
