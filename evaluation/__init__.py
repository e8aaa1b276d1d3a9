"""What judges a run, and is no part of the product: ledgers, gaps, counters, verdict, benchmarks.

`checker` compares ledgers as sets, `windows` compares gaps like with like, `timeline` reads the
rotation from statuses, `evidence` reads what processes left behind, `verdict` says what makes a
run good, `report` draws it. `load` and `platform` are how a run is driven; `bench` measures cost.

Rule of all of them: what could not be observed is an error or unknown, never zero.
"""
