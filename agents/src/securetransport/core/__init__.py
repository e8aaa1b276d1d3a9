"""Pure decisions and formats: no socket, no file, no clock, no randomness is read here.

Read from the bottom: ``base``, ``ports`` (the outside worlds as protocols), ``crypto``,
``formats``, ``trust`` (what is accepted), ``acl`` (who may what), ``decisions`` (what comes next).
``.importlinter`` says which may import which.
"""
