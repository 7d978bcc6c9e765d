"""Who asks an endpoint: its address, our name, and credentials out of the environment."""

from __future__ import annotations

import base64
import ipaddress
import os
from importlib import metadata
from typing import Literal, Protocol
from urllib.parse import urlsplit

from agentrl.errors import ConfigError, boundary

Kind = Literal["none", "basic", "digest", "bearer", "header"]


class Account(Protocol):
    """The settings of an endpoint that say how to sign in."""

    url: str
    auth: Kind
    auth_env: str
    auth_header: str


def check_url(url: str) -> str:
    """The host of an endpoint's URL.

    Raises:
        ConfigError: it is no http(s) URL, or holds a password.
    """
    with boundary(ConfigError, f"{url!r} is no endpoint"):
        parts = urlsplit(url)
        _ = parts.port  # the one thing that is not checked before it is asked for
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is no endpoint: give a URL such as https://host/sparql")
    if parts.username or parts.password:
        raise ConfigError(
            f"the URL of {parts.hostname} holds a password: set auth, and give it in $..._PASSWORD"
        )
    return parts.hostname


def is_near(host: str) -> bool:
    """Whether a host is this machine or on its private network, by its name alone.

    A name without a dot is one of this network's, such as a container's.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return "." not in host or host.endswith(".localhost")
    return address.is_loopback or address.is_private


def agent(host: str, contact: str) -> str:
    """The user agent: who asks, in which version, and whom to write to.

    Raises:
        ConfigError: Wikidata's policy asks for a contact, and there is none.
    """
    contact = contact or os.environ.get("AGENTRL_CONTACT", "")
    if not contact and f".{host}".endswith((".wikidata.org", ".wikimedia.org")):
        raise ConfigError(
            f"{host} asks every client for a contact: set contact (or $AGENTRL_CONTACT) to a mail "
            "address or a page about you"
        )
    if not contact.isprintable() or not contact.isascii():
        raise ConfigError(f"contact is {contact!r}: it becomes a header, so keep to plain text")
    return f"agentrl/{_version('agentrl')} ({contact}) SPARQLWrapper/{_version('SPARQLWrapper')}"


def credentials(account: Account) -> tuple[dict[str, str], tuple[str, str] | None]:
    """Headers that sign in, and the user and password where they answer a challenge instead.

    Raises:
        ConfigError: an unknown kind, a variable that is not set, or a secret over plain http.
    """
    if account.auth == "none":
        return {}, None
    if account.auth not in ("basic", "digest", "bearer", "header"):
        raise ConfigError(f"auth is {account.auth!r}: none, basic, digest, bearer or header")
    parts = urlsplit(account.url)
    if parts.scheme == "http" and account.auth != "digest" and not is_near(parts.hostname or ""):
        raise ConfigError(f"{account.url} would get your credentials in the clear: use https")
    if account.auth in ("bearer", "header"):
        token = _variable(f"{account.auth_env}_TOKEN")
        bearer = {"Authorization": f"Bearer {token}"}
        return (bearer if account.auth == "bearer" else {account.auth_header: token}), None
    user, password = (_variable(f"{account.auth_env}_{name}") for name in ("USER", "PASSWORD"))
    if account.auth == "digest":
        return {}, (user, password)
    coded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {coded}"}, None


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value or not value.isprintable():
        raise ConfigError(f"${name} is not set, or no plain text: the endpoint's auth needs it")
    return value


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
