"""The server that ships with loghook: takes events, keeps them in one SQLite file, shows them.

    serving      the server as a whole: home folder, port, start and stop
    app          the table of routes
    intake       events over HTTP: limits, gzip          local      events from this machine's spools
    ingest       exactly once, whichever way they come   events     lines parsed and checked
    store/       the database                            thin, status, sparkline: pure decisions
    api          the read API                            pages      pages, signing in, static files
    accounts     keys, sessions, the sign-in link        access     who is asking
    security     Host, Origin, headers                   compat/    other programs' protocols, and what they become

Threat model
------------

Trusted: the user who runs the server, and whoever may read that user's files. The home folder is the boundary on this
machine: folders 0700, files 0600 (`serving`, `store.schema`, `credentials`), because loghook.json holds a key and
the spool holds what scripts logged.

Not trusted, and what stands against each:

- The network. It listens on 127.0.0.1 unless told otherwise, and says what it means when it is (`serving`). Every
  route but those in `app.PUBLIC` asks for a key or a session (`access`); a test walks the table. Keys and session
  tokens are random 256 bits, kept as SHA-256 (`accounts`). Without TLS what is sent can be read under way.
- Other users of this machine. They reach the port, but have no key and cannot read the home folder.
- Other accounts. Everything is looked up by (account, run): another's run answers as one that does not exist
  (`store.views`). That holds for the protocols of other programs too: the user's name in an address of Polyaxon's is
  only a word, and its tokens are keys; the exchange of a token gives back what was sent (`compat.polyaxon`).
- Foreign web pages in the user's browser. The Host must be a known name (against rebinding), what changes something
  needs a key or this server's own Origin, cookies are HttpOnly and SameSite=Lax, answers forbid framing by others and
  sniffing (`security`, `access`). The sign-in link's token is in a URL; it works while this server runs, and signing
  in leaves that URL at once.
- Whoever has a key, as a writer: what it sends is data. Sizes, numbers of lines, unpacked sizes and times are limited,
  and memory stays flat (`intake`, `ingest`); lines are checked before they are stored (`events`); SQL has parameters
  only (`store`); nothing of an event becomes a file name. A writer can fill the disk: no quota stands against that.
- What was logged, as content of a page. It is answered as JSON with its type and nosniff, and the pages put it in as
  text; the Content-Security-Policy allows no inline script, no eval and no foreign source (`security`).
- The printed link and the key in loghook.json are as good as a password. Neither is ever logged here.
"""

from loghook.server.serving import DEFAULT_PORT, Server, serve

__all__ = ["DEFAULT_PORT", "Server", "serve"]
