"""Credentials in URIs, which are masked wherever a URI is shown or stored outside the datasets file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_USER = re.compile(r"(?<=://)[^/\s@:'\"]*:[^/\s'\"]+(?=@)|(?<=http://)[^/\s@:]+(?=@)|(?<=https://)[^/\s@:]+(?=@)")
"""USER:PASSWORD@, and on the web also TOKEN@. A user alone, as in sftp://user@host, is no secret."""

_SIGNED = re.compile(
    r"(?<=[?&;])((?:x-amz-|x-goog-)[a-z-]+|awsaccesskeyid|googleaccessid|key-pair-id|signature|policy|expires|"
    r"sig|se|sp|sv|sr|st|spr|skoid|sktid|skt|ske|sks|skv|(?:access_|auth_?)?token|api_?key|password|secret)"
    r"=[^&;\s'\"]*",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"[?&;](x-amz-(?:signature|security-token)|x-goog-signature|signature|sig|(?:access_|auth_?)?token|api_?key|password|"
    r"secret)=",
    re.IGNORECASE,
)

_SECRET_OPTION = re.compile(
    r"(?:.*[_-])?(?:key|secret|token|pass|passw(?:or)?d|passphrase|credentials?|authorization|cookie|sas|signature|"
    r"connection[_-]string)(?:[_-]id)?s?",
    re.IGNORECASE,
)
"""The names of options that hold a secret, such as `secret`, `sas_token` or `aws_access_key_id`."""


def options_without_credentials(options: Any) -> Any:
    """Options of a file system in which the values of secrets are `***`, at any depth.

    So a location keeps its identity when its secrets change, and no hash of them is stored.

    Examples:
        >>> options_without_credentials({"endpoint_url": "http://host", "client_kwargs": {"aws_access_key_id": "abc"}})
        {'endpoint_url': 'http://host', 'client_kwargs': {'aws_access_key_id': '***'}}
    """
    if isinstance(options, Mapping):
        return {
            name: MASK if _SECRET_OPTION.fullmatch(str(name)) else options_without_credentials(value)
            for name, value in options.items()
        }
    if isinstance(options, list | tuple):
        return [options_without_credentials(value) for value in options]
    return without_credentials(options) if isinstance(options, str) else options


def without_credentials(text: str) -> str:
    """A URI, or a text with URIs, in which passwords, tokens and signatures are `***`; others stay as they are.

    With a signature also the rest of what was signed with it is masked, such as its time, so that a location keeps its
    identity when it is signed again.

    Examples:
        >>> without_credentials("https://ann:secret@host/a.zip?sig=abc&page=2")
        'https://***@host/a.zip?sig=***&page=2'
        >>> without_credentials("s3://bucket/folder?version=3")
        's3://bucket/folder?version=3'
    """
    if "://" not in text:
        return text
    text = _USER.sub(MASK, text)
    return _SIGNED.sub(rf"\1={MASK}", text) if _SECRET.search(text) else text
