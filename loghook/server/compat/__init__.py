"""Other programs' protocols, answered so that their clients work unchanged: each becomes our events and our accounts.

    hyperdash             its SDK's messages, over HTTP        hyperdash_messages    one message as event lines; pure
    hyperdash_accounts    what its command line signs up and in with

What comes in goes to `Ingest.append`, the one way in for senders that count no offsets.
"""
