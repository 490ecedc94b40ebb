"""Calls to a SNAP bank: the token first, then a POST whose every byte is signed."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from qrisd.domain.errors import ProviderError, ProviderUncertain, ProviderUnreachable
from qrisd.providers.http import Answer, ProviderHttp, parse_object
from qrisd.providers.snap.profile import Account, Profile, Service
from qrisd.providers.snap.signing import WIB, hmac_signature, rsa_signature, service_text, timestamp, token_text
from qrisd.providers.snap.token import Token, TokenCache, lifetime_s
from qrisd.providers.snap.wire import TOKEN_CASES, Message, case_of, error_of, folded, limited

# Getting a token may take this share of a call's time, so that the call itself is never squeezed out.
_TOKEN_SHARE: Final = 0.5
_LEAST_S: Final = 0.05


class Deadline:
    """When one verb must be done with; its calls share the time."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, never quite none."""
        return max(_LEAST_S, self._ends - time.monotonic())


@dataclass(frozen=True, slots=True)
class Reply:
    """What the bank answered; `case` is its code without the service (`wire.case_of`)."""

    case: str
    message: Message
    answer: Answer

    @property
    def is_success(self) -> bool:
        return self.case.startswith("200")


class SnapCalls:
    """One account at one bank. Every method raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        account: Account,
        http: ProviderHttp,
        clock: Callable[[], datetime],
        timeout_s: float,
    ) -> None:
        self.name = name
        self.profile = profile
        self.account = account
        self.timeout_s = timeout_s
        self._http = http
        self._clock = clock
        self._tokens = TokenCache(self._fetch_token, clock)
        self._base_path = urlsplit(profile.base_url).path

    def deadline(self) -> Deadline:
        """One that begins now."""
        return Deadline(self.timeout_s)

    async def call(self, service: Service, body: Mapping[str, Any], deadline: Deadline) -> Reply:
        """POST `body`. A token the bank no longer takes is replaced once, for nothing was done with it."""
        content = json.dumps(body, separators=(",", ":")).encode()
        token = await self._token()
        reply = await self._post(service, content, token, deadline)
        if reply.case[:3] == "401":
            self._tokens.drop(token)
        if reply.case not in TOKEN_CASES or deadline.left_s < self.timeout_s * _TOKEN_SHARE:
            return reply
        return await self._post(service, content, await self._token(), deadline)

    async def query(self, original: Mapping[str, str], deadline: Deadline) -> Reply:
        """Ask how the QR named by `original` stands."""
        body = {
            **original,
            "merchantId": self.account.merchant_id,
            "serviceCode": self.profile.query_service_code,
            **self.profile.query_extra,
        }
        return await self.call(Service.QUERY, body, deadline)

    async def ask_for_token(self) -> Reply:
        """Ask for a token whether or not there is one: the answer shows whether the keys fit."""
        sent_at = timestamp(self._clock())
        headers = {
            "Content-Type": "application/json",
            "X-CLIENT-KEY": self.account.client_id,
            "X-TIMESTAMP": sent_at,
            "X-SIGNATURE": rsa_signature(self.account.private_key, token_text(self.account.client_id, sent_at)),
        }
        content = b'{"grantType":"client_credentials"}'
        return await self._send(self.profile.token_path, headers, content, self.timeout_s * _TOKEN_SHARE)

    def token_in(self, reply: Reply) -> Token:
        """The token of an answer to `ask_for_token`; raises what the answer means when there is none."""
        if not reply.is_success:
            raise self.error(reply)
        text = reply.message.access_token
        if not text or not text.isascii() or not text.isprintable():
            raise ProviderUncertain(self.name, f"{self.profile.label} answered without an access token.")
        return Token(text, lifetime_s(reply.message.expires_in))

    def error(self, reply: Reply) -> ProviderError:
        """What a reply other than success means."""
        return error_of(self.name, self.profile.label, reply.message, reply.answer, self.said(reply.message))

    def said(self, message: Message) -> str:
        """The bank's words, without our secret should it repeat it."""
        secret = self.account.client_secret
        return message.said.replace(secret, "***") if secret else message.said

    async def _token(self) -> str:
        """Without a token nothing was asked for yet, however its fetching failed."""
        try:
            return await self._tokens.get()
        except ProviderUncertain as error:
            text = f"{self.profile.label} gave no access token, so nothing was asked of it: {error}"
            raise ProviderUnreachable(self.name, text, error.provider_code) from error

    async def _fetch_token(self) -> Token:
        return self.token_in(await self.ask_for_token())

    async def _post(self, service: Service, content: bytes, token: str, deadline: Deadline) -> Reply:
        path = self.profile.path(service)
        now = self._clock()
        sent_at = timestamp(now)
        signed_path = (self._base_path + path).removeprefix(self.profile.signed_path_strip)
        text = service_text("POST", signed_path, token, content, sent_at)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token}",
            "X-TIMESTAMP": sent_at,
            "X-SIGNATURE": hmac_signature(self.account.client_secret, text),
            "X-PARTNER-ID": self.account.partner_id,
            "X-EXTERNAL-ID": _external_id(now),
            "CHANNEL-ID": self.account.channel_id,
            **self.profile.extra_headers,
        }
        return await self._send(path, headers, content, deadline.left_s)

    async def _send(self, path: str, headers: Mapping[str, str], content: bytes, timeout_s: float) -> Reply:
        answer = await self._http.request(
            self.name, "POST", self.profile.base_url + path, headers=headers, content=content, timeout_s=timeout_s
        )
        if answer.status == 429:
            raise limited(self.name, self.profile.label, answer)
        try:
            message = Message.model_validate(folded(parse_object(answer.body)))
        except ValueError as error:
            text = f"{self.profile.label} answered HTTP {answer.status}, but not as SNAP does."
            raise ProviderUncertain(self.name, text, str(answer.status)) from error
        if answer.status >= 500 or 300 <= answer.status < 400:
            text = f"{self.profile.label} answered HTTP {answer.status}: {self.said(message)}."
            raise ProviderUncertain(self.name, text, message.response_code or str(answer.status))
        return Reply(case_of(message, answer.status), message, answer)


def _external_id(now: datetime) -> str:
    """Unique in a day of Jakarta, digits only: 26 of them. Never used twice, because banks disagree about repeats."""
    return f"{now.astimezone(WIB):%Y%m%d%H%M%S}{secrets.randbelow(10**12):012d}"
