"""The rotation of the intermediate CA: what exists, what was seen, what is next.

Read in this order: ``record`` (what the authority remembers), ``observation`` (what it sees),
``gates`` (when a step is safe), ``decide`` (which single step comes next), ``bundle`` (what
verifiers are told).
"""
