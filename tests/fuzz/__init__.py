"""Fuzzing: what comes from outside, and what a death leaves on the disk, changed at random, guided by coverage.

targets     the functions that take bytes: `ingest` and `repair`; they raise where a promise is broken
python -m tests.fuzz --seconds 600     runs atheris on each of them for so long
cases/      inputs that broke a promise once; a test goes through them on every run
"""
