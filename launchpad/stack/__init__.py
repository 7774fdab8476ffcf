"""What is written: a stack file, read strictly, filled in, checked, with the place of every value.

Knows nothing of processes, and not who needs whom. The door is `load.attempt`.
"""
