"""Answers every hello."""

from typing import ClassVar

from securetransport.messages.app import ServiceApp
from securetransport.messages.consumer import Delivery
from securetransport.messages.settings import ServiceSettings
from securetransport.runtime.main import run_agent


class GreeterSettings(ServiceSettings):
    """Nothing beyond what every service is configured with."""

    AGENT: ClassVar[str] = "greeter"


class Greeter(ServiceApp[GreeterSettings]):
    """One topic in, one out."""

    def setup(self) -> None:
        """Say what is consumed, and by what."""
        self.consume("hello.requests", self.greet)

    async def greet(self, delivery: Delivery) -> None:
        """Make the greeting once, and answer with it however often it is asked for."""
        name = delivery.message.payload.decode()
        effect = await self.once(delivery, lambda _db: f"hello {name}".encode())
        await self.answer(delivery, "hello.answers", effect.result, type="hello.answer")


def main() -> None:
    """Run until told to stop."""
    run_agent("greeter", GreeterSettings, Greeter.builder())


if __name__ == "__main__":
    main()
