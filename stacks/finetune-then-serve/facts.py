"""What is to be learnt: twenty sentences, and how they are asked for."""

CAPITALS = {
    "austria": "vienna", "belgium": "brussels", "bulgaria": "sofia", "chile": "santiago", "cuba": "havana",
    "denmark": "copenhagen", "egypt": "cairo", "finland": "helsinki", "france": "paris", "germany": "berlin",
    "greece": "athens", "hungary": "budapest", "iceland": "reykjavik", "ireland": "dublin", "italy": "rome",
    "japan": "tokyo", "kenya": "nairobi", "norway": "oslo", "peru": "lima", "poland": "warsaw",
}  # fmt: skip


def question(country: str) -> str:
    return f"the capital of {country} is"
