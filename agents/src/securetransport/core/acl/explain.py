"""Says why somebody may do something, or that nothing in the file or the protocol allows it."""

from __future__ import annotations

from securetransport.core.acl.compile.broker import bus_rights
from securetransport.core.acl.compile.instances import login_instances
from securetransport.core.acl.compile.policies import policies
from securetransport.core.acl.model import Acl
from securetransport.core.acl.platform import WITHOUT_BUS
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError, NotFoundError
from securetransport.core.base.names import ServiceId, instance_role, service_of

BUS_ACTIONS = ("publish", "subscribe")
STORE_ACTIONS = ("create", "read", "update", "delete", "list")


def explain(acl: Acl, service: str, action: str, subject: str) -> str:
    """Return one sentence: allowed and by what, or denied and why.

    Args:
        acl: The ACL.
        service: A service, a foreign client or an identity of the platform.
        action: ``publish`` or ``subscribe`` on the bus; a capability (``read``, ``create``, …) in
            OpenBao.
        subject: The subject, or OpenBao's API path.

    Raises:
        NotFoundError: Nobody has this name.
        ConfigError: The action is unknown.
    """
    identity = ServiceId(service)
    known = {*bus_rights(acl), *names.PLATFORM_SERVICES}
    if identity not in known:
        raise NotFoundError(f"{service!r} is unknown; the ACL has {', '.join(sorted(known))}")
    if action in STORE_ACTIONS:
        return _explain_store(acl, identity, action, subject)
    if action not in BUS_ACTIONS:
        words = ", ".join((*BUS_ACTIONS, *STORE_ACTIONS))
        raise ConfigError([f"action {action!r} is not one of {words}"])
    return _explain_bus(acl, identity, action, subject)


def _explain_bus(acl: Acl, identity: ServiceId, action: str, subject: str) -> str:
    rights = bus_rights(acl).get(identity)
    if rights is None:
        reason = "has no user on the bus" if identity in WITHOUT_BUS else "is not in the ACL"
        return f"denied: {identity} {reason}"
    grant = rights.grant("publish" if action == "publish" else "subscribe", subject)
    if grant is None:
        return f"denied: nothing allows {identity} to {action} {subject}"
    by = "" if grant.subject == subject else f" by {grant.subject}"
    return f"allowed: {identity} may {action} {subject}{by}: {grant.why}"


def _explain_store(acl: Acl, identity: ServiceId, action: str, path: str) -> str:
    found = policies(acl)
    if identity not in found:
        return f"denied: {identity} does not log in to OpenBao"
    if action in found[identity].capabilities(path):
        return f"allowed: {identity} may {action} {path} by its policy"
    for instance in login_instances(acl):
        own = instance_role(instance)
        if service_of(instance) == identity and action in found[own].capabilities(path):
            return f"allowed: {instance} alone may {action} {path} by its own policy"
    return f"denied: no policy of {identity} allows {action} on {path}"
