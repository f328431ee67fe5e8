"""Calls that bypass every proxy: to this machine, and with a token that a proxy could read."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def direct(url: str, *, token: bool) -> bool:
    """True if a call must bypass the proxies of the environment.

    A proxy has its own loopback address, and can read plain HTTP.
    """
    parts = urlsplit(url)
    return _loopback(parts.hostname or "") or (token and parts.scheme == "http")


def _loopback(host: str) -> bool:
    """True if a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False
