"""What a terminal shows: tables, bars, lines and colours. Knows no command."""
