"""How the gateway is doing, for people: looked at in one moment, judged, and written as a page."""
