"""Example service: decides whether users may enter, once per request."""
