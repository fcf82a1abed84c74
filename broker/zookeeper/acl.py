"""Who may do what: schemes, checks, and how an ACL is made ready to be stored (AuthenticationProvider, fixupACL).

Schemes: ``world:anyone``; ``ip:address[/bits]``; ``digest:user:base64(sha1(user:password))``; ``auth``, which stands
for the digests of the caller; ``super``, which may do everything.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Sequence

from broker.zookeeper.messages import Acl, Acls

READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16

Identity = tuple[str, str]
"""(scheme, id), as held by a connection."""

SUPER: Identity = ("super", "")


def digest_id(credentials: str) -> str:
    """``user:password`` -> ``user:base64(sha1(user:password))`` (DigestAuthenticationProvider.generateDigest)."""
    hashed = hashlib.sha1(credentials.encode(), usedforsecurity=False).digest()
    return f"{credentials.split(':', 1)[0]}:{base64.b64encode(hashed).decode()}"


def identities_of(scheme: str, auth: bytes, super_digest: str | None) -> list[Identity] | None:
    """What an auth packet adds to its connection; None for a scheme that cannot be used (AUTH_FAILED)."""
    if scheme == "ip":
        return []
    if scheme != "digest":
        return None
    digest = digest_id(auth.decode("utf-8", "replace"))
    own: list[Identity] = [("digest", digest)]
    return [SUPER, *own] if digest == super_digest else own


def allows(acls: Acls, perm: int, identities: Sequence[Identity]) -> bool:
    """Whether one of ``identities`` holds ``perm`` (a bit, or several of which one is enough)."""
    if not acls:
        return True
    for acl in acls:
        if acl.perms & perm and acl.scheme == "world" and acl.id == "anyone":
            return True
    if any(scheme == "super" for scheme, _ in identities):
        return True
    return any(acl.perms & perm and any(_matches(identity, acl) for identity in identities) for acl in acls)


def ready(acls: Acls | None, identities: Sequence[Identity]) -> Acls | None:
    """The list as it is stored: duplicates once, ``auth`` replaced. None where it is not valid (INVALID_ACL)."""
    stored: list[Acl] = []
    for acl in dict.fromkeys(acls or ()):
        if acl.scheme == "auth":
            own = [Acl(acl.perms, scheme, user) for scheme, user in identities if scheme in {"digest", "super"}]
            if not own:
                return None
            stored += own
        elif _is_valid(acl):
            stored.append(acl)
        else:
            return None
    return tuple(stored) or None


def masked(acls: Acls) -> Acls:
    """As shown to who has no ADMIN: without the digests."""
    return tuple(acl._replace(id=acl.id.split(":", 1)[0] + ":x") if acl.scheme == "digest" else acl for acl in acls)


def _matches(identity: Identity, acl: Acl) -> bool:
    scheme, user = identity
    if scheme != acl.scheme:
        return False
    return _covers(acl.id, user) if scheme == "ip" else user == acl.id


def _covers(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_valid(acl: Acl) -> bool:
    if acl.scheme == "world":
        return acl.id == "anyone"
    if acl.scheme == "digest":
        return acl.id.count(":") == 1 and not acl.id.endswith(":")
    if acl.scheme == "ip":
        try:
            ipaddress.ip_network(acl.id, strict=False)
        except ValueError:
            return False
        return True
    return False
