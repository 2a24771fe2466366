"""Other programs' protocols, answered so that their clients work unchanged: each becomes our events and our accounts.

    hyperdash             its SDK's messages, over HTTP        hyperdash_messages    one message as event lines; pure
    hyperdash_accounts    what its command line signs up and in with
    polyaxon              Polyaxon's clients of the 0.x servers    polyaxon_names    addresses as runs; pure
    polyaxon_messages     their bodies as events; pure             polyaxon_log      their log lines; pure
    polyaxon_answers      what they read in answers; pure
    lines                 foreign values as event lines; pure

What comes in goes to `Ingest.append`, the one way in for senders that count no offsets.
"""
