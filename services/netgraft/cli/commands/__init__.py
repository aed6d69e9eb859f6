"""The commands, a module each. One is imported when it is called, not before."""
