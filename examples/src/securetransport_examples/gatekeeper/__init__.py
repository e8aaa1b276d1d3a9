"""Example service: asks whether users may enter, and measures how long the answer takes."""
