"""The server as a whole: opens the home folder, binds the port, runs uvicorn in a thread, closes all of it again."""

from __future__ import annotations

import functools
import ipaddress
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from loghook.errors import ServerError
from loghook.server import http, own_log
from loghook.server.access import Access
from loghook.server.accounts import Accounts
from loghook.server.api import API
from loghook.server.app import build, listed
from loghook.server.care.api import Care
from loghook.server.care.removal import Remover
from loghook.server.care.retention import Keep, Retention, keep_in
from loghook.server.compat.hyperdash import Hyperdash
from loghook.server.compat.hyperdash_accounts import HyperdashAccounts
from loghook.server.compat.polyaxon import Polyaxon
from loghook.server.ingest import Ingest
from loghook.server.intake import Intake
from loghook.server.keys import Keys
from loghook.server.keys_api import KeysAPI
from loghook.server.listening import bind
from loghook.server.local import EVERY as LOCAL_SECONDS
from loghook.server.local import Local
from loghook.server.local_key import local_key, secret_of
from loghook.server.lock import HomeLock
from loghook.server.notify import Destination, Sender, Watch, destinations, urls_in
from loghook.server.notify.sender import EVERY as SENDER_SECONDS
from loghook.server.notify.watch import EVERY as WATCH_SECONDS
from loghook.server.pages import Pages
from loghook.server.patience import Patience
from loghook.server.repeat import Repeat
from loghook.server.security import Guard
from loghook.server.sign_in import SignIn
from loghook.server.store import Store, messages

__all__ = ["DEFAULT_PORT", "Server", "serve"]

DEFAULT_PORT = 7707
DELIVER_SECONDS = 30.0
CARE_SECONDS = 1.0
PATIENCE = Patience()
SWITCH_INTERVAL = 0.0005


class Server:
    """A server on this machine: `start`, use, `stop`; or as a context manager.

    Args:
        home: the home folder; made where it is missing.
        host: the address to listen on.
        port: 0 takes a free one.
        hosts: names to answer to beside localhost, this machine's name and addresses as numbers.
        certfile, keyfile: PEM files; with them it speaks HTTPS.
        deliver: called every half minute with the home folder, on a thread of its own, to deliver what dead writers
            left for other platforms.
        notify: addresses that are told when a run ends or is lost, see `notify`; None: those in the home folder's
            settings.
        sign_up: whether whoever reaches this server may make an account; None: from this machine only, and only where
            it listens to this machine alone under no other name.
        database: the file that holds the runs; None: server/loghook.db in the home folder.
        proxies: addresses and networks of proxies: what they say in X-Forwarded-For and -Proto is believed.
        patience: how long clients may take.
        keep: how long runs are kept, and how much they may take; what is None there, the home folder's settings say.

    Once it is started, `routes` has the method and the path of everything that it answers.
    """

    def __init__(
        self,
        home: Path,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        hosts: Iterable[str] = (),
        certfile: Path | None = None,
        keyfile: Path | None = None,
        deliver: Callable[[Path], object] | None = None,
        sign_up: bool | None = None,
        notify: Iterable[str] | None = None,
        database: Path | None = None,
        proxies: Iterable[str] = (),
        patience: Patience = PATIENCE,
        keep: Keep | None = None,
    ) -> None:
        self.home = Path(home)
        self._host = host
        self._port = port
        self._names = tuple(hosts)
        self._hosts = frozenset(self._names)
        self._certfile = certfile
        self._keyfile = keyfile
        self._proxies = http.checked_proxies(proxies)
        self._patience = patience
        self._deliver = deliver
        self._sign_up = sign_up
        self._notify = None if notify is None else tuple(notify)
        self._database = None if database is None else Path(database).absolute()
        self._keep = keep or Keep()
        self._closers: list[Callable[[], object]] = []
        self._link_token = ""
        self.key = ""
        self.routes: tuple[tuple[str, str], ...] = ()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Server:
        """Start, and return once it answers. Raises ServerError, ConfigurationError."""
        try:
            self._open()
        except sqlite3.Error as error:
            self.stop()
            raise ServerError(f"{self.database} cannot be used: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop: requests under way get two seconds, what was taken is stored. A second call does nothing."""
        while self._closers:
            self._closers.pop()()

    @property
    def database(self) -> Path:
        """The file that holds the runs."""
        return self._database or self.home / "server" / "loghook.db"

    @property
    def url(self) -> str:
        """Where it answers, for a client on this machine: `http://127.0.0.1:7707`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"{'https' if self._certfile else 'http'}://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def outer_url(self) -> str:
        """Where it answers, for other machines: by the first of its names, where it listens to others at all."""
        if not self._names or _is_loopback(self._host):
            return self.url
        name = self._names[0]
        return f"{'https' if self._certfile else 'http'}://{f'[{name}]' if ':' in name else name}:{self._port}"

    @property
    def sign_in_link(self) -> str:
        """The URL that signs a browser in, as long as this server runs."""
        return self.link_to("")

    def link_to(self, page: str) -> str:
        """Return a URL that signs a browser in and leads it to a page: "" for the list of runs, "runs/ID"."""
        return f"{self.outer_url}/sign-in?token={self._link_token}" + (f"&next={page}" if page else "")

    def _places(self) -> list[str]:
        """The URLs by which clients may know this server: the key in the home folder goes to these and no others."""
        names = sorted({*self._hosts, socket.gethostname()} - {"", "0.0.0.0", "::", "127.0.0.1", "localhost"})
        scheme, port = self.url.partition("://")[0], self._port
        return [self.url, *(f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}" for name in names)]

    def _open(self) -> None:
        folder = self._folder()
        settings = self.home / "loghook.json"
        context = http.tls(self._certfile, self._keyfile)
        told = destinations(urls_in(settings) if self._notify is None else self._notify)
        keep = self._kept(settings)
        lock = HomeLock(folder / "lock")
        self._closers.append(lock.release)
        # Another home folder's server must not write to the same file.
        self._closers.append(HomeLock(Path(f"{self.database}.lock"), guards=self.database).release)
        listening = bind(self._host, self._port)
        self._closers.append(listening.close)
        self._port = listening.getsockname()[1]
        store = Store(self.database)
        self._closers.append(store.close)
        accounts = Accounts(store)
        self._link_token = accounts.link_token
        keys = Keys(store, accounts, secret_of(folder))
        self.key = local_key(accounts, keys, settings, folder / "loghook.json", self._places())
        store.writer.run(lambda connection: messages.forget_old(connection, time.time()))
        ingest = Ingest(store)
        local = Local(self.home, ingest, accounts.local)
        intake = Intake(ingest)
        self._closers.append(intake.close)
        sign_in = SignIn(accounts, self._may_sign_up)
        self._closers.append(sign_in.close)
        access = Access(accounts, f"loghook_{store.id}")
        routes = build(
            access,
            API(store),
            intake,
            Pages(access, sign_in),
            KeysAPI(accounts, keys),
            Hyperdash(access, ingest, intake),
            HyperdashAccounts(accounts, keys, sign_in, store.id),
            Polyaxon(access, store, ingest, intake),
            Care(store, self.home, accounts.local),
        )
        self.routes = listed(routes)
        guard = Guard(routes, self._hosts, patience=self._patience)
        stop = http.start(guard, listening, context=context, proxies=self._proxies, patience=self._patience)
        self._closers.append(stop)
        elsewhere = f", {self._database}" if self._database else ""
        lock.tell(f"process {os.getpid()}{elsewhere}, {self.url}")
        self._closers.append(local.close)
        self._repeat("loghook-local", LOCAL_SECONDS, local.look)
        self._tell(store, told)
        self._care(store, keep)
        deliver = self._deliver
        if deliver is not None:
            self._repeat("loghook-deliver", DELIVER_SECONDS, lambda: deliver(self.home) and False)

    def _may_sign_up(self, address: str) -> bool:
        if self._sign_up is not None:
            return self._sign_up
        return _is_loopback(self._host) and not (self._hosts or self._proxies) and _is_loopback(address)

    def _tell(self, store: Store, told: Sequence[Destination]) -> None:
        """Begins to watch for what is to be told, and to tell it. Stopping waits for no slow address."""
        name = min(self._hosts, default="")
        base = self.url.replace(urlsplit(self.url).hostname or "", name) if name else self.url
        watch = Watch(store, told, lambda run: f"{base}/runs/{run}")
        for destination in told:
            repeat = Repeat("loghook-notify", SENDER_SECONDS, Sender(store, destination).look)
            repeat.start()
            self._closers.append(functools.partial(repeat.stop, http.STOP_SECONDS))
        self._repeat("loghook-watch", WATCH_SECONDS, watch.look)

    def _kept(self, settings: Path) -> Keep:
        """What is kept: as was asked for, else as the home folder's settings say."""
        found, given = keep_in(settings), self._keep
        return Keep(found.days if given.days is None else given.days, found.size if given.size is None else given.size)

    def _care(self, store: Store, keep: Keep) -> None:
        """Begins to delete what is condemned, and to condemn what is too old or too much."""
        remover, retention = Remover(store), Retention(store, keep)
        self._repeat("loghook-care", CARE_SECONDS, lambda: remover.look() or retention.look())

    def _repeat(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        repeat = Repeat(name, seconds, work)
        repeat.start()
        self._closers.append(repeat.stop)

    def _folder(self) -> Path:
        folder = self.home / "server"
        try:
            for path in (self.home, folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise ServerError(f"the home folder {self.home} cannot be used: {error.strerror}") from None
        return folder


def serve(
    home: Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    hosts: Iterable[str] = (),
    certfile: Path | None = None,
    keyfile: Path | None = None,
    deliver: Callable[[Path], object] | None = None,
    sign_up: bool | None = None,
    notify: Iterable[str] | None = None,
    database: Path | None = None,
    proxies: Iterable[str] = (),
    keep: Keep | None = None,
) -> None:
    """Run a server until Ctrl-C or SIGTERM; prints its address and a link that signs a browser in.

    For a process of its own, on its main thread. Arguments as for `Server`. Raises ServerError, ConfigurationError.
    """
    own_log.to_stderr()
    # Whatever is written, by SQLite say, is for this user's eyes alone.
    os.umask(0o077)
    http.more_descriptors()
    # The thread that stores gives the GIL away for each statement; a short interval gives it back soon.
    sys.setswitchinterval(SWITCH_INTERVAL)
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server = Server(
            home,
            host,
            port,
            hosts=hosts,
            certfile=certfile,
            keyfile=keyfile,
            deliver=deliver,
            sign_up=sign_up,
            notify=notify,
            database=database,
            proxies=proxies,
            keep=keep,
        )
        with server:
            print(f"loghook server at {server.url}", flush=True)
            if not _is_loopback(host):
                plain = "" if certfile else "; without --certfile, keys and logs cross the network unencrypted"
                print(f"It listens on {host}: other machines reach it, and read and write with a key{plain}.")
            print(f"Sign in: {server.sign_in_link}", flush=True)
            stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
