"""``make demo``: the whole platform on this machine, rotating under load, with a verdict.

``run`` is the story, ``rotation`` tells what a rotation proved, ``picture`` draws it, ``watching``
looks once a second. What judges lies in ``evaluation``.
"""
