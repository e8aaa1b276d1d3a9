"""From the ACL to what each cluster is built from: one module per world, one call for all of them.

``broker`` (users and permissions of the servers), ``openbao`` with ``policies`` (login and sign
roles, policies, keys), ``streams`` (streams, durables and how long a message may wait). Rules for
network policies of Kubernetes belong beside them. :func:`compile_acl` in ``compiled`` makes them
all; who needs one thing takes it from there.
"""
