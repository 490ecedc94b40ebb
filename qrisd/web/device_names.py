"""What a browser calls itself, as people know it."""

from __future__ import annotations

from typing import Final

# The first one that is found counts: most browsers name those they are like, too.
_BROWSERS: Final = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
_DEVICES: Final = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Macintosh": "Mac",
    "CrOS": "Chromebook",
    "Linux": "Linux",
}
_LONGEST: Final = 60


def device_name(user_agent: str) -> str:
    """ "Chrome, Android" for the User-Agent of one; the beginning of what it says where nothing is known."""
    found = [
        next((name for mark, name in names.items() if mark in user_agent), None) for names in (_BROWSERS, _DEVICES)
    ]
    return ", ".join(name for name in found if name) or user_agent[:_LONGEST]
