"""Which addresses may be asked. A list of urls is data of others: it must not make us ask machines of our own.

Names are resolved and checked before a connection is made, and the address that was connected to is checked again
before anything is sent, so a name that resolves differently the second time gains nothing. `requests` carries it
(well kept, proxies and certificates by the usual environment variables, streamed bodies, redirects left to us).
"""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from manifests.errors import MediaError
from pipeline.sources.uris import WEB, host_of

FORBIDDEN = "source:address"


def is_public(address: str) -> bool:
    """False for loopback, link-local, private, multicast and reserved addresses, also when wrapped in IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def check(url: str, private: bool) -> None:
    """Raise MediaError `source:address` for a url that is not http(s), or whose host has no public address,
    `source:bad_url` for what is no url.

    private: loopback, link-local and private addresses may be asked. A name that does not resolve passes: asking it
    fails in its own words.
    """
    try:
        parts = urlsplit(url)
        host_of(url)
    except ValueError as error:
        raise MediaError("source:bad_url", f"{url}: {error}") from None
    if parts.scheme not in WEB or not parts.hostname:
        raise MediaError(FORBIDDEN, f"{url}: only http and https are followed")
    if private:
        return
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)}
    except (OSError, ValueError):
        return
    if bad := sorted(address for address in found if not is_public(address)):
        raise MediaError(FORBIDDEN, _words(parts.hostname, bad[0]))


def _words(host: str, address: str) -> str:
    return f"{host} is {address}, not a public address; sources.private_hosts = true allows it"


def _check_peer(connection: HTTPConnection) -> None:
    peer = connection.sock.getpeername()[0] if connection.sock else "::"
    if not is_public(peer):
        connection.close()
        raise MediaError(FORBIDDEN, _words(connection.host, peer))


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Connects to public addresses only. A proxy, where the environment names one, decides for itself."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


def session(private: bool, user_agent: str) -> requests.Session:
    """A session that keeps no cookies, sends no passwords of ours and asks for bytes as they are."""
    made = requests.Session()
    made.headers.update({"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"})
    made.auth = lambda request: request  # else requests looks for a password in ~/.netrc
    made.cookies.set_policy(_NoCookies())
    for scheme in () if private else ("http://", "https://"):
        made.mount(scheme, _Adapter())
    return made


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[name-defined, misc]
    def set_ok(self, cookie: Any, request: Any) -> bool:
        """Take none."""
        return False
