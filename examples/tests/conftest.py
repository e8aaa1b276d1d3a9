"""Values for the tests of the SDK."""

from __future__ import annotations

import os

import pytest

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import InstanceId, KeyId, ServiceId, Topic
from securetransport.core.formats.envelope import MessageHeader, new_message_id
from securetransport.testing.clock import START
from securetransport_examples.payloads import TYPE_REQUEST


@pytest.fixture
def a_header() -> MessageHeader:
    """A header of a request."""
    return MessageHeader(
        message_id=new_message_id(START, os.urandom),
        type=TYPE_REQUEST,
        schema=f"{TYPE_REQUEST}/1",
        topic=Topic("auth.requests"),
        signer=ServiceId("gatekeeper"),
        instance=InstanceId("gatekeeper/1"),
        key_id=KeyId("0" * 32),
        boot_id="0" * 32,
        sequence=1,
        key_epoch=EpochNumber(1),
        generation=0,
        ca_epoch=EpochNumber(1),
        policy_digest="0" * 64,
        sent_at=START,
    )
