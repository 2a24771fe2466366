"""Output as records: of monitored code in this process, of a command that is run for it, and of a pipe.

Bytes or text come in as they were written. `lines` makes lines of them, as a reader of the terminal would see them in
the end; `recorder` makes records of those, and `logfile` a local log file. `tee` stands between `print` and the stream
that it writes to. `command` runs a child (`child`, `supervisor`) with a terminal or pipes of its own and passes on what
it writes; `piping` does so with standard input.
"""
