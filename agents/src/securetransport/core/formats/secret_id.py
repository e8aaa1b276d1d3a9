"""What authority and instance tell each other in KV about the renewal of a secret-id."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Handover = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Text = Annotated[str, Field(min_length=1, max_length=512)]


class Offer(BaseModel):
    """A wrapped secret-id that the authority laid out for one instance.

    Attributes:
        handover: Random; also in the metadata of the secret-id, so that its accessor can be told.
        wrapped: The wrapping token; opens once.
        accessor: Of the secret-id inside.
        created_at: When it was minted.
        not_after: Until when it may be opened; the authority takes it back then.
        is_withdrawn: Whether it was taken back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    handover: Handover
    wrapped: _Text = Field(repr=False)
    accessor: _Text
    created_at: AwareDatetime
    not_after: AwareDatetime
    is_withdrawn: bool = False


class Proof(BaseModel):
    """An instance's statement that it has logged in with a secret-id and keeps it.

    Attributes:
        accessor: Which secret-id.
        handover: Of the offer it came from; ``None`` when Ansible delivered it.
        stated_at: When.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accessor: _Text
    handover: Handover | None = None
    stated_at: AwareDatetime
