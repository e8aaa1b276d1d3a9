"""What an ACL becomes: broker users, OpenBao policies and roles, streams and durables."""
