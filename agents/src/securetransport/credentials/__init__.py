"""What stands beside the bao agents of one cluster: it renews secret-ids and keeps tokens in place.

The agents themselves never touch a role-id or secret-id. One process serves all bao agents of a
folder; each entry of ``members`` is one of them.

1. It takes the secret-id that the authority offers out of its wrapping, logs in with it, puts it in
   the place of the old one and states that, so that the authority destroys the old one.
2. A token file that vanished (logout, a cleaner of temporary files) is put back.
3. How the secret-id is, it writes beside the token, where the agent's ``/readyz`` and metrics find
   it.
"""
