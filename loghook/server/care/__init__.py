"""Care of the data: copied while the server goes on, given out, deleted, kept for so long and no longer.

    backup       the database as one file, of one moment
    export       a run with everything in it, line by line, as NDJSON or CSV
    removal      a run taken away: out of sight at once, its rows in slices, the space given back in slices
    retention    which runs go by themselves, by age and by size
    offline      the database where no server runs: opened as a server opens it, without a network

Commands (`loghook backup`, `export`, `delete`) and the server's routes both come here.
"""
