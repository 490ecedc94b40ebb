"""SNAP's signatures against vectors computed elsewhere, with a key whose private half is thrown away."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from qrisd.domain.errors import SettingsError
from qrisd.providers.doku import jokul_component, jokul_signature
from qrisd.providers.snap.keys import read_private_key, read_public_key
from qrisd.providers.snap.signing import (
    NotifyScheme,
    body_hash,
    hmac_matches,
    hmac_signature,
    minify,
    moment,
    notify_texts,
    rsa_matches,
    rsa_signature,
    service_text,
    timestamp,
    token_text,
)
from qrisd.providers.snap.token import ISSUED_LIFETIME_S, TokenIssuer
from tests.fakes.snap import key

PEM = b"""\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAv4PiUPVKRraD3WqVJ0n3
wCSOeCWtygFYZhxpUmJ+882ijylhiqJNRqAZPtf4nt8fwW5pl33B8NbWJImKclzv
SOtnBFtqQ0kW7eMCRX5LKO1ka5eEY5AlwS7JUi7UDreJGUcbCwgu+qiSY1fsG+it
MV7zA6PGT3hwndviz2ds37RQaT1iIApknA7BR1drw0drdBwT32q5+HJcHM2cOtSN
AoYnrAZZ8nkOGCH90zVyZJAl66hD4OCASrXtaf/q3xKLfKmxFLSGpHMlplBmVybE
G6bM0QAx9AAlrRu0H22hWD4cQ6utewOxbMlOhDRHGBC0RO3THA7P8YNDyvOtjCoX
SwIDAQAB
-----END PUBLIC KEY-----
"""
PUBLIC_KEY = load_pem_public_key(PEM)
assert isinstance(PUBLIC_KEY, rsa.RSAPublicKey)
SECRET = "test-client-secret-0001"
TOKEN = "test-access-token-0001"
SENT_AT = "2025-01-31T10:15:30+07:00"
NOTIFY_PATH = "/v1.0/qr/qr-mpm-notify"
NOW = datetime(2025, 1, 31, 3, 15, 30, tzinfo=UTC)

TOKEN_SIGNATURE = (
    "u+hVSIqn9IhG8gRw6+JB3RoNdeAc8bIRSQmxzQAD8hKnZBt7Jl5tabGiyZxMY2uvELNE1d1Qy2rwCqmr/bOKWpcBwbOEbbdc2xzl"
    "x5bATwFvUDTKjyp5skm0UoHZ0bW1eUt8AyhfCSL6/L7nCrPSU0pZcHV7S/ZtmI8/caQOhTbB8XTmn25jm1seED2+HrjvIvljCgd1"
    "tCEN3bPCJwvVaG0mCv4t2DhdP51z/Ubu2RAnODztfjdv2EFBe0/Td9bhXECHgpgF5iZV2v3Co6W0iMvy4pFunzb3LyQV0B2B0cW8"
    "kNX9AwiZFbQ+LENCCW8/kwwh0ByXZtL+d7l94f6S/Q=="
)
BODY_SIGNATURE = (
    "pPYiARriuOclEiHVe51+CYJzAGy9jn3MX/2CjoxcWDcksYsrAcC7NFMsUct+psh8hEZewwwvkDOQFXjgH8UcPbsSBooSdiemp+B+"
    "nCQdEZLgEv2nxYyeb8q8mq/HTdqPhQ2r+JB0/dl45OuQn0YuObtznIDQEPHPYxLKQJyEIPnvixDyis5HeZcY6RMSO2rlbM8MTAoj"
    "P+xPJ9ob9vKJYv797MDupbYWpTkF9xZC/MS8gSiNDe3D6+OlD9xMo7qnatClnd1PYYABKqQ1MoFa890uKMALvEfHPM1MWxHCxGuR"
    "n+9E9DIVhXAuU5wOEhnNFzLciTG5DTz7+YRJTEGLsw=="
)
DOKU_TOKEN_SIGNATURE = (
    "vHqU5vvYteRv62fvyQMWtdPIzX2CuGl3cOAaSuPaScjzdnO3E2N8CJIrRcyccMbnm/Sv1IpPQsgLzOp5ABm1mfQpbHU4HqrT9Ij+"
    "0Mjq6aArwc4HpL44S6UU0F78Aul3/9i/sMlSk5f+iA7HpRrQrQ9WQHypddVV5SZlAz2nGaGVaHG8FFmq9JD5QE8kCiukoi+iUn2u"
    "Va0dczvM9Gosu+MTvvE1qZ6TrtQOsFENl4HDhpvgoCv82AqytIzPvxj/MaeQFD9CqV+lmm3MQGMUnXViv+wmBIyUFKStA/F8N4l8"
    "/zOjfl3uSG5XG8hw3qjEf3yapO2Br8WZdjn7ETM/eQ=="
)
GENERATE = (
    b'{"partnerReferenceNo":"QRISD-20250131-0001","amount":{"value":"15000.00","currency":"IDR"},'
    b'"merchantId":"MCH0001","terminalId":"T01","validityPeriod":"2025-01-31T10:30:30+07:00",'
    b'"additionalInfo":{"note":"Kopi Susu"}}'
)
GENERATE_HASH = "ea91f77b1a3ca8c60e1888176142a547db90b31b9d578976e26f464152719185"
NOTIFICATION = (
    b'{"originalReferenceNo":"REF-0001","originalPartnerReferenceNo":"QRISD-20250131-0001",'
    b'"latestTransactionStatus":"00","transactionStatusDesc":"Success",'
    b'"amount":{"value":"15000.00","currency":"IDR"},"additionalInfo":{"rrn":"503110000001"}}'
)
NOTIFICATION_SIGNATURES = {
    "hmac_token": "yITjMPAnx6q2H+0uiVQQjQNXbNVgXVbZ1DXdPaCYExHCuK3jn0jjsFRt5+t82r0gDXg0I/ANGQRTMmFC2QGAiw==",
    "hmac_notoken": "lyTCy5evpsPRszZgYhvnM8OmYyELMxf3M501qUfcX/HaSgb/0T+A0bWa/WAmJB/fkQyrlpOiBt9JDPT8RVLkIQ==",
    "hmac_emptytoken": "Km9Aqdc4Zqp9yro3ppjL7w9LAsxkyuh/MkJPewvS69ay77+Ng6re5Xg3Nh6mVheSPpBmMSMpQV7go9LDfF46hg==",
    "rsa_body": BODY_SIGNATURE,
    "rsa_clientid": TOKEN_SIGNATURE,
}


def verifies(
    scheme: str,
    signature: str,
    *,
    body: bytes = NOTIFICATION,
    path: str = NOTIFY_PATH,
    token: str = TOKEN,
    sent_at: str = SENT_AT,
) -> bool:
    kind = NotifyScheme(scheme)
    texts = notify_texts(kind, paths=[path], token=token, client_key="TEST-CLIENT-0001", body=body, sent_at=sent_at)
    assert isinstance(PUBLIC_KEY, rsa.RSAPublicKey)
    return rsa_matches(PUBLIC_KEY, signature, texts) if kind.is_rsa else hmac_matches(SECRET, signature, texts)


# Texts and signatures


def test_the_token_signature_verifies() -> None:
    text = token_text("TEST-CLIENT-0001", SENT_AT)
    assert text == "TEST-CLIENT-0001|2025-01-31T10:15:30+07:00"
    assert isinstance(PUBLIC_KEY, rsa.RSAPublicKey)
    assert rsa_matches(PUBLIC_KEY, TOKEN_SIGNATURE, [text])
    doku = token_text("BRN-0000-1700000000000", "2025-01-31T03:15:30Z")
    assert rsa_matches(PUBLIC_KEY, DOKU_TOKEN_SIGNATURE, [doku])


def test_our_own_rsa_signature_is_on_one_line_and_verifies() -> None:
    signature = rsa_signature(key("merchant"), "a|b")
    assert "\n" not in signature
    assert rsa_matches(key("merchant").public_key(), signature, ["x", "a|b"])
    assert not rsa_matches(key("bank").public_key(), signature, ["a|b"])


@pytest.mark.parametrize(
    ("path", "secret", "body", "digest", "signature"),
    [
        (
            "/v1.0/qr/qr-mpm-generate",
            SECRET,
            GENERATE,
            GENERATE_HASH,
            "o7AC5m+Q4WysL1L/RECHMHYqH/b5rmSyVuJ1feN+AxhTV4lvP4jYOLjhJ1/IvKB0h4OOD47a3JOv0/Y1n/5qRw==",
        ),
        (
            "/snap-adapter/b2b/v1.0/qr/qr-mpm-generate",
            "SK-test-0000000000000000",
            b'{"partnerReferenceNo":"QRISD-20250131-0001","amount":{"value":"15000.00","currency":"IDR"},'
            b'"merchantId":"47435","terminalId":"A01","validityPeriod":"2025-01-31T10:30:30+07:00",'
            b'"additionalInfo":{"postalCode":"12190","feeType":"1"}}',
            "5c6d64dab9cd5ff57027e36891e25a57601cdaf9d80ff840ec5d0dfd52fef82e",
            "tM00dwBIS5kB81o+Qg8nCRFi/oHC5tb41bdX2hw1cLTmR5S09Do+pZVazlHQWcfdoRWKSaLQJYuCgSGO5E5XPQ==",
        ),
        (
            "/snap-adapter/b2b/v1.0/qr/qr-mpm-query",
            "SK-test-0000000000000000",
            b'{"originalReferenceNo":"INV-0001","originalPartnerReferenceNo":"QRISD-20250131-0001",'
            b'"merchantId":"47435","serviceCode":"47"}',
            "0ecdb52bd0521a5e4edd0c86969e8e646b452818d5297f95f9b72684a1903571",
            "PljqRf5Pp1uyGZE63+Szn7AbyIguNVk6IlH2MFgIXevkHHkZrvVVHrSndbQdCuC1FH1QMofaB/o4KyVbWsmCAg==",
        ),
    ],
)
def test_a_service_call_is_signed_as_the_vectors_say(
    path: str, secret: str, body: bytes, digest: str, signature: str
) -> None:
    text = service_text("POST", path, TOKEN, body, SENT_AT)
    assert text == f"POST:{path}:{TOKEN}:{digest}:{SENT_AT}"
    assert hmac_signature(secret, text) == signature


@pytest.mark.parametrize("scheme", NOTIFICATION_SIGNATURES)
def test_every_notification_scheme_verifies_its_vector_and_no_other(scheme: str) -> None:
    accepted = [name for name, signature in NOTIFICATION_SIGNATURES.items() if verifies(scheme, signature)]
    assert accepted == [scheme]


def test_dokus_notification_verifies() -> None:
    body = (
        b'{"originalPartnerReferenceNo":"QRISD-20250131-0001","originalReferenceNo":"INV-0001",'
        b'"originalExternalId":"20250131101530000001","latestTransactionStatus":"00",'
        b'"transactionStatusDesc":"Success","amount":{"value":"15000.00","currency":"IDR"},'
        b'"additionalInfo":{"channelId":"QRIS","acquirerId":"DOKU"}}'
    )
    texts = notify_texts(
        NotifyScheme.HMAC_TOKEN,
        paths=["/webhooks/doku", "/hooks/doku/snap/v1.0/qr/qr-mpm-notify"],
        token="merchant-issued-token-0001",
        client_key="",
        body=body,
        sent_at="2025-01-31T03:15:30Z",
    )
    signature = "vtHWPSCgduw0NzV2Deovw9oMIj6pk8L2vK+go8YLg/ftFc/YX1VG34A3jzTvG2+GNRvi4jHL9dH/6ZUpMbJ/cA=="
    assert hmac_matches("SK-test-0000000000000000", signature, texts)


@pytest.mark.parametrize("scheme", ["hmac_token", "hmac_notoken", "hmac_emptytoken", "rsa_body"])
def test_anything_changed_no_longer_verifies(scheme: str) -> None:
    signature = NOTIFICATION_SIGNATURES[scheme]
    assert verifies(scheme, signature)
    assert not verifies(scheme, signature, body=NOTIFICATION.replace(b"15000.00", b"15000.01"))
    assert not verifies(scheme, signature, path=NOTIFY_PATH + "/")
    assert not verifies(scheme, signature, sent_at="2025-01-31T03:15:30Z")
    assert not verifies(scheme, signature[:40] + "\n" + signature[40:])
    assert not verifies(scheme, "")
    assert not verifies(scheme, "é" * 88)
    if scheme == "hmac_token":
        assert not verifies(scheme, signature, token=f"Bearer {TOKEN}")


@pytest.mark.parametrize("scheme", ["hmac_notoken", "rsa_body"])
def test_a_signature_may_be_hex(scheme: str) -> None:
    signature = b64decode(NOTIFICATION_SIGNATURES[scheme]).hex()
    assert verifies(scheme, signature)
    assert verifies(scheme, signature.upper())


def test_a_spaced_body_verifies_with_the_hash_of_either_form() -> None:
    spaced = json.dumps(json.loads(NOTIFICATION)).encode()
    assert verifies("hmac_notoken", NOTIFICATION_SIGNATURES["hmac_notoken"], body=spaced)
    raw = hmac_signature(SECRET, service_text("POST", NOTIFY_PATH, None, spaced, SENT_AT))
    assert verifies("hmac_notoken", raw, body=spaced)
    assert not verifies("hmac_notoken", raw)


def test_an_empty_secret_verifies_nothing() -> None:
    assert not hmac_matches("", hmac_signature("", "text"), ["text"])


# Minified bodies


@pytest.mark.parametrize("indent", [None, 2])
def test_minify_takes_white_space_between_tokens_only(indent: int | None) -> None:
    spaced = json.dumps(json.loads(GENERATE), indent=indent).encode() + b"\r\n\t"
    assert spaced != GENERATE
    assert minify(spaced) == GENERATE
    assert minify(rb'{ "a" : "x \" y \\" , "b": " " }') == rb'{"a":"x \" y \\","b":" "}'


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (GENERATE, GENERATE_HASH),
        (
            json.dumps(json.loads(GENERATE), indent=2).encode(),
            "83fd372673205efdf561936be99a1c38a914212bb332c3862df84325e32691b5",
        ),
        (
            json.dumps(json.loads(GENERATE)).encode(),
            "b13bb7713697c24cd2769968c2e3b679427c7a3827f00bb7e1928ce1718503cf",
        ),
        (GENERATE + b"\n", "b6a060e319daf801729d2e84edaba6cc412acd1b815d2b8997f88a8ace642c4b"),
        (GENERATE.replace(b" ", b""), "179e9c1577880cc0a8e5a736bae5a233d30e858475aa0ffeafbdd59bf91da11f"),
        ('{"storeName":"Kafé 1/2"}'.encode(), "145debeb369d1976058b754747a7e565f356965a60ea6cf10ec7754e83910ed5"),
        (rb'{"storeName":"Kaf\u00e9 1/2"}', "a290a4e52928d541f8a3127b2e5ee5cead31189c7248e4cbe535d99f73b886ec"),
        (rb'{"storeName":"Kaf\u00e9 1\/2"}', "8a93508ad51f5fce7f4f74a5f57814788589e9d5f788f2b1d8841da1c75bb0cf"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
    ],
)
def test_a_hash_is_over_the_very_bytes(text: bytes, digest: str) -> None:
    assert body_hash(text) == digest


# DOKU's own API

JOKUL_ID, JOKUL_SECRET = "BRN-0000-1700000000000", "SK-test-0000000000000000"


@pytest.mark.parametrize(
    ("request_id", "sent_at", "path", "body", "signature"),
    [
        (
            "0b5c9c1e-0000-4000-8000-000000000001",
            "2025-01-31T03:15:30Z",
            "/checkout/v1/payment",
            b'{"order":{"amount":15000,"invoice_number":"QRISD-20250131-0001"},'
            b'"payment":{"payment_due_date":15,"payment_method_types":["QRIS"]}}',
            "HMACSHA256=xqH706A37XGwoByNZfFJJrg3MASy5RG6LLAQPjssDU4=",
        ),
        (
            "0b5c9c1e-0000-4000-8000-000000000003",
            "2025-01-31T03:20:05Z",
            "/hooks/doku/notify",
            b'{"service":{"id":"QRIS"},"acquirer":{"id":"DOKU"},"channel":{"id":"QRIS"},'
            b'"order":{"invoice_number":"QRISD-20250131-0001","amount":15000},'
            b'"transaction":{"status":"SUCCESS","date":"2025-01-31T03:20:00Z",'
            b'"original_request_id":"0b5c9c1e-0000-4000-8000-000000000001"},'
            b'"emoney_payment":{"account_id":"9360000000000000001","approval_code":"A00001"}}',
            "HMACSHA256=KpRqFld6x7gbo1qK6IijUlGan5fcnLM9/UnEI1DWU9o=",
        ),
    ],
)
def test_dokus_own_signature_is_as_the_vectors_say(
    request_id: str, sent_at: str, path: str, body: bytes, signature: str
) -> None:
    assert jokul_signature(JOKUL_SECRET, jokul_component(JOKUL_ID, request_id, sent_at, path, body)) == signature


# Times


def test_a_time_is_written_in_jakarta_without_a_fraction() -> None:
    assert timestamp(NOW + timedelta(microseconds=999_999)) == SENT_AT


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-31T10:15:30+07:00",
        "2025-01-31T03:15:30Z",
        "2025-01-31T03:15:30.000Z",
        "2025-01-30T20:15:30-07:00",
        "2025-01-31T10:15:30",
        " 2025-01-31 10:15:30 ",
    ],
)
def test_a_time_is_read_in_every_spelling(text: str) -> None:
    assert moment(text) == NOW


@pytest.mark.parametrize("text", [None, "", "soon", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00+07:00"])
def test_a_time_that_cannot_be_read_is_none(text: str | None) -> None:
    assert moment(text) is None


# Tokens we issue


def test_an_issued_token_proves_itself_until_it_ends() -> None:
    issuer = TokenIssuer(SECRET, "bri")
    token = issuer.issue(NOW)
    assert token is not None
    assert token != issuer.issue(NOW)
    assert issuer.accepts(token, NOW)
    assert TokenIssuer(SECRET, "bri").accepts(token, NOW + timedelta(seconds=ISSUED_LIFETIME_S - 1))
    assert not issuer.accepts(token, NOW + timedelta(seconds=ISSUED_LIFETIME_S))
    assert not TokenIssuer(SECRET, "bni").accepts(token, NOW)
    assert not TokenIssuer("another", "bri").accepts(token, NOW)


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 75, "=" * 75])
def test_a_made_up_token_is_refused(token: str) -> None:
    assert not TokenIssuer(SECRET, "bri").accepts(token, NOW)


def test_every_character_of_a_token_counts() -> None:
    issuer = TokenIssuer(SECRET, "bri")
    token = issuer.issue(NOW) or ""
    for index in range(0, len(token) - 1, 7):
        other = "A" if token[index] != "A" else "B"
        assert not issuer.accepts(token[:index] + other + token[index + 1 :], NOW)


def test_without_a_secret_no_token_is_issued_or_accepted() -> None:
    token = TokenIssuer(SECRET, "bri").issue(NOW) or ""
    assert TokenIssuer("", "bri").issue(NOW) is None
    assert not TokenIssuer("", "bri").accepts(token, NOW)


# Key files


def _private(encoding: Encoding, form: PrivateFormat) -> bytes:
    return key("merchant").private_bytes(encoding, form, NoEncryption())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("armoured", [True, False])
def test_a_private_key_is_read_in_every_form(tmp_path: Path, form: PrivateFormat, armoured: bool) -> None:
    pem = _private(Encoding.PEM, form)
    bare = b"\n".join(line for line in pem.splitlines() if not line.startswith(b"-"))
    (tmp_path / "key").write_bytes(pem if armoured else bare)
    read = read_private_key("providers.bri.private_key_file", tmp_path / "key")
    assert read.private_numbers() == key("merchant").private_numbers()


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
@pytest.mark.parametrize("armoured", [True, False])
def test_a_public_key_is_read_in_every_form(tmp_path: Path, form: PublicFormat, armoured: bool) -> None:
    pem = key("bank").public_key().public_bytes(Encoding.PEM, form)
    bare = b"".join(line for line in pem.splitlines() if not line.startswith(b"-"))
    (tmp_path / "key").write_bytes(pem if armoured else bare)
    read = read_public_key("providers.bri.provider_public_key_file", tmp_path / "key")
    assert read is not None
    assert read.public_numbers() == key("bank").public_key().public_numbers()


def _locked() -> bytes:
    return key("merchant").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


def _elliptic() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _short() -> bytes:
    made = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "holds no RSA private key"),
        (b"SECRETSECRET", "holds no RSA private key"),
        (b"\xff\xfe", "holds no RSA private key"),
        (PEM, "holds no RSA private key"),
        (_elliptic(), "holds no RSA private key"),
        (_locked(), "locked with a password"),
        (_short(), "only 1024 bits"),
        (None, "cannot be read"),
    ],
)
def test_an_unusable_key_file_is_named_and_not_shown(tmp_path: Path, content: bytes | None, phrase: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match=phrase) as raised:
        read_private_key("providers.bri.private_key_file", tmp_path / "key")
    assert str(raised.value).startswith("providers.bri.private_key_file: ")
    assert "SECRETSECRET" not in str(raised.value)


def test_a_private_key_in_place_of_the_public_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(_private(Encoding.PEM, PrivateFormat.PKCS8))
    with pytest.raises(SettingsError, match="holds no RSA public key"):
        read_public_key("providers.bri.provider_public_key_file", tmp_path / "key")


def test_a_key_file_that_is_not_set_is_told() -> None:
    with pytest.raises(SettingsError, match="is not set"):
        read_private_key("providers.bri.private_key_file", None)
    assert read_public_key("providers.bri.provider_public_key_file", None) is None
