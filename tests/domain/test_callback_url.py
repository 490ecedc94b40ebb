from __future__ import annotations

import ipaddress
from ipaddress import ip_address, ip_network

import pytest

from qrisd.domain.callback_url import CallbackPolicy, forbidden, read_callback_url
from tests.support.targets import FORBIDDEN, FORBIDDEN_URLS, PUBLIC, in_url

TEST = CallbackPolicy(is_live=False)
LIVE = CallbackPolicy(is_live=True)
DEVELOPING = CallbackPolicy(is_live=False, allows_loopback=True)
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LAN = CallbackPolicy(is_live=False, allowed=(ip_network("192.168.1.0/24"), ip_network("fd12:3456::/64")))


@pytest.mark.parametrize("text", FORBIDDEN)
def test_no_connection_to_a_forbidden_address(text: str) -> None:
    assert forbidden(ip_address(text))


@pytest.mark.parametrize("text", FORBIDDEN)
def test_the_table_holds_whatever_python_takes_for_global(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", True)
    assert forbidden(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_connected_to(text: str) -> None:
    assert forbidden(ip_address(text)) is None


@pytest.mark.parametrize("text", ["10.1.2.3", "172.16.0.1", "192.168.1.20", "100.64.0.1", "fd12:3456::1", "fc00::1"])
def test_an_operator_can_allow_private_addresses(text: str) -> None:
    assert forbidden(ip_address(text), EVERYTHING) is None


OPENED_BY_AN_OPERATOR = ("10.", "172.", "192.168.", "100.64.", "100.127.", "fc", "fd12", "fdff")


@pytest.mark.parametrize("text", [text for text in FORBIDDEN if not text.startswith(OPENED_BY_AN_OPERATOR)])
def test_nothing_else_can_be_allowed(text: str) -> None:
    assert forbidden(ip_address(text), EVERYTHING)


@pytest.mark.parametrize("text", ["192.168.2.20", "192.168.0.255", "10.0.0.1", "fd12:3457::1"])
def test_only_the_named_network_is_allowed(text: str) -> None:
    assert forbidden(ip_address(text), LAN.allowed)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_open_in_development_and_never_in_live(text: str) -> None:
    assert DEVELOPING.forbidden(ip_address(text)) is None
    assert CallbackPolicy(is_live=True, allows_loopback=True).forbidden(ip_address(text))


@pytest.mark.parametrize("text", [text for text in FORBIDDEN if not text.startswith("127.") and text != "::1"])
def test_development_opens_loopback_alone(text: str) -> None:
    assert DEVELOPING.forbidden(ip_address(text))


@pytest.mark.parametrize("url", [in_url(text) for text in FORBIDDEN] + FORBIDDEN_URLS)
def test_a_url_to_a_forbidden_place_is_refused_with_what_to_send(url: str) -> None:
    for policy in (TEST, LIVE):
        problem = policy.problem(url)
        assert problem is not None
        assert problem.startswith("Send ")
        assert problem.endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hooks/qrisd",
        "HTTPS://Shop.Example/hooks",
        "https://shop.example",
        "https://shop.example:443/",
        "https://shop.example:80/",
        "https://shop.example:8443/hooks?shop=1&till=2",
        "https://shop.example:65535/a@b:c",
        "https://toko-kopi.co.id/%E2%98%95;v=1",
        "https://xn--mnchen-3ya.example/",
        "https://xn--strae-oqa.example/",
        "https://r3---sn-a.example/",
        "https://1.shop.example/",
        "https://0x7f.shop.example/",
        "https://localhost.shop.example/",
        "https://127.0.0.1.shop.example/",
        "https://shop.example/?next=http://127.0.0.1/",
        f"https://shop.example/{'a' * 2027}",
    ],
)
def test_a_plain_https_url_is_taken(url: str) -> None:
    assert LIVE.problem(url) is None
    assert TEST.problem(url) is None


def test_plain_http_is_for_the_test_environment() -> None:
    assert TEST.problem("http://shop.example/hooks") is None
    assert "https://" in str(LIVE.problem("http://shop.example/hooks"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost", "shop.localhost"])
def test_a_developer_can_receive_on_the_same_machine(host: str) -> None:
    assert DEVELOPING.problem(f"http://{host}:9000/hook") is None
    assert "callbacks.allow_loopback" in str(TEST.problem(f"http://{host}:9000/hook"))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "[::ffff:127.0.0.1]"])
def test_a_developer_too_writes_addresses_the_usual_way(host: str) -> None:
    assert DEVELOPING.problem(f"http://{host}:9000/hook")


@pytest.mark.parametrize("host", ["192.168.1.20", "[fd12:3456::20]", "kasir.lan", "kasir.local", "kasir"])
def test_a_receiver_in_an_allowed_network_is_taken_by_address_and_by_name(host: str) -> None:
    assert LAN.problem(f"http://{host}:8080/hook") is None
    assert "callbacks.allow_networks" in str(TEST.problem(f"http://{host}:8080/hook"))


@pytest.mark.parametrize("host", ["192.168.2.20", "127.0.0.1", "169.254.169.254", "[fe80::1]", "localhost"])
def test_an_allowed_network_opens_nothing_else(host: str) -> None:
    assert LAN.problem(f"http://{host}:8080/hook")


OWN = frozenset({("pay.example.id", 443), ("0.0.0.0", 8000)})


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example.id/webhooks/qris",
        "https://PAY.example.id:443/",
        "http://127.0.0.1:8000/payments",
        "http://localhost:8000/",
        "http://[::1]:8000/",
    ],
)
def test_our_own_address_is_refused(url: str) -> None:
    policy = CallbackPolicy(is_live=False, allows_loopback=True, own=OWN)
    assert policy.problem(url) == "Send the address of your own server, not of this service."


@pytest.mark.parametrize("url", ["https://pay.example.id:8443/", "http://127.0.0.1:8001/", "https://shop.example/"])
def test_another_port_or_host_is_not_our_own(url: str) -> None:
    assert CallbackPolicy(is_live=False, allows_loopback=True, own=OWN).problem(url) is None


@pytest.mark.parametrize("port", [22, 25, 444, 1023, 2375, 3306, 5432, 6379, 6667, 9200, 11211, 65536, 99999])
def test_ports_of_other_services_are_refused(port: int) -> None:
    assert TEST.problem(f"https://shop.example:{port}/")


def test_a_url_falls_into_the_parts_that_are_sent() -> None:
    parts = read_callback_url("HTTPS://Shop.Example:8443?x=1")
    assert (parts.scheme, parts.host, parts.port, parts.target) == ("https", "shop.example", 8443, "/?x=1")
    assert parts.authority == "shop.example:8443"
    assert read_callback_url("https://shop.example:443/a").authority == "shop.example"
    assert read_callback_url("http://[FD12::1]:8080/").authority == "[fd12::1]:8080"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://user@shop.example/", "Send the address without a user name or password."),
        ("https://shop.example/#a", "Send the address without a fragment (#...)."),
        ("https://shop.example/a b", "Send only the characters of a web address"),
        ("https://127.1/", "Send a host name instead of an IP address"),
        ("https://169.254.169.254/", "Send the public host name of your server: this address is a cloud's metadata"),
        ("https://shop.example:22/", "Send an address on a port for web servers: 443, or one like 8443. 22 is none."),
    ],
)
def test_the_reason_names_what_is_wrong(url: str, reason: str) -> None:
    assert str(LIVE.problem(url)).startswith(reason)


@pytest.mark.parametrize("url", ["https://8.8.8.8/hook", "https://[2606:4700:4700::1111]/hook"])
def test_a_public_address_is_taken_as_it_is(url: str) -> None:
    assert TEST.problem(url) is None
