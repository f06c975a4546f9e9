"""Addresses as ``host:port``, with brackets around an IPv6 address: ``[::1]:8000``."""


def host_of(address: str) -> str:
    """Return the host of ``host:port``, an IPv6 address without its brackets."""
    host = address.rpartition(":")[0]
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return host
