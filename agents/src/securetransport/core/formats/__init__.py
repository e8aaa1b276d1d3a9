"""What is written down or sent: documents, their bodies, keys, requests and the envelope."""
