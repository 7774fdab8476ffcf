"""A stack for other programs. What they cannot express is listed with its place, never dropped."""
