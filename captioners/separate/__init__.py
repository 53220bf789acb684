"""Voice and background: two ways to split a mix, and the stage that reports the stems."""
