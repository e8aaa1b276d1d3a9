"""The service bundle: what one service may do, and the topic keys that it needs for it."""

from __future__ import annotations

from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.formats.body import Counter, Document, Epoch, ShortBytes, Text


class TopicKey(Document):
    """Key bytes of one (topic, key epoch, generation).

    Attributes:
        topic: The topic.
        epoch: Key epoch.
        generation: Rises when a holder was revoked inside an epoch.
        secret: 32 random bytes. Never logged, never in an error.
    """

    topic: Topic
    epoch: Epoch
    generation: Counter
    secret: ShortBytes

    def __repr__(self) -> str:
        """Return the key's name without its bytes."""
        return f"TopicKey({self.topic}, epoch={self.epoch}, generation={self.generation})"

    __str__ = __repr__


class TopicRule(Document):
    """Who may produce and consume one topic.

    Attributes:
        topic: The topic, which is also the NATS subject.
        stream: The stream that keeps it.
        producers: Services whose signature is accepted.
        consumers: Service to the durable it pulls from.
        digest: SHA-256 of this rule's canonical form, hex; messages carry it.
    """

    topic: Topic
    stream: Text
    producers: tuple[ServiceId, ...]
    consumers: dict[ServiceId, Text]
    digest: Text


class ServiceBundle(Document):
    """What one service may do, and the secret keys it needs for it.

    Attributes:
        service: For whom.
        rules: The rules of every topic it produces or consumes.
        topic_keys: Key bytes for these topics: all valid epochs, and the next one in its lead.
        key_epoch: The key epoch when this was made.
        acl_digest: SHA-256 of the ACL body.
    """

    service: ServiceId
    rules: tuple[TopicRule, ...]
    topic_keys: tuple[TopicKey, ...]
    key_epoch: Epoch
    acl_digest: Text
