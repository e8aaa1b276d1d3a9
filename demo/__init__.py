"""``make demo``: the whole platform on this machine, rotating under load, with a verdict.

Read ``run`` for the story, ``windows`` for how gaps are compared, ``verdict`` for what makes a run
good, ``report`` for the page it leaves behind.
"""
