"""What the product is about, in plain Python and numpy. Imports nothing else of ours."""
