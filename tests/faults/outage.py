"""Outages: the platform can't be reached, or answers as none should, while the program logs on; then it recovers."""

from __future__ import annotations

import functools
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .campaign import Campaign, Figures, Row
from .proxy import REFUSED, Fault, Proxy
from .serving import Platform
from .troubles import TROUBLES
from .victim import Victim

__all__ = ["ROWS"]

MOST_MB = 5.0
"""How much memory may grow by while records pile up, in megabytes."""
LATE = 5.0
"""Seconds after which a live record is late, on a busy machine, while an older program's records are caught up with."""
CATCH_UP = 240.0
FIRST = 1000

PROMISE = "nothing is lost or stored twice, memory stays within 5 MB, one line on stderr, all caught up with by itself"


@dataclass
class Scene:
    """A program, a proxy, and a platform behind it; `begin` and `end` are how the outage does so."""

    campaign: Campaign
    platform: Platform
    proxy: Proxy
    victim: Victim
    begin: Callable[[], None]
    end: Callable[[], None]
    wrong: list[str] = field(default_factory=list)


def _outage(scene: Scene, seconds: float) -> Figures:
    """Have the program log all the way through an outage of so many seconds, and look at what comes out."""
    platform, victim, campaign = scene.platform, scene.victim, scene.campaign
    victim.tell("log", FIRST)
    platform.wait_for(victim.run, FIRST, 60)
    scene.begin()
    began = time.monotonic()
    piled = victim.tell("log", campaign.times(100_000, 1_000_000))
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    victim.wait_for_word(60)  # so that a busy machine, too, has noticed before it is over
    lasted = time.monotonic() - began
    scene.end()
    ended = time.monotonic()
    victim.tell("rate", 100, 1.0)
    platform.wait_for(victim.run, int(victim.tell("rest")["n"]), CATCH_UP)
    took = time.monotonic() - ended
    grown = piled["grown"]
    said = victim.end(90).splitlines()
    lost, twice = platform.compare([victim.run], victim.count)
    if len(said) != 1 or not said[0].startswith("loghook: "):
        scene.wrong.append(f"on stderr: {said}")
    if grown > MOST_MB:
        scene.wrong.append(f"memory grew by {grown} MB")
    if took >= CATCH_UP:
        scene.wrong.append(f"not caught up with after {took:.0f} s")
    note = f"{victim.count:,} records, down {lasted:.0f} s, memory {grown:+g} MB, caught up {took:.1f} s later"
    return Figures(1, lost, twice, tuple(scene.wrong), note)


@contextmanager
def _scene(
    campaign: Campaign,
    *,
    host: str = "127.0.0.1",
    prefix: tuple[str, ...] = (),
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    **environ: str,
) -> Iterator[Scene]:
    good, bad = tls or (None, None)
    with Platform(campaign.folder / "server", host) as platform, Proxy(platform.port, tls=good, wrong_tls=bad) as proxy:
        scheme = "https" if tls else "http"
        environ["LOGHOOK_URL"] = f"{scheme}://{host}:{proxy.port}"
        environ |= {"LOGHOOK_API_KEY": platform.key, "LOGHOOK_TIMEOUT": "1", "LOGHOOK_SHUTDOWN_TIMEOUT": "30"}
        victim = Victim(*prefix, **environ)
        try:
            yield Scene(campaign, platform, proxy, victim, lambda: None, lambda: proxy.set(None))
        finally:
            victim.kill()


def proxied(campaign: Campaign, fault: Fault) -> Figures:
    """An outage that a proxy plays."""
    with _scene(campaign) as scene:
        scene.begin = lambda: scene.proxy.set(fault)
        return _outage(scene, campaign.times(3, 30))


def long_down(campaign: Campaign) -> Figures:
    """The server's process is killed, and started again much later."""
    with _scene(campaign) as scene:
        scene.begin, scene.end = scene.platform.kill, scene.platform.start
        return _outage(scene, campaign.times(8, 600))


def no_name(campaign: Campaign) -> Figures:
    """The host's name is unknown for a while: the program has a hosts file of its own, and no DNS server."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        return Figures(0, note="no namespaces on this machine")
    hosts, resolver = campaign.folder / "hosts", campaign.folder / "resolv.conf"
    known = "127.0.0.1 localhost platform.test\n"
    hosts.write_text(known)
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    binds = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", binds, str(hosts), str(resolver))
    with _scene(campaign, host="platform.test", prefix=prefix) as scene:

        def begin() -> None:
            hosts.write_text("127.0.0.1 localhost\n")
            scene.proxy.set(None)  # ends the connection that is open

        scene.begin, scene.end = begin, lambda: _keep(hosts.write_text(known))
        return _outage(scene, campaign.times(3, 30))


def no_trust(campaign: Campaign) -> Figures:
    """Somebody else's certificate is shown for a while."""
    if shutil.which("openssl") is None:
        return Figures(0, note="no openssl on this machine")
    ours, theirs = _certificate(campaign.folder / "ours"), _certificate(campaign.folder / "theirs")
    with _scene(campaign, tls=(_context(ours), _context(theirs)), REQUESTS_CA_BUNDLE=str(ours)) as scene:

        def impostor(there: bool) -> None:
            scene.proxy.is_impostor = there
            scene.proxy.set(None)

        scene.begin, scene.end = lambda: impostor(True), lambda: impostor(False)
        return _outage(scene, campaign.times(3, 30))


def _keep(_: object) -> None:
    return None


def _certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1, signed by itself; return the file that holds it and its key."""
    folder.mkdir()
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    command += f" subjectAltName=IP:127.0.0.1 -keyout {folder}/key -out {folder}/cert"
    subprocess.run(command.split(), check=True, capture_output=True)
    both = folder / "both"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def backlog(campaign: Campaign) -> Figures:
    """What a killed program left is caught up with beside a living one, whose records must not wait for that."""
    count = campaign.times(100_000, 1_000_000)
    with _scene(campaign) as scene:
        platform, dead = scene.platform, scene.victim
        scene.proxy.set(REFUSED)
        dead.tell("log", count)
        dead.kill()
        environ = {"LOGHOOK_URL": f"http://127.0.0.1:{scene.proxy.port}", "LOGHOOK_API_KEY": platform.key}
        living = Victim(LOGHOOK_SHUTDOWN_TIMEOUT="30", **environ)
        try:
            scene.proxy.set(None)
            rate, seconds = 50, campaign.times(6, 30)
            began = time.monotonic()
            living.tell("rate", rate, seconds)
            latest = caught_up = 0.0
            while time.monotonic() - began < seconds:
                latest = max(latest, time.monotonic() - began - platform.held(living.run) / rate)
                if not caught_up and platform.held(dead.run) >= dead.count:
                    caught_up = time.monotonic() - began
                time.sleep(0.1)
            living.tell("rest")
            platform.wait_for(dead.run, dead.count, CATCH_UP)
            platform.wait_for(living.run, living.count, CATCH_UP)
            said = living.end(90)
        finally:
            living.kill()
        figures = [platform.compare([victim.run], victim.count) for victim in (dead, living)]
    wrong = [f"a live record was {latest:.1f} s late"] if latest > LATE else []
    wrong += [f"on stderr: {said}"] if said else []
    lost, twice = (sum(column) for column in zip(*figures, strict=True))
    note = f"{dead.count:,} records left; live ones at most {latest:.1f} s late, caught up after {caught_up:.1f} s"
    return Figures(1, lost, twice, tuple(wrong), note)


ROWS = [
    Row("Outage", "the server is down for long (ten minutes)", PROMISE, long_down),
    *(Row("Outage", name, PROMISE, functools.partial(proxied, fault=fault)) for name, fault in TROUBLES.items()),
    Row("Outage", "the host name is unknown", PROMISE, no_name),
    Row("Outage", "somebody else's certificate", PROMISE, no_trust),
    Row("Outage", "a killed program's backlog beside a living one", "live records are at most 5 s late", backlog),
]
