"""A transport is found by the scheme of a URL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loghook import transports
from loghook.credentials import KeySource
from loghook.errors import ConfigurationError
from loghook.testing import RecordingTransport
from loghook.transports.loghook import LoghookTransport

KEYS = KeySource(environ={})


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A folder on the path where a test installs another package's entry points."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))


def install(folder: Path, name: str, *entries: str) -> None:
    """Writes what pip writes for a package with transports."""
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("\n".join(["[loghook.transports]", *entries]) + "\n")


@pytest.mark.parametrize("url", ["http://server", "https://server/path", "HTTP://server:1"])
def test_http_and_https_are_our_own_server(url: str) -> None:
    """A plain web address speaks our own protocol."""
    transport = transports.open(url, KEYS)
    assert isinstance(transport, LoghookTransport)
    transport.close()


def test_an_unknown_scheme_names_the_known_ones() -> None:
    """The message shows the URL without its password and lists what is known."""
    with pytest.raises(ConfigurationError, match=r"unknown scheme 'gopher'; known are .*https://") as caught:
        transports.open("gopher://user:secret@hole", KEYS)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["hyperdash://server", "hyperdash+ftp://server", "hyperdash+https://"])
def test_a_platform_needs_an_http_address(url: str) -> None:
    """A platform's name alone, or before anything but http or https, is a mistake that is told at once."""
    for take in (transports.check, lambda url: transports.open(url, KEYS)):
        with pytest.raises(ConfigurationError, match=r"must be an http or https URL|no host"):
            take(url)


def test_no_url_at_all_is_refused() -> None:
    """Text without a scheme is a mistake of the configuration."""
    with pytest.raises(ConfigurationError, match="'server:7707' is no URL"):
        transports.open("server:7707", KEYS)


def test_another_package_registers_by_an_entry_point(package: Path) -> None:
    """The entry point's name is what stands before the plus, or the whole scheme."""
    install(package, "other", "mem=loghook.testing:RecordingTransport", "whole=loghook.testing:RecordingTransport")
    assert isinstance(transports.open("mem+https://x", KEYS), RecordingTransport)
    assert isinstance(transports.open("whole://x", KEYS), RecordingTransport)
    assert "mem" in transports.registered()


def test_a_built_in_name_cannot_be_taken(package: Path) -> None:
    """Another package's entry for https does not get our users' keys."""
    install(package, "thief", "https=loghook.testing:RecordingTransport")
    assert isinstance(transports.open("https://server", KEYS), LoghookTransport)


def test_a_transport_that_fails_to_load_says_why(package: Path) -> None:
    """The message names the scheme, the class and the error; other schemes still work."""
    install(package, "broken", "bad=nowhere_to_be_found:Transport")
    with pytest.raises(ConfigurationError, match=r"'bad\+https', nowhere_to_be_found:Transport, fails to load: Module"):
        transports.open("bad+https://x", KEYS)
    assert isinstance(transports.open("https://server", KEYS), LoghookTransport)


def test_what_is_no_transport_is_refused(package: Path) -> None:
    """An entry point to anything but a subclass of Transport is a mistake, and says so."""
    install(package, "odd", "odd=json:loads")
    with pytest.raises(ConfigurationError, match="no subclass of Transport"):
        transports.open("odd+https://x", KEYS)


def test_importing_the_package_imports_no_transport() -> None:
    """Neither requests nor importlib.metadata is loaded until a transport is opened."""
    code = (
        "import sys, loghook.transports, loghook.retry, loghook.credentials; "
        "print(*(name for name in ('requests', 'urllib3', 'importlib.metadata') if name in sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == []
