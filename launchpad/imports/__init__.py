"""Stack files from files of other programs. What cannot be carried over is listed with its place, never dropped."""
