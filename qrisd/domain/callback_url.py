"""Where a callback may go: which addresses may be connected to, and which callback URLs are taken at all.

A URL is judged twice: by how it is written, when it is saved and before every try, and by the addresses its name leads
to at that moment. Sources: the IANA special-purpose address registries, RFC 6052 (NAT64), RFC 9602 (SRv6), and what the
clouds say of where their metadata services answer.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EXAMPLE: Final = "https://shop.example/hooks/qrisd"
MAX_LENGTH: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


_LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

# Blocked even where an operator allows the network around them. The first that fits gives the reason.
_NEVER: Final = (
    (
        "is a cloud's metadata service",
        _networks(
            *("169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
            *("fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128", "fd00:c1::a9fe:a9fe/128"),
        ),
    ),
    ("is unspecified", _networks("0.0.0.0/8", "::/128")),
    ("is this machine", _LOOPBACK),
    ("is link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("is multicast", _networks("224.0.0.0/4", "ff00::/8")),
    ("is broadcast", _networks("255.255.255.255/32")),
    ("is reserved", _networks("240.0.0.0/4")),
    ("hides an IPv4 address", _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2002::/16")),
)
# What an operator may allow.
_PRIVATE: Final = (
    ("is private", _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    ("is private to a carrier", _networks("100.64.0.0/10")),
)
# A table of our own, because what `is_global` says of these differs between Python's releases.
_SPECIAL: Final = (
    (
        "is set aside for documentation",
        _networks("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    ),
    ("is set aside for benchmarks", _networks("198.18.0.0/15")),
    ("belongs to a Teredo tunnel", _networks("2001::/32")),
    (
        "is set aside for protocols",
        _networks(
            *("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
            *("2001::/23", "2620:4f:8000::/48", "100::/64", "100:0:0:1::/64", "5f00::/16", "fec0::/10"),
        ),
    ),
)

# Ports from 1024 on where something else than HTTP, or a service meant for inside only, is at home. Browsers refuse
# some of them for the same reason.
_PORTS_OF_OTHERS: Final = frozenset(
    [
        *(1080, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 3659),
        *(4045, 4190, 4369, 5060, 5061, 5432, 5433, 5671, 5672, 5900, 5901, 5984, 5985, 5986, 6000, 6379, 6380, 6443),
        *(6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 8500, 9042, 9092, 9100, 9200, 9300, 10080, 10250, 10255),
        *(11211, 15672, 16379, 25672, 26379, 27017, 27018, 27019, 61616),
    ]
)
_LOCAL_SUFFIXES: Final = (
    *(".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".arpa", ".onion"),
)

# What RFC 3986 lets a URL consist of: neither spaces, control characters nor a backslash.
_URL_CHARACTERS: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?")
_AUTHORITY: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([1-9][0-9]{0,4}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPolicy:
    """What the operator decided. `is_live`: real money, so only https. `allowed`: private networks in which receivers
    may be. `own`: (host, port) of every way to this service, what it listens on as well as its public address.
    `allows_loopback`: receivers on this machine are fine, for development; without effect when `is_live`."""

    is_live: bool
    allowed: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()
    allows_loopback: bool = False

    def forbidden(self, address: Address) -> str | None:
        """As the function `forbidden`, for this operator."""
        return forbidden(address, self.allowed, allows_loopback=self.allows_loopback and not self.is_live)

    def problem(self, url: str) -> str | None:
        """What is wrong with a callback URL, as a sentence that says what to send instead; None when it can be taken.

        It must be https (http too, outside live), without a user name or a fragment, at most 2048 characters, with a
        host name that the internet knows. Ports: 80, 443, and 1024 to 65535 except those where databases, queues,
        printers, cluster managers and the like are at home. An IP address must be public, in an allowed network, or on
        this machine in development; where networks are allowed, so are names like kasir.lan."""
        try:
            parts = read_callback_url(url)
        except ValueError as error:
            return str(error)
        return self._scheme_problem(parts) or _port_problem(parts.port) or self._host_problem(parts)

    def _scheme_problem(self, parts: CallbackUrl) -> str | None:
        if parts.scheme == "http" and self.is_live:
            return f"Send an address that begins with https://, like {EXAMPLE}: in live nothing travels in the clear."
        return None

    def _host_problem(self, parts: CallbackUrl) -> str | None:
        if is_own(parts.host, parts.port, self.own):
            return "Send the address of your own server, not of this service."
        address = literal(parts.host)
        return self._name_problem(parts.host) if address is None else self._literal_problem(address)

    def _literal_problem(self, address: Address) -> str | None:
        reason = self.forbidden(address)
        if reason is None:
            return None
        return f"Send the public host name of your server: this address {reason}.{_advice(address)}"

    def _name_problem(self, name: str) -> str | None:
        labels = name.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return f"Send a host name instead of an IP address, like {EXAMPLE}."
        if len(name) > 253 or not all(map(_is_label, labels)):
            return f"Send a host name of letters, digits, hyphens and dots, without a dot at its end, like {EXAMPLE}."
        if _is_localhost(name):
            loopback = IPv4Address("127.0.0.1")
            return None if self.forbidden(loopback) is None else f"Send a public host name.{_advice(loopback)}"
        if (len(labels) == 1 or name.endswith(_LOCAL_SUFFIXES)) and not self.allowed:
            return f"Send a public host name.{_ADVICE_PRIVATE}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrl:
    """A URL in its parts: `scheme` and `host` in lower case, an IPv6 `host` without brackets; `target` is path and
    query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def forbidden(address: Address, allowed: Sequence[Network] = (), *, allows_loopback: bool = False) -> str | None:
    """Why `address` may not be connected to, as a phrase after "address"; None when it may.

    `allowed` opens private addresses only. Loopback is opened by `allows_loopback` alone; link-local addresses,
    metadata services, multicast and the like never are. A NAT64 address is as good as the IPv4 address in it."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "names a network interface"
    if allows_loopback and _within(address, _LOOPBACK):
        return None
    if isinstance(address, IPv6Address) and address in _NAT64:
        return forbidden(IPv4Address(int(address) & 0xFFFFFFFF))
    if reason := _first(address, _NEVER):
        return reason
    if reason := _first(address, _PRIVATE):
        return None if _within(address, allowed) else reason
    return _first(address, _SPECIAL) or (None if _is_global(address) else "is not reachable on the internet")


def _first(address: Address, table: Iterable[tuple[str, Iterable[Network]]]) -> str | None:
    return next((reason for reason, networks in table if _within(address, networks)), None)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _is_global(address: Address) -> bool:
    return address.is_global and (isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST)


def literal(host: str) -> Address | None:
    """The address that `host` spells in the one usual way; None for a name, or for another spelling of an address."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def read_callback_url(url: str) -> CallbackUrl:
    """The parts of a callback URL. Saving and sending both read it here, so that they cannot read it differently.

    Raises ValueError, with a sentence that says what to send, when it is not a plain http or https URL."""
    if len(url) > MAX_LENGTH:
        raise ValueError(f"Send at most {MAX_LENGTH} characters.")
    if not _URL_CHARACTERS.fullmatch(url):
        raise ValueError("Send only the characters of a web address; write others in their %XX form, a host as xn--.")
    if "#" in url:
        raise ValueError("Send the address without a fragment (#...).")
    match = _URL.fullmatch(url)
    if match is None or match[1].lower() not in DEFAULT_PORTS:
        raise ValueError(f"Send a full web address that begins with https://, like {EXAMPLE}.")
    host, port = _read_authority(match[2])
    scheme = match[1].lower()
    target = (match[3] or "/") + (match[4] or "")
    return CallbackUrl(scheme=scheme, host=host, port=port or DEFAULT_PORTS[scheme], target=target)


def _read_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise ValueError("Send the address without a user name or password.")
    match = _AUTHORITY.fullmatch(authority)
    host = (match[1] or match[2] or "").lower() if match else ""
    if match is None or not host:
        raise ValueError(f"Send a full web address with a host name, like {EXAMPLE}.")
    if match[1] and not isinstance(literal(host), IPv6Address):
        raise ValueError(f"Send a host name without brackets, like {EXAMPLE}.")
    return host, int(match[3]) if match[3] else None


def _port_problem(port: int) -> str | None:
    if port in (80, 443) or (1024 <= port <= 65535 and port not in _PORTS_OF_OTHERS):
        return None
    return f"Send an address on a port for web servers: 443, or one like 8443. {port} is none."


_ADVICE_PRIVATE: Final = (
    " If your server is in the shop's own network, name that network in callbacks.allow_networks in the settings."
)


def _advice(address: Address) -> str:
    """What an operator can do about it, where anything can be done."""
    if _within(address, _LOOPBACK):
        return " To develop on this machine, set callbacks.allow_loopback = true in the test environment."
    return _ADVICE_PRIVATE if _first(address, _PRIVATE) and not _first(address, _NEVER) else ""


def is_own(host: str, port: int, own: Iterable[tuple[str, int]]) -> bool:
    """True when (host, port) is one of `own`, as far as that can be told without asking the system."""
    return any(port == own_port and _names_the_same(host, own_host.lower()) for own_host, own_port in own)


def _names_the_same(host: str, own_host: str) -> bool:
    address, own_address = literal(host), literal(own_host)
    same = host == own_host if address is None else address == own_address
    listens_here = _is_loopback(own_host) or (own_address is not None and own_address.is_unspecified)
    return same or (listens_here and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    address = literal(host)
    return _is_localhost(host) if address is None else _within(address, _LOOPBACK)


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _is_label(label: str) -> bool:
    return bool(_LABEL.fullmatch(label)) and (not label.startswith("xn--") or _is_honest_punycode(label[4:]))


def _is_honest_punycode(text: str) -> bool:
    """Whether it stands for a word that needs it: neither plain ASCII nor full-width digits and dots in disguise."""
    try:
        word = text.encode("ascii").decode("punycode")
    except (ValueError, OverflowError):
        return False
    return not word.isascii() and word.isprintable() and unicodedata.normalize("NFKC", word) == word
