"""Cryptography: the only package that imports ``cryptography`` (and, one day, ``oqs``).

``signing`` (ML-DSA), ``kem`` (ML-KEM), ``aead`` (AES-256-GCM, HKDF, hashes), ``x509``
(certificates and requests). Nothing here is our own cryptography: these modules name algorithms,
check sizes and translate errors.
"""
