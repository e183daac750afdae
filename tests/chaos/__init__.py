"""Everything goes wrong at once, and nothing acknowledged is lost: `python3 -m chaos --help`, from the folder tests."""
