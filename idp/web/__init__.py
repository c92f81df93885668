"""What every page and endpoint shares: services, refusals, cookies, CSRF, headers, bearer. Flask lives here and above."""
