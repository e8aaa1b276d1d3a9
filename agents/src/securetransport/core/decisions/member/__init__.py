"""What a member of the bus does next; one module per loop, each with its own numbered rules."""
