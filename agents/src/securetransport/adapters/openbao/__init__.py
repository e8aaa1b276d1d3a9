"""OpenBao as :class:`securetransport.core.ports.SecretStore`, and leaf certificates signed by it.

Usage::

    store = OpenBaoStore(
        settings.openbao.addresses, settings.openbao.ca_file, settings.openbao.token_file,
        settings.openbao.timeout_seconds, on_call=StoreMetrics(registry).observe,
    )
    entry = await store.kv_get("trust/bundle")        # None when absent
    await store.kv_put("attest/keeper/nats-1", {...}, cas=entry.cas if entry else 0)
    source = OpenBaoLeafSource(store, trust_domain, service, instance)
    identity = await source.issue(profile.leaf_validity)
    ...
    store.close()
"""

from securetransport.adapters.openbao.leaf_certificates import OpenBaoLeafSource
from securetransport.adapters.openbao.logins import OpenBaoLogins
from securetransport.adapters.openbao.store import OpenBaoStore

__all__ = ["OpenBaoLeafSource", "OpenBaoLogins", "OpenBaoStore"]
