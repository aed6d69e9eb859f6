"""Output for a terminal: tables, bars, lines and colours. Knows no command."""
