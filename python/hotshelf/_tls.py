"""Options of TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from hotshelf._errors import ConfigurationError

Pem = str | bytes | os.PathLike[str]


@dataclass(frozen=True)
class Tls:
    """Certificates and their verification, for `CacheManager(tls=…)` and `sentinel_tls`.

    A certificate or key is PEM, as text or bytes, or the path of a file with it, as a
    `pathlib.Path`.

    Attributes:
        root_certificates: The trusted certificate authorities. Default: the system's.
        client_certificate: The client's certificate with its chain, and its key.
        server_name: The name that the servers' certificates have to match, which is also sent as
            SNI. Default: the host that is connected to.
        danger_accept_invalid_certificates: Whether to accept any certificate: an attacker on the
            network can read and change the password and all values. For tests only.
    """

    root_certificates: Pem | None = None
    client_certificate: tuple[Pem, Pem] | None = field(default=None, repr=False)
    server_name: str | None = None
    danger_accept_invalid_certificates: bool = False


def with_contents(name: str, tls: Tls | bool | None) -> Tls | None:
    """Returns an option with the bytes of its files; `None` without TLS of its own.

    Raises:
        ConfigurationError: For a value of another type, or a file that can't be read.
    """
    if tls is None or tls is False:
        return None
    if tls is True:
        return Tls()
    if not isinstance(tls, Tls):
        raise ConfigurationError(f"invalid `{name}` {tls!r}: use hotshelf.Tls(…), True, False or None")
    roots, own = tls.root_certificates, tls.client_certificate
    return replace(
        tls,
        root_certificates=None if roots is None else _contents("root_certificates", roots),
        client_certificate=None if own is None else _pair(own),
    )


def _pair(own: object) -> tuple[bytes, bytes]:
    if not isinstance(own, tuple | list) or len(own) != 2:
        raise ConfigurationError(
            "invalid `client_certificate`: use a pair of the certificate and the key"
        )
    certificate, key = (_contents("client_certificate", pem) for pem in own)
    return certificate, key


def _contents(option: str, pem: object) -> bytes:
    if isinstance(pem, bytes):
        return pem
    if isinstance(pem, str) and "-----BEGIN" in pem:
        return pem.encode()
    if not isinstance(pem, os.PathLike):
        raise ConfigurationError(f"invalid `{option}`: use PEM, or the pathlib.Path of a file")
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"can't read the file of `{option}`: {error}") from error
