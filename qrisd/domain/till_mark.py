"""A colour and a word that an outlet's screens share for one minute. A picture of a paid screen shows an old pair."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

LASTS: Final = timedelta(minutes=1)
SHOWN_AFTER_PAYING: Final = timedelta(minutes=10)
# Each can be told from every other at a glance. mark.css draws them, the templates name them in both languages.
COLOURS: Final = (
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
    "brown",
    "white",
    "black",
    "grey",
)
# Short, known to every child, and hard to mistake for one another when said aloud. They are not translated: the payer
# and the cashier may read in different languages.
_WORDS: Final = """
    angsa apel awan ayam bakso becak bola buku bunga burung daun delima domba elang ember gajah garam gelas gitar gula
    gunung hujan ikan itik jagung jendela jeruk kamera kapal kelapa kerupuk kopi kucing kuda kunci kursi lampu langit
    laut lebah lemari madu mangga meja melati naga nanas nasi obeng pantai payung pepaya perahu permen pintu pisang
    radio rambutan roti rumah rusa sabun sandal sate sawah semut sepeda singa sungai tangga tebu telur tempe tikus
    tomat topi ubi zebra
"""
WORDS: Final = tuple(_WORDS.split())
# Of the digest the first bytes choose the colour, the next the word.
_CHOICE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """What is shown until `changes_at`. `colour` is one of COLOURS, `word` one of WORDS."""

    colour: str
    word: str
    changes_at: datetime


def mark_of(key: bytes, outlet: str, moment: datetime) -> Mark:
    """The outlet's pair in the minute of `moment` (aware). Who does not have the key cannot tell it in advance."""
    minute = int(moment.timestamp() // LASTS.total_seconds())
    # Length before name: no outlet's name and minute can be read as another's.
    digest = hmac.digest(key, f"{len(outlet)}:{outlet}:{minute}".encode(), hashlib.sha256)
    colour, word = digest[:_CHOICE_BYTES], digest[_CHOICE_BYTES : 2 * _CHOICE_BYTES]
    return Mark(
        colour=COLOURS[int.from_bytes(colour) % len(COLOURS)],
        word=WORDS[int.from_bytes(word) % len(WORDS)],
        changes_at=datetime.fromtimestamp((minute + 1) * LASTS.total_seconds(), UTC),
    )


def is_shown(paid_at: datetime, now: datetime) -> bool:
    """Whether somebody who paid then may still see the outlet's pair."""
    return now - paid_at < SHOWN_AFTER_PAYING
