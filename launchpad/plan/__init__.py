"""Who needs whom: from what is written to a plan of services, normalised and in order.

Knows nothing of hosts, and nothing of what runs.
"""
