# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All streams and durables of a compiled ACL in one go; streams first, durables need them."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.batch import Batch
from ansible_collections.securetransport.platform.plugins.module_utils.jetstream import (
    ensure_consumer,
    ensure_stream,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome


def ensure_layout(module: AnsibleModule) -> Outcome:
    """Make every stream and every durable exist as given.

    Nothing is removed: a stream that the ACL does not name any more may still hold messages.

    Raises:
        PlatformError: JetStream refuses one of them; the text says which.
    """
    batch = Batch(module)
    for entry in module.params["streams"]:
        name = entry["name"]
        batch.ensure(f"stream {name}", ensure_stream, name=name, config=entry)
    for entry in module.params["consumers"]:
        stream, config = entry["stream_name"], entry["config"]
        name = config["durable_name"]
        batch.ensure(
            f"consumer {stream}.{name}", ensure_consumer, stream=stream, name=name, config=config
        )
    return batch.outcome()
