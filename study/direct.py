"""Calls that go past every proxy: to this machine, and with a token that a proxy could read."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def direct(url: str, *, token: bool) -> bool:
    """Whether a call must not go to a proxy, whatever the environment says.

    A proxy has a loopback of its own, and reads what goes over plain HTTP.
    """
    parts = urlsplit(url)
    return _loopback(parts.hostname or "") or (token and parts.scheme == "http")


def _loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # it is a name
        return False
