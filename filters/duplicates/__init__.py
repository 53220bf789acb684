"""What two showings of the same footage have in common: words of picture and sound that survive re-encoding."""
