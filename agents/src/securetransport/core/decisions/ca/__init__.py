"""The rotation of the intermediate CA: what exists, what was seen, what is next.

Read in this order: ``record`` (what the authority remembers), ``observation`` (what it sees),
``steps`` (what it can do), ``decide`` (the rules, and which single step comes next). The rules are
carried by ``repair`` (the world follows the record), ``advance`` (an epoch on its way to become
active), ``leave`` (an epoch on its way out), with ``gates`` (when a step is safe) and ``bundle``
(what verifiers are told).
"""
