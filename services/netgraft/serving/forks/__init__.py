"""The fork server of a node, which both engines use: processes with torch in them in 0.02 s."""
