"""The authority: makes issuers and keys by epoch, signs documents, and decides every step.

``ca`` walks the rotation of the intermediate CA, ``keys`` makes topic keys and the directory,
``policy`` turns the ACL into the servers' users, ``bus`` listens to members and answers them.
Works without a bus: issuer, documents and keys go to OpenBao first.
"""
