"""What people take away: files made from the published one, each with the release it came from."""
