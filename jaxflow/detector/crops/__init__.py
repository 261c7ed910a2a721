"""Where people are in a picture, and the squares cut out of it."""
