"""What a run leaves for people: curves and measurements."""
