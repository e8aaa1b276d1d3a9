"""What a protected message costs: ``nox -s bench``.

Three real message servers (R3, mTLS), one sending and one receiving process built from the SDK's
own publisher and consumer, keys made here instead of by an authority. In one run, at 50/s, half
and full speed: protected messages beside the same path with plain bytes, by stage, and signing and
verifying alone. ``--against PATH`` interleaves short runs of this checkout and another one.

`cluster` and `pki` make the servers, `worker` is one process of a lane (a pair of services with a
stream of their own), `product` finds the SDK's names in this or an earlier layout, `lane` drives a
pair, `figures` and `table` are pure.
"""
