"""The HTML report: one page of numbers and plots, one page of clips that play. Both need no network and no server."""
