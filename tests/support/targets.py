"""Where callbacks must never go, and where they may."""

from __future__ import annotations

from typing import Final

FORBIDDEN: Final = [
    # this machine
    *("127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"),
    # unspecified
    *("0.0.0.0", "0.1.2.3", "0.255.255.255", "::"),
    # private
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    *("fc00::1", "fd12:3456:789a::1", "fdff:ffff::1"),
    # carriers
    *("100.64.0.1", "100.127.255.255"),
    # link-local
    *("169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%1"),
    # metadata
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe"),
    # multicast, reserved, broadcast
    *("224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "240.0.0.1", "255.255.255.254", "255.255.255.255"),
    # documentation, benchmarks, protocols
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "198.18.0.1", "198.19.255.255"),
    *("192.0.0.1", "192.0.0.9", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1"),
    *("100::1", "100:0:0:1::1", "2001:2::1", "2001:20::1", "2001:1::1", "2620:4f:8000::1", "fec0::1", "5f00::1"),
    # IPv4 in IPv6
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    *("::127.0.0.1", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    # not given to anybody
    *("1fff::1", "4000::1", "8000::1", "2606:4700::1%eth0"),
]

PUBLIC: Final = [
    *("8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.1", "172.15.255.255", "172.32.0.0", "169.253.255.255", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2001:200::1", "2400:cb00::1"),
    "64:ff9b::808:808",
]

# Other ways to write them, and other things that are no callback URLs.
FORBIDDEN_URLS: Final = [
    # one address, many spellings
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://0177.0.0.01/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7F.1/",
    "https://0x/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://127.0.0.256/",
    "https://010.0.0.1/",
    "https://2852039166/",
    "https://127.0.0.1:8443/",
    "https://1.2.3.4.5/",
    "https://８.８.８.８/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://xn--127-0-0-1-/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://[::1%25lo]/",
    "https://[fe80::1%25eth0]/",
    "https://[v1.a]/",
    "https://[shop.example]/",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://::1/",
    # names of inside only
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://shop.localhost/",
    "https://kasir/",
    "https://kasir.local/",
    "https://kasir.lan/",
    "https://metadata.google.internal/",
    "https://kasir.home.arpa/",
    "https://1.0.0.127.in-addr.arpa/",
    # names that are none
    "https:///hooks",
    "https://",
    "https:shop.example/",
    "https:/shop.example/",
    "//shop.example/",
    "shop.example/hooks",
    "",
    "https://.example/",
    "https://shop..example/",
    "https://shop.example./",
    "https://-shop.example/",
    "https://shop-.example/",
    "https://shop_1.example/",
    "https://shop%2eexample/",
    "https://shop.example%00.evil.example/",
    "https://münchen.example/",
    "https://xn--.example/",
    "https://xn--a.example/",
    "https://xn--shop-.example/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    # schemes
    "ftp://shop.example/",
    "file:///etc/passwd",
    "gopher://shop.example/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "javascript:alert(1)",
    "data:text/plain,a",
    "wss://shop.example/",
    # users, fragments, ports
    "https://user@shop.example/",
    "https://user:secret@shop.example/",
    "https://@shop.example/",
    "https://shop.example@127.0.0.1/",
    "https://127.0.0.1:80@shop.example/",
    "https://shop.example/#a",
    "https://shop.example#@127.0.0.1/",
    "https://shop.example:/",
    "https://shop.example:0/",
    "https://shop.example:080/",
    "https://shop.example:-1/",
    "https://shop.example:+443/",
    "https://shop.example:65536/",
    "https://shop.example:４４３/",
    "https://shop.example:22/",
    "https://shop.example:25/",
    "https://shop.example:6379/",
    "https://shop.example:443:80/",
    # characters
    "https://shop.example\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https://shop.example/a b",
    " https://shop.example/",
    "https://shop.example/\n",
    "https://shop.example/\r\nHost: 127.0.0.1",
    "https://shop\t.example/",
    "https://shop.example/\x00",
    "https://shop.example/\u202e",
    f"https://shop.example/{'a' * 2028}",
]


def in_url(address: str) -> str:
    """An https URL to an address; a zone in it is written as URLs do."""
    return f"https://[{address.replace('%', '%25')}]/hook" if ":" in address else f"https://{address}/hook"
