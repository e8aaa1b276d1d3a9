"""What everything else is built from: errors, epochs, names, durations, encodings, hash trees."""
