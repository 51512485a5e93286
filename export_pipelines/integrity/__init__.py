"""Published files and archives read again and again, so that damage is noticed while there is still a copy."""
