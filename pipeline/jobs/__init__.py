"""One job a file. Each reads top to bottom: what is wanted, what is pending, work it off, commit, report."""
