"""The server that ships with loghook: takes events, keeps them in one SQLite file, shows them.

    serving      the server as a whole: home folder, port, start and stop
    app          the table of routes
    intake       events over HTTP: limits, gzip          local      events from this machine's spools
    ingest       exactly once, whichever way they come   events     lines parsed and checked
    store/       the database                            thin, status, sparkline: pure decisions
    api          the read API                            pages      pages, signing in, static files
    accounts     accounts, sessions, the sign-in link    access     who is asking
    sign_in      emails and passwords, slowed down       keys       API keys, made, listed, revoked
    security     Host, Origin, headers, slow bodies      compat/    other programs' protocols, and what they become
    http         uvicorn, TLS, believed proxies          connections, patience   how many, and how long each may wait
    room         memory that bodies share                own_log    what the server itself says
    notify/      tells people when a run ends or is lost
    care/        backup, export, deletion, how long runs are kept
    openapi      the description of the API

Threat model
------------

Trusted: the user who runs the server, and whoever may read that user's files. The home folder is the boundary on this
machine: folders 0700, files 0600 (`serving`, `store.schema`, `credentials`), because loghook.json holds a key and
the spool holds what scripts logged. Who runs the server can read all accounts' runs in its files.

Not trusted, and what stands against each:

- The network. It listens on 127.0.0.1 unless told otherwise, and says what it means when it is (`serving`). Every route
  but those in `app.PUBLIC` asks for a key or a session (`access`); tests walk the table of a running server, so that
  none is forgotten. Keys and session tokens are random 256 bits, kept as SHA-256 (`accounts`, `keys`). Without TLS what
  is sent can be read under way; with it cookies are Secure (`http`, `access`).
- Whoever connects, before any key is shown. Heads, bodies and the taking of answers have their time, and a new
  connection takes the place of one that waits, of the address that holds most (`connections`, `security.Body`). Heads
  have a length, forms and small bodies theirs. Nothing that foreigners send can forge a line of the log (`own_log`).
- Whoever guesses passwords. They are kept as scrypt with a salt each, 32 MiB and some tenths of a second a try
  (`passwords`); tries are slowed down by account and by address, in memory that never grows, and few are checked at
  once (`brake`, `sign_in`). That an email has an account is told to who signs up with it, and to nobody else. Whoever
  keeps trying can hold up an account's sign-in by password, a minute at a time; its keys and sessions go on working.
  X-Forwarded-For is believed of proxies that were named (`--proxy`), and of nobody else (`http`); all that comes
  through another proxy is one address.
- Whoever signs up. Unless told otherwise accounts are made from this machine alone, and only where the server listens
  to nothing else, has no other name, and no proxy says that it passes something on (`serving`, `sign_in`). An account
  is a place for one's own runs, and no more.
- Whoever reads the database but not the folder it lies in, a copy of it say. Keys and passwords are hashes there.
  Hyperdash's command line asks for an account's key in full, again and again. So that one key is made from its number
  and a secret in a file of its own, HOME/server/secret (0600), instead of being kept (`keys`). With an account's access
  token it can be read again; all other keys are shown once. Addresses that are notified are kept as digests.
- Other users of this machine. They reach the port, but have no key and cannot read the home folder. They may make
  accounts of their own, unless `--no-sign-up` is given. While the server does not run, another program can take its
  port: the commands look whether its lock is held (`lock`) before they send the key there, but a script that was given
  the address sends it. Where others on the machine are not trusted, use TLS, or leave the address out.
- Other accounts. Everything is looked up by (account, run): another's run answers as one that does not exist
  (`store.views`). That holds for the protocols of other programs too: the user's name in an address of Polyaxon's is
  only a word, and its tokens are keys; the exchange of a token gives back what was sent (`compat.polyaxon`). What one
  account sends or asks for takes no memory and no place from the others (`room`, `intake`, `store.views`); the threads
  that read, and the one that writes, serve in turn, so a busy account can make all others wait.
- Foreign web pages in the user's browser. The Host must be a known name (against rebinding). What a browser changes
  comes from this server's own Origin, whatever key or cookie is with it; what names no origin needs a key; the three
  routes that programs post to with neither take JSON, and count no cookie (`security.COOKIELESS`). Cookies are HttpOnly
  and SameSite=Lax, answers forbid framing by others and sniffing (`security`, `access`). The sign-in link's token is in
  a URL; it works while this server runs, and signing in leaves that URL at once.
- Whoever has a key, as a writer: what it sends is data. Sizes, numbers of lines and of names, unpacked sizes, depth of
  JSON and times are limited, and memory stays flat (`intake`, `ingest`, `events`, `store.runs`), as do the bytes and
  points of an answer (`store.views`, `store.logs`, `api`); lines are checked before they are stored (`events`); SQL has
  parameters only (`store`); nothing of an event becomes a file name. A writer can fill the disk: no quota stands
  against that.
- Addresses that are notified. They come from the command line and the home folder alone, redirects are not followed,
  and what they answer is not shown. They get the names, last values and, of runs that did not end well, last lines of
  all accounts' runs, as plain text; what looks like a password or a key is blotted out (`notify`). Who is notified is
  for the user who runs the server to choose.
- What was logged, as content of a page. It is answered as JSON with its type and nosniff, and the pages put it in as
  text; the Content-Security-Policy allows no inline script, no eval and no foreign source (`security`).
- The printed link and the key in loghook.json are as good as a password. Neither is ever logged here. A session
  ends with the key that it began with (`keys`), but other keys that it made meanwhile go on: revoke those too.
"""

from loghook.server.serving import DEFAULT_PORT, Server, serve

__all__ = ["DEFAULT_PORT", "Server", "serve"]
