"""What every page and endpoint shares. Flask lives here and above, and in no layer below."""
