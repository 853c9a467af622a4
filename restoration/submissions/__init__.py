"""What institutions deliver by file, and the answers they get."""
