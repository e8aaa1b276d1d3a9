# What Ansible may do in OpenBao once the root token is gone.
#
# It decides who has which right, so whoever holds it can give itself any right; it is as precious as
# the machine that keeps it. What it cannot do by itself: sign or decrypt with the authority's keys,
# issue a certificate, make an issuer, read a document's secrets.

# Engines and methods.
path "sys/mounts" { capabilities = ["read"] }
path "sys/mounts/pki" { capabilities = ["create", "read", "update"] }
path "sys/mounts/nats_int" { capabilities = ["create", "read", "update"] }
path "sys/mounts/secret" { capabilities = ["create", "read", "update"] }
path "sys/mounts/transit" { capabilities = ["create", "read", "update"] }
path "sys/mounts/+/tune" { capabilities = ["read", "update"] }
path "sys/auth" { capabilities = ["read"] }
# The other path of sys/auth/approle/tune, which needs no sudo.
path "sys/mounts/auth/approle/tune" { capabilities = ["read", "update"] }
path "secret/config" { capabilities = ["create", "read", "update"] }

# How soon a new node of the cluster votes.
path "sys/storage/raft/autopilot/configuration" { capabilities = ["create", "read", "update"] }
path "sys/storage/raft/autopilot/state" { capabilities = ["read"] }

# Identities and their rights.
path "sys/policies/acl" { capabilities = ["list"] }
path "sys/policies/acl/*" { capabilities = ["create", "read", "update", "delete"] }
path "auth/approle/role" { capabilities = ["list"] }
path "auth/approle/role/*" { capabilities = ["create", "read", "update", "delete", "list"] }

# The root, and what leaf certificates may say. The issuers of nats_int belong to metadata.
path "pki/root/generate/internal" { capabilities = ["create", "update"] }
path "pki/issuers" { capabilities = ["list"] }
path "pki/issuer/+" { capabilities = ["read"] }
path "pki/config/*" { capabilities = ["read"] }
path "nats_int/roles" { capabilities = ["list"] }
path "nats_int/roles/*" { capabilities = ["create", "read", "update", "delete"] }

# Keys are made and their public halves read; nothing is signed, decrypted or exported.
path "transit/keys" { capabilities = ["list"] }
path "transit/keys/+" { capabilities = ["create", "read", "update"] }
path "transit/keys/+/config" { capabilities = ["create", "update"] }

# The ACL, and who is denied.
path "secret/data/acl/current" { capabilities = ["create", "read", "update"] }
path "secret/data/deny/list" { capabilities = ["read"] }
