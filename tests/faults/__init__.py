"""What we try to break: each fault is provoked for real, and a table says what became of the records.

`python -m tests.faults` in a checkout, or `tox -e faults`, runs the rows of every module in this folder that has
`ROWS`; see `campaign` for what a row is, and `__main__` for the options.
"""
