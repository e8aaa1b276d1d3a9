"""What every bus does: the same tests for the real adapter on a real server, and for the fake.

``test_bus_contract_fake.py`` (unit) and ``test_bus_contract_nats.py`` (integration) run them; each
has a fixture ``bench`` of its own, and no other difference.
"""
